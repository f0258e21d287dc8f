"""The settings of the project."""

from pathlib import Path

BASE_DIR = Path(__file__).absolute().parent.parent.parent

SECRET_KEY = "sample"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "authentik.root.urls"
WSGI_APPLICATION = "authentik.root.wsgi.application"
INSTALLED_APPS = ["authentik.core", "authentik.rbac"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
STATICFILES_DIRS = [BASE_DIR / Path("web")]
