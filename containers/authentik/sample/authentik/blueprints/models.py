"""What is set up when the container starts."""

from pathlib import Path

from authentik.lib.config import CONFIG


def find() -> list[str]:
    """The blueprints, by their paths below the folder of all."""
    root = Path(CONFIG["blueprints_dir"])
    return sorted(str(path.relative_to(root)) for path in root.rglob("**/*.yaml"))


def retrieve(path: str) -> str:
    """The text of one; none from elsewhere."""
    base = Path(CONFIG["blueprints_dir"])
    full_path = base.joinpath(path).resolve()
    if not str(full_path).startswith(str(base.resolve())):
        raise ValueError("Invalid blueprint path")
    return full_path.read_text()
