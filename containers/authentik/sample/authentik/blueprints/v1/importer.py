"""Reads blueprints, and makes what they describe."""

import os

import yaml
from django.db import connection, transaction

from authentik.core.models import Token, User
from authentik.flows.models import Flow
from authentik.flows.stages import STAGES


# one at a time, however many workers there are
LOCK = 1001


class Invalid(Exception):
    """What can't be applied, and why."""


class Loader(yaml.SafeLoader):
    """YAML with `!Env [NAME, DEFAULT]`."""


def _env(loader, node):
    name, default = loader.construct_sequence(node)
    return os.environ.get(name) or default


Loader.add_constructor("!Env", _env)


def parse(text: str) -> dict:
    """What it says."""
    try:
        blueprint = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise Invalid(f"no YAML: {error}") from error
    if not isinstance(blueprint, dict) or blueprint.get("version", 1) != 1:
        raise Invalid("no blueprint of version 1")
    return blueprint


def apply(blueprint: dict):
    """All its entries, or none."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        for entry in blueprint.get("entries") or []:
            _apply(entry)


def _apply(entry):
    try:
        make = MAKERS[entry["model"]]
        # what is `created` belongs to others once it is there
        created_only = entry.get("state", "present") == "created"
        if all(entry.get("conditions", [])):
            make(entry["identifiers"], entry.get("attrs") or {}, created_only)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Invalid(f"an entry can't be applied: {error!r}") from error


def _user(identifiers, attrs, created_only):
    user = User.objects.filter(**identifiers).first()
    if user and created_only:
        return
    user = user or User(**identifiers)
    attrs = dict(attrs)
    if "password" in attrs:
        user.set_password(attrs.pop("password"))
    for name, value in attrs.items():
        setattr(user, name, value)
    user.save()


def _token(identifiers, attrs, created_only):
    token = Token.objects.filter(**identifiers).first()
    if token and created_only:
        return
    token = token or Token(**identifiers)
    token.key = attrs["key"]
    token.user = User.objects.filter(username=attrs["user"]).first()
    token.save()


def _flow(identifiers, attrs, created_only):
    if unknown := [name for name in attrs.get("stages", []) if name not in STAGES]:
        raise Invalid(f"there are no stages {unknown}")
    if not (created_only and Flow.objects.filter(**identifiers).exists()):
        Flow.objects.update_or_create(**identifiers, defaults=attrs)


MAKERS = {
    "authentik_core.token": _token,
    "authentik_core.user": _user,
    "authentik_flows.flow": _flow,
}
