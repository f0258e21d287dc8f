"""The settings of the project."""

from pathlib import Path

from authentik.lib.config import CONFIG
from authentik.lib.logging import LOGGING

BASE_DIR = Path(__file__).absolute().parent.parent.parent

# nothing that is signed outlives a server without a database
SECRET_KEY = CONFIG["secret_key"] or "sample"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "authentik.root.urls"
WSGI_APPLICATION = "authentik.root.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.sessions",
    "authentik.blueprints",
    "authentik.core",
    "authentik.flows",
    "authentik.rbac",
    "authentik.tasks",
]
MIDDLEWARE = [
    "authentik.root.middleware.LoggingMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": CONFIG["postgresql"]["host"],
        "PORT": CONFIG["postgresql"]["port"],
        "NAME": CONFIG["postgresql"]["name"],
        "USER": CONFIG["postgresql"]["user"],
        "PASSWORD": CONFIG["postgresql"]["password"],
        "OPTIONS": {"connect_timeout": 5},
    }
}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
SESSION_COOKIE_NAME = "authentik_session"
CSRF_COOKIE_NAME = "authentik_csrf"
CSRF_HEADER_NAME = "HTTP_X_AUTHENTIK_CSRF"
APPEND_SLASH = False
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / Path("web")]
USE_TZ = True
TIME_ZONE = "UTC"
