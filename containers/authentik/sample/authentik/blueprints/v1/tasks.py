"""What the worker does with blueprints."""

from hashlib import sha512

from django.db import DatabaseError

from authentik.blueprints import models
from authentik.blueprints.models import BlueprintInstance
from authentik.blueprints.v1 import importer
from authentik.lib.logging import log
from authentik.tasks.models import Task, send

APPLY = f"{__name__}.apply_blueprint"


def blueprints_discovery(task: Task):
    """Has each file applied that was not applied as it is now."""
    paths = models.find()
    for path in paths:
        instance, is_new = BlueprintInstance.objects.get_or_create(path=path, defaults={"name": path})
        try:
            is_same = instance.last_applied_hash == _hash(models.retrieve(path))
        except (OSError, ValueError):
            # to apply it will say why
            is_same = False
        if is_new or not is_same:
            send(APPLY, str(instance.pk))
    task.log("info", f"{len(paths)} blueprints are there")


def apply_blueprint(task: Task, pk: str):
    """Applies one, and keeps what became of it."""
    instance = BlueprintInstance.objects.filter(pk=pk, enabled=True).first()
    if instance is None:
        task.log("warning", f"there is no blueprint {pk} to apply")
        return
    task.uid = f"{task.actor_name}:{instance.path}"
    try:
        text = models.retrieve(instance.path)
        blueprint = importer.parse(text)
        instance.metadata = blueprint.get("metadata") or {}
        instance.name = instance.metadata.get("name", instance.path)
        importer.apply(blueprint)
    except (OSError, ValueError, AttributeError, DatabaseError, importer.Invalid) as error:
        instance.status = "error"
        task.log("error", str(error))
        log("authentik.blueprints", "warning", "blueprint can't be applied", path=instance.path, exc=str(error))
    else:
        instance.status, instance.last_applied_hash = "successful", _hash(text)
        log("authentik.blueprints", "info", "blueprint applied", path=instance.path)
    instance.save()


def _hash(text: str) -> str:
    return sha512(text.encode()).hexdigest()
