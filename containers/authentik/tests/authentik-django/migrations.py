"""Runs Django's checks and loads all migrations, without a database: the graph has to hold together, and the migration of issue
19616 has to come after the one whose fields it reads.
"""

import importlib.util
import os
import sys
import unittest.mock

if importlib.util.find_spec("opencontainers") is None:
    # its one place may be out of reach; no migration uses it
    print("opencontainers is not there: an empty stand-in lets the rest be loaded")
    for name in ("", ".distribution", ".distribution.reggie"):
        sys.modules["opencontainers" + name] = unittest.mock.MagicMock()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")

import django
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

django.setup()
# what `manage.py check` looks at, as far as it needs no database
call_command("check")
graph = MigrationLoader(None, ignore_no_migrations=True).graph
graph.validate_consistency()
plan = graph.forwards_plan(("authentik_rbac", "0010_remove_role_group_alter_role_name"))
assert ("authentik_core", "0056_user_roles") in plan, "0010 of authentik_rbac does not come after 0056 of authentik_core"
print(f"{len(graph.nodes)} migrations, {len(plan)} of them up to 0010 of authentik_rbac")
