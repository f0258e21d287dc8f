from django.db import models


class Role(models.Model):
    """What users of it may do."""

    name = models.TextField(unique=True)
