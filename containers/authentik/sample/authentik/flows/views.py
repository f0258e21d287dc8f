"""Flows as pages and as an API: one challenge after the other, until none is left."""

import json

from django.http import Http404, HttpResponseRedirect, JsonResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.shortcuts import get_object_or_404, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt

from authentik.core.auth import SESSION_USER
from authentik.flows.models import Flow
from authentik.flows.stages import STAGES, error

SESSION_PLAN = "authentik/flows/plan"


def default(request, designation):
    """Goes to the page of the first flow for something."""
    flow = Flow.objects.filter(designation=designation).order_by("slug").first()
    if flow is None:
        raise Http404
    query = request.GET.urlencode()
    return HttpResponseRedirect(f"/if/flow/{flow.slug}/" + (f"?{query}" if query else ""))


def interface(request, slug):
    """The page of a flow, for browsers old or new."""
    get_token(request)
    flow = get_object_or_404(Flow, slug=slug)
    page = "if/flow-sfe.html" if "sfe" in request.GET else "if/flow.html"
    return render(request, page, {"flow": flow, "title": flow.title})


@csrf_exempt
def executor(request, slug):
    """GET asks for the challenge, POST solves it and redirects to the next."""
    # a session of nobody has nothing that others could abuse
    if request.session.get(SESSION_USER) and (refused := _check_csrf(request)):
        return refused
    flow = get_object_or_404(Flow, slug=slug)
    plan = request.session.get(SESSION_PLAN)
    if plan is None or plan["flow"] != slug:
        plan = {"flow": slug, "left": flow.stages}
    request.session[SESSION_PLAN] = plan
    stage = _to_next_question(request, plan)
    errors = {}
    if request.method == "POST" and stage:
        answer = _answer(request, stage.field)
        errors = stage.solve(plan, answer) if answer else {stage.field: error("This field is required.", "required")}
        if not errors:
            plan["left"] = plan["left"][1:]
            return HttpResponseRedirect(request.get_full_path())
    if stage:
        return JsonResponse(_challenge(flow, plan["left"][0], stage.challenge(plan), errors))
    del request.session[SESSION_PLAN]
    return JsonResponse(_challenge(flow, "xak-flow-redirect", {"to": _next(request)}, {}))


def _to_next_question(request, plan):
    """Takes the steps that ask nothing."""
    while plan["left"] and STAGES[plan["left"][0]].field is None:
        STAGES[plan["left"][0]].run(request, plan)
        plan["left"] = plan["left"][1:]
    return STAGES[plan["left"][0]] if plan["left"] else None


def _answer(request, field) -> str:
    """What was said, as JSON or by a form."""
    if request.content_type != "application/json":
        return request.POST.get(field, "")
    try:
        answer = json.loads(request.body)
    except ValueError:
        return ""
    answer = answer.get(field) if isinstance(answer, dict) else None
    return answer if isinstance(answer, str) else ""


def _challenge(flow, component, more, errors) -> dict:
    return {
        "flow_info": {
            "title": flow.title,
            "background": "",
            "background_themed_urls": None,
            "cancel_url": "/flows/-/cancel/",
            "layout": "stacked",
        },
        "component": component,
        "response_errors": errors,
        **more,
    }


def _next(request) -> str:
    """Where the page of the flow was asked to go in the end, if that is here."""
    there = QueryDict(request.GET.get("query", "")).get("next", "/")
    return there if url_has_allowed_host_and_scheme(there, allowed_hosts=None) else "/"


def _check_csrf(request):
    """What refuses a request that another site may have made."""
    check = CsrfViewMiddleware(lambda request: None)
    check.process_request(request)
    return check.process_view(request, lambda request: None, (), {})
