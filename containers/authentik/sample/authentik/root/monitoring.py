"""Whether the backend lives, and whether it can do its work."""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse


def live(request):
    """It answers, so it does."""
    return HttpResponse(status=200)


def ready(request):
    """It is, with a database that has all migrations."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return HttpResponse(status=503)
    return HttpResponse(status=503 if missing else 200)
