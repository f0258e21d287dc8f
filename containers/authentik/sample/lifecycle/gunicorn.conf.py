"""Settings of gunicorn, which waits for the database and migrates it before anything is served."""

import os
from pathlib import Path
from tempfile import gettempdir

from authentik.lib.config import CONFIG
from authentik.lib.logging import LOGGING
from lifecycle.migrate import run_migrations
from lifecycle.wait_for_db import wait_for_db

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authentik.root.settings")

bind = f"unix://{Path(gettempdir()) / 'authentik-core.sock'}"
workers = int(CONFIG["web"]["workers"])
worker_tmp_dir = gettempdir()
# forked from one process that has loaded everything, workers share its memory
preload_app = True
logconfig_dict = LOGGING

if wait_for_db():
    run_migrations()
