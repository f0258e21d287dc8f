"""`ak apply_blueprint`."""

import sys

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from authentik.blueprints.models import retrieve
from authentik.blueprints.v1 import importer
from authentik.lib.logging import log


class Command(BaseCommand):
    """Applies blueprints at once, without the worker."""

    help = "Apply blueprints"

    def add_arguments(self, parser):
        parser.add_argument("blueprints", nargs="+")

    def handle(self, *, blueprints, **options):
        for path in blueprints:
            try:
                importer.apply(importer.parse(retrieve(path)))
            except (OSError, ValueError, DatabaseError, importer.Invalid) as error:
                log("authentik.blueprints", "warning", "blueprint can't be applied", path=path, exc=str(error))
                sys.exit(1)
            log("authentik.blueprints", "info", "blueprint applied", path=path)
