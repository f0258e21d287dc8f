"""Settings of gunicorn."""

from pathlib import Path
from tempfile import gettempdir

from authentik.lib.config import CONFIG

bind = f"unix://{Path(gettempdir()) / 'authentik-core.sock'}"
workers = int(CONFIG["web"]["workers"])
