"""The worker's work: one task after the other, and a new one whenever the blueprints are others."""

import signal
import threading

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from authentik.blueprints.models import fingerprint
from authentik.lib.logging import log
from authentik.tasks.models import Task, send

DISCOVERY = "authentik.blueprints.v1.tasks.blueprints_discovery"


def run(task: Task):
    """Runs it. Whatever becomes of it, the worker goes on."""
    log("authentik.tasks", "info", "Task started", task_id=task.message_id, task_name=task.actor_name)
    try:
        import_string(task.actor_name)(task, *task.arguments)
    except OperationalError:
        raise
    except Exception as error:  # noqa: BLE001
        task.log("error", str(error))
        log("authentik.tasks", "error", "Task failed", task_name=task.actor_name, exc=str(error))
    task.state, task.mtime = "done", timezone.now()
    task.save()
    log("authentik.tasks", "info", "Task finished", task_id=task.message_id, task_name=task.actor_name)


def take() -> Task | None:
    """The oldest that nobody else has taken."""
    with transaction.atomic():
        queued = Task.objects.select_for_update(skip_locked=True).filter(state="queued")
        task = queued.order_by("mtime").first()
        if task:
            task.state, task.mtime = "running", timezone.now()
            task.save()
    return task


def work():
    """Goes on until it is told to end."""
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    log("authentik.tasks", "info", "Worker is ready")
    seen = None
    while not told.is_set():
        try:
            if seen is None:
                # what a worker that was killed has left behind
                Task.objects.filter(state="running").update(state="queued")
            if (found := fingerprint()) != seen:
                send(DISCOVERY)
                seen = found
            while not told.is_set() and (task := take()):
                run(task)
        except OperationalError as error:
            log("authentik.tasks", "warning", "The database is away", exc=str(error))
            connection.close()
        told.wait(1)
    log("authentik.tasks", "info", "Worker ends")
