"""Migrates the database, one process at a time."""

import os

from authentik.lib.logging import log
from lifecycle.wait_for_db import connection

# what everybody who migrates agrees on
LOCK = 1000


def run_migrations():
    """Applies what is not applied yet; who comes second waits, and finds nothing to do."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    with connection() as holder:
        log("authentik.lifecycle", "info", "waiting to acquire database lock")
        holder.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        call_command("migrate", verbosity=0, interactive=False)
        log("authentik.lifecycle", "info", "database is migrated, releasing database lock")
        holder.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    # forked processes must not share it
    connections.close_all()
