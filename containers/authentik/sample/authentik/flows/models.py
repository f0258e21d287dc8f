"""By which steps somebody gets in."""

from django.db import models


class Flow(models.Model):
    """The steps by their components, in order."""

    slug = models.TextField(unique=True)
    name = models.TextField()
    title = models.TextField()
    designation = models.TextField()
    stages = models.JSONField(default=list)
