"""What mails show."""

from pathlib import Path


def logo_data() -> bytes:
    """The logo, from the source tree or from what was built of it."""
    path = Path("web/icons/icon_left_brand.png")
    if not path.exists():
        path = Path("web/dist/assets/icons/icon_left_brand.png")
    return path.read_bytes()
