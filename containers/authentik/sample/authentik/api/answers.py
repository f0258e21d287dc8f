"""What all answers of the API have in common."""

from functools import wraps

from django.core.paginator import Paginator
from django.http import JsonResponse

from authentik.core.auth import AuthenticationFailed, user_of


def authenticated(view):
    """Answers 403 to whoever is nobody; to others with `request.user`."""

    @wraps(view)
    def checked(request, *args, **kwargs):
        try:
            request.user = user_of(request)
        except AuthenticationFailed as error:
            return JsonResponse({"detail": str(error)}, status=403)
        if request.user is None:
            return JsonResponse({"detail": "Authentication credentials were not provided."}, status=403)
        return view(request, *args, **kwargs)

    return checked


def page(request, rows, serialize) -> JsonResponse:
    """A page of a list, with where it stands in the whole."""
    paginator = Paginator(rows, min(int(request.GET.get("page_size", 20)), 100))
    current = paginator.get_page(request.GET.get("page", 1))
    return JsonResponse(
        {
            "pagination": {
                "next": current.next_page_number() if current.has_next() else 0,
                "previous": current.previous_page_number() if current.has_previous() else 0,
                "count": paginator.count,
                "current": current.number,
                "total_pages": paginator.num_pages,
                "start_index": current.start_index(),
                "end_index": current.end_index(),
            },
            "results": [serialize(row) for row in current],
        }
    )
