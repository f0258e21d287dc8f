"""What happens around each request."""

from time import perf_counter

from authentik.lib.logging import log


class LoggingMiddleware:
    """A line for each request, with its status as a number."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        start = perf_counter()
        response = self.get_response(request)
        log(
            "authentik.asgi",
            "info",
            request.get_full_path(),
            method=request.method,
            remote=request.META.get("HTTP_X_FORWARDED_FOR", ""),
            runtime=int((perf_counter() - start) * 1000),
            scheme=request.scheme,
            status=response.status_code,
        )
        return response
