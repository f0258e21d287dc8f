"""Who somebody is: by the session of a browser, or by a token."""

from django.middleware.csrf import rotate_token

from authentik.core.models import Token, User

SESSION_USER = "authentik/user"


class AuthenticationFailed(Exception):
    """What was shown is not right."""


def user_of(request) -> User | None:
    """The user who asks; none is nobody in particular."""
    kind, _, key = request.headers.get("Authorization", "").strip().partition(" ")
    if kind.lower() == "bearer" and key:
        token = Token.objects.select_related("user").filter(key=key).first()
        if token is None:
            raise AuthenticationFailed("Token invalid/expired")
        return token.user
    return User.objects.filter(pk=request.session.get(SESSION_USER)).first()


def sign_in(request, user: User):
    """From here on the session is the user's, by another name than before."""
    request.session.cycle_key()
    request.session[SESSION_USER] = user.pk
    rotate_token(request)
