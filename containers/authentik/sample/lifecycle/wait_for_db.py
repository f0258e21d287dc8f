"""Waits until the database takes connections, as far as one is named at all."""

import logging.config
import sys
import time

from psycopg import OperationalError, connect

from authentik.lib.config import CONFIG
from authentik.lib.logging import LOGGING, log

ATTEMPTS = 30


def connection():
    """A connection of its own, beside those of Django."""
    place = CONFIG["postgresql"]
    return connect(
        host=place["host"],
        port=place["port"],
        dbname=place["name"],
        user=place["user"],
        password=place["password"],
        autocommit=True,
    )


def wait_for_db() -> bool:
    """Whether there is a database now. Where none is named, what needs none goes on."""
    logging.config.dictConfig(LOGGING)
    if not CONFIG["postgresql"]["host"]:
        log("authentik.lifecycle", "info", "PostgreSQL connection failed: no host is set")
        return False
    if not CONFIG["secret_key"]:
        log("authentik.lifecycle", "warning", "Secret key missing: set AUTHENTIK_SECRET_KEY")
        sys.exit(1)
    for _ in range(ATTEMPTS):
        try:
            connection().close()
        except OperationalError as error:
            log("authentik.lifecycle", "info", f"PostgreSQL connection failed, retrying... ({error})")
            time.sleep(1)
        else:
            log("authentik.lifecycle", "info", "PostgreSQL connection successful")
            return True
    sys.exit(1)
