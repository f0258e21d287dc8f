"""What is set up when the container starts: files, and what is known of each in the database."""

from pathlib import Path
from uuid import uuid4

from django.db import models

from authentik.lib.config import CONFIG


class BlueprintInstance(models.Model):
    """A blueprint, and what became of it when it was applied."""

    instance_uuid = models.UUIDField(primary_key=True, default=uuid4)
    name = models.TextField()
    path = models.TextField(unique=True)
    metadata = models.JSONField(default=dict)
    status = models.TextField(default="unknown")
    enabled = models.BooleanField(default=True)
    last_applied = models.DateTimeField(auto_now=True)
    last_applied_hash = models.TextField(default="")


def find() -> list[str]:
    """The blueprints, by their paths below the folder of all; none that is hidden, or below something hidden."""
    root = Path(CONFIG["blueprints_dir"])
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("**/*.yaml")
        if not any(part.startswith(".") for part in path.parts)
    )


def fingerprint() -> list[tuple]:
    """It is another when a file has changed, come or gone."""
    root = Path(CONFIG["blueprints_dir"])
    return [(path, root.joinpath(path).stat().st_mtime) for path in find() if root.joinpath(path).exists()]


def retrieve(path: str) -> str:
    """The text of one; none from elsewhere."""
    base = Path(CONFIG["blueprints_dir"])
    full_path = base.joinpath(path).resolve()
    if not str(full_path).startswith(str(base.resolve())):
        raise ValueError("Invalid blueprint path")
    return full_path.read_text()
