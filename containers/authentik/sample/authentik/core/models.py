"""Who there is, and by what else than a password they are known."""

from django.contrib.auth.hashers import check_password, make_password
from django.db import models


class User(models.Model):
    """Somebody who logs in."""

    username = models.TextField(unique=True)
    name = models.TextField()
    email = models.TextField(default="")
    password = models.TextField(default="")
    is_superuser = models.BooleanField(default=False)
    roles = models.ManyToManyField("authentik_rbac.Role", blank=True)

    def set_password(self, password: str | None):
        """Keeps the hash; without a password none is right."""
        self.password = make_password(password)

    def check_password(self, password: str) -> bool:
        """Whether it is this one."""
        return check_password(password, self.password)


class Token(models.Model):
    """What a program shows in place of a password."""

    identifier = models.TextField(unique=True)
    key = models.TextField(unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
