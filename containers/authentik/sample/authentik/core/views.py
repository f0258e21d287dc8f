"""The pages for people, and who the API takes somebody for."""

from django.http import HttpResponseRedirect, JsonResponse
from django.shortcuts import render

from authentik.api.answers import authenticated
from authentik.core.auth import AuthenticationFailed, user_of


def root(request):
    """Says who is signed in; others go to the flow for that."""
    try:
        user = user_of(request)
    except AuthenticationFailed:
        user = None
    if user is None:
        return HttpResponseRedirect("/flows/-/default/authentication/?next=/")
    return render(request, "if/user.html", {"title": "authentik", "user": user})


@authenticated
def me(request):
    """Who asks."""
    user = request.user
    return JsonResponse(
        {
            "user": {
                "pk": user.pk,
                "username": user.username,
                "name": user.name,
                "is_active": True,
                "is_superuser": user.is_superuser,
                "email": user.email,
                "avatar": "",
                "groups": [],
                "roles": [{"name": role.name, "pk": str(role.pk)} for role in user.roles.all()],
                "uid": str(user.pk),
                "settings": {},
                "type": "internal",
                "system_permissions": [],
            }
        }
    )
