"""The blueprints as an API."""

from django.http import JsonResponse
from django.utils import timezone

from authentik.api.answers import authenticated, page
from authentik.blueprints import models


def available(request):
    """The files, and how long each is."""
    sizes = {path: len(models.retrieve(path)) for path in models.find()}
    return JsonResponse({"results": sizes})


@authenticated
def instances(request):
    """What became of each, with times in the server's time zone, which the system has to know."""
    return page(
        request,
        models.BlueprintInstance.objects.order_by("name"),
        lambda instance: {
            "pk": str(instance.pk),
            "name": instance.name,
            "path": instance.path,
            "context": {},
            "last_applied": timezone.localtime(instance.last_applied).isoformat(),
            "last_applied_hash": instance.last_applied_hash,
            "status": instance.status,
            "enabled": instance.enabled,
            "managed_models": [],
            "metadata": instance.metadata,
            "content": "",
        },
    )
