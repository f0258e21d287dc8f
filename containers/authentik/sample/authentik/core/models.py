from django.db import models


class User(models.Model):
    """Somebody who logs in."""

    name = models.TextField()
    roles = models.ManyToManyField("authentik_rbac.Role", blank=True)
