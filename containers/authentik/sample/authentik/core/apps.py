from django.apps import AppConfig


class AuthentikCoreConfig(AppConfig):
    name = "authentik.core"
    label = "authentik_core"
