"""What answers which path."""

import psycopg
from django.http import JsonResponse
from django.urls import path
from lxml import etree

from authentik import VERSION
from authentik.admin.files.backends import static
from authentik.blueprints import views as blueprints
from authentik.core import views as core
from authentik.flows import views as flows
from authentik.root import monitoring
from authentik.tasks import views as tasks


def version(request):
    """The version, and those of the libraries which the build linked."""
    libxml = ".".join(str(part) for part in etree.LIBXML_VERSION)
    libpq = f"{psycopg.pq.version()}, {psycopg.pq.__impl__}"
    return JsonResponse({"version_current": VERSION, "libxml": libxml, "libpq": libpq})


def files(request):
    """The pictures of the web UI."""
    return JsonResponse({"results": static.list_files()})


urlpatterns = [
    path("", core.root),
    path("-/health/live/", monitoring.live),
    path("-/health/ready/", monitoring.ready),
    path("flows/-/default/<slug:designation>/", flows.default),
    path("if/flow/<slug:slug>/", flows.interface),
    path("api/v3/admin/version/", version),
    path("api/v3/admin/file/", files),
    path("api/v3/core/users/me/", core.me),
    path("api/v3/flows/executor/<slug:slug>/", flows.executor),
    path("api/v3/managed/blueprints/", blueprints.instances),
    path("api/v3/managed/blueprints/available/", blueprints.available),
    path("api/v3/tasks/tasks/", tasks.tasks),
]
