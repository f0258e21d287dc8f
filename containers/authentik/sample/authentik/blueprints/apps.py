from django.apps import AppConfig


class AuthentikBlueprintsConfig(AppConfig):
    name = "authentik.blueprints"
    label = "authentik_blueprints"
