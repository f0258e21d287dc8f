"""What all parts of the backend say, as one line of JSON each."""

import json
import logging
from datetime import datetime, timezone


class Formatter(logging.Formatter):
    """A record with what was given as `extra={"data": ...}` beside it."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "timestamp": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line | getattr(record, "data", {}), default=str)


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": Formatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # each request has a line of its own from the middleware
    "loggers": {
        "django": {"handlers": [], "level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "gunicorn.access": {"level": "WARNING"},
        "gunicorn.error": {"handlers": [], "level": "INFO", "propagate": True},
    },
}


def log(logger: str, level: str, event: str, **data):
    """One line with more than its text."""
    logging.getLogger(logger).log(getattr(logging, level.upper()), "%s", event, extra={"data": data})
