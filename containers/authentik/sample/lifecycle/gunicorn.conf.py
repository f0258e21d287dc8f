"""Settings of gunicorn."""

bind = "unix:///tmp/authentik-core.sock"
workers = 2
