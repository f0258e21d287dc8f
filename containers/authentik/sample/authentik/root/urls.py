"""What answers which path."""

from django.http import HttpResponse, JsonResponse
from django.urls import path
from lxml import etree

from authentik import VERSION
from authentik.admin.files.backends import static
from authentik.blueprints import models as blueprints


def version(request):
    """The version, and that of the XML library which the build linked."""
    libxml = ".".join(str(part) for part in etree.LIBXML_VERSION)
    return JsonResponse({"version_current": VERSION, "libxml": libxml})


def files(request):
    """The pictures of the web UI."""
    return JsonResponse({"results": static.list_files()})


def blueprints_available(request):
    """The blueprints, and how long each is."""
    sizes = {path: len(blueprints.retrieve(path)) for path in blueprints.find()}
    return JsonResponse({"results": sizes})


urlpatterns = [
    path("-/health/live/", lambda request: HttpResponse(status=200)),
    path("api/v3/admin/version/", version),
    path("api/v3/admin/file/", files),
    path("api/v3/managed/blueprints/available/", blueprints_available),
]
