#!/usr/bin/env python
"""Django's commands, once the database is there; the worker migrates it first, as the server does."""

import os
import sys

from django.core.management import execute_from_command_line

from lifecycle.migrate import run_migrations
from lifecycle.wait_for_db import wait_for_db

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")
    if wait_for_db() and sys.argv[1:2] == ["worker"]:
        run_migrations()
    execute_from_command_line(sys.argv)
