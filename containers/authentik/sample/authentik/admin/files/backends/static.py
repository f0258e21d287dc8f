"""The pictures that the web UI brings, found from where the container starts."""

from pathlib import Path

DIST = Path("web/dist")
SOURCES = Path("web/authentik/sources")


def list_files() -> list[str]:
    """What can be chosen, by its address below /static."""
    icons = [f"dist/assets/icons/{path.name}" for path in DIST.joinpath("assets/icons").glob("*")]
    return sorted(icons + [f"authentik/sources/{path.name}" for path in SOURCES.glob("*")])
