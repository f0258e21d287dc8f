"""`ak worker`."""

import os
from pathlib import Path

from django.core.management.base import BaseCommand

from authentik.tasks.worker import work


class Command(BaseCommand):
    """Runs tasks; a file says as which process."""

    help = "Run tasks"

    def add_arguments(self, parser):
        parser.add_argument("--pid-file", type=Path)

    def handle(self, *, pid_file, **options):
        if pid_file:
            pid_file.write_text(str(os.getpid()))
        try:
            work()
        finally:
            if pid_file:
                pid_file.unlink(missing_ok=True)
