"""The tasks as an API."""

from django.utils import timezone

from authentik.api.answers import authenticated, page
from authentik.tasks.models import Task


@authenticated
def tasks(request):
    """All of them, the latest first."""
    return page(
        request,
        Task.objects.order_by("-mtime"),
        lambda task: {
            "message_id": str(task.message_id),
            "queue_name": task.queue_name,
            "actor_name": task.actor_name,
            "state": task.state,
            "mtime": timezone.localtime(task.mtime).isoformat(),
            "retries": 0,
            "eta": None,
            "uid": task.uid,
            "logs": task.logs,
            "previous_logs": [],
            "aggregated_status": task.aggregated_status,
            "description": None,
        },
    )
