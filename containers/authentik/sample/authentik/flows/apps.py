from django.apps import AppConfig


class AuthentikFlowsConfig(AppConfig):
    name = "authentik.flows"
    label = "authentik_flows"
