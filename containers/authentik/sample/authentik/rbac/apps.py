from django.apps import AppConfig


class AuthentikRBACConfig(AppConfig):
    name = "authentik.rbac"
    label = "authentik_rbac"
