"""What the worker has to do, and what became of it."""

from uuid import uuid4

from django.db import models
from django.utils import timezone


class Task(models.Model):
    """One run of an actor, which is a function of a module, called by its whole name."""

    message_id = models.UUIDField(primary_key=True, default=uuid4)
    queue_name = models.TextField(default="default")
    actor_name = models.TextField()
    arguments = models.JSONField(default=list)
    state = models.TextField(default="queued")
    uid = models.TextField(default="")
    logs = models.JSONField(default=list)
    mtime = models.DateTimeField(default=timezone.now)

    @property
    def aggregated_status(self) -> str:
        """The worst that was said of it once it is done, its state before."""
        levels = [line["log_level"] for line in self.logs]
        return next(
            (level for level in ("error", "warning", "info") if self.state == "done" and level in levels), self.state
        )

    def log(self, level: str, event: str):
        """Keeps a line about the run."""
        self.logs.append(
            {
                "timestamp": timezone.now().isoformat(),
                "log_level": level,
                "logger": self.actor_name,
                "event": event,
                "attributes": {},
            }
        )


def send(actor_name: str, *arguments) -> Task:
    """Has the worker run it."""
    return Task.objects.create(actor_name=actor_name, arguments=arguments, uid=actor_name)
