"""What answers which path."""

from django.http import JsonResponse
from django.urls import path
from lxml import etree

from authentik import VERSION


def version(request):
    """The version, and that of the XML library which the build linked."""
    libxml = ".".join(str(part) for part in etree.LIBXML_VERSION)
    return JsonResponse({"version_current": VERSION, "libxml": libxml})


urlpatterns = [path("api/v3/admin/version/", version)]
