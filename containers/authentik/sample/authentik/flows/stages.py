"""The steps of flows: what each asks, and what it makes of the answer.

Where a flow stands is a `plan` in the session: the steps that are left, and what the others found out.
"""

from authentik.core.auth import sign_in
from authentik.core.models import User


def error(text: str, code: str) -> list[dict]:
    """What is wrong with a field."""
    return [{"string": text, "code": code}]


class Identification:
    """Asks who somebody is; whether there is such a user, only the next step shows."""

    field = "uid_field"

    def challenge(self, plan: dict) -> dict:
        return {"user_fields": ["email", "username"], "password_fields": False, "primary_action": "Log in"}

    def solve(self, plan: dict, answer: str) -> dict:
        plan["username"] = answer
        for name in ("email", "username"):
            if user := User.objects.filter(**{f"{name}__iexact": answer}).first():
                plan["username"], plan["user"] = user.username, user.pk
                return {}
        return {}


class Password:
    """Asks for the password of who was named."""

    field = "password"

    def challenge(self, plan: dict) -> dict:
        return {
            "pending_user": plan["username"],
            "pending_user_avatar": "/static/dist/assets/icons/icon.svg",
            "allow_show_password": False,
        }

    def solve(self, plan: dict, answer: str) -> dict:
        user = User.objects.filter(pk=plan.get("user")).first()
        # nobody has to take as long as somebody
        if not (user or User()).check_password(answer) or user is None:
            return {"password": error("Invalid password", "invalid")}
        plan["password"] = True
        return {}


class Login:
    """Asks nothing: who was found out to be somebody is signed in."""

    field = None

    def run(self, request, plan: dict):
        if not plan.get("password"):
            raise ValueError("nobody was asked for a password")
        sign_in(request, User.objects.get(pk=plan["user"]))


STAGES = {
    "ak-stage-identification": Identification(),
    "ak-stage-password": Password(),
    "ak-stage-user-login": Login(),
}
