from django.apps import AppConfig


class AuthentikTasksConfig(AppConfig):
    name = "authentik.tasks"
    label = "authentik_tasks"
