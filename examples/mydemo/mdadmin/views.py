"""Sign up, ask for the mail again, activate: pages for people and the same as JSON for programs.

Two rules run through all of it. Nobody learns here whether an address has an account: the answer is the same, takes the same work, and
even a job is queued each time. And a GET changes nothing: mail scanners and link previews open every link in a mail.
"""

import json
import logging
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.generic import TemplateView, View
from tidewheel.django import on_commit
from tidewheel.errors import BrokerError

from celery_tasks.tasks import send_activation_mail
from mdadmin import throttle, tokens
from mdadmin.forms import EmailForm
from mdadmin.models import User
from mdadmin.texts import text

log = logging.getLogger(__name__)

NOBODY = 0
"""The id of no account: the job that is queued when there is nothing to send."""


def sends_json(request: HttpRequest) -> bool:
    return request.content_type == "application/json"


def reads_json(request: HttpRequest) -> bool:
    return sends_json(request) or request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def answer(request: HttpRequest, template: str, status: int, msg: str, **context: Any) -> HttpResponse:
    """One outcome, as a page or as JSON, whichever the client reads; both with the status that it has."""
    if reads_json(request):
        response: HttpResponse = JsonResponse({"msg": msg, "code": status}, status=status, json_dumps_params={"ensure_ascii": False})
    else:
        response = render(request, template, context, status=status)
    patch_vary_headers(response, ["Accept"])
    return response


def done(request: HttpRequest, page: str, msg: str) -> HttpResponse:
    """Success: people go on to a page of its own, so that reloading it sends nothing again."""
    return answer(request, f"mdadmin/{page}.html", 200, msg) if reads_json(request) else redirect(page)


def notice(request: HttpRequest, status: int, key: str, msg: str, **context: Any) -> HttpResponse:
    """An end that needs one heading and one sentence."""
    return answer(request, "mdadmin/notice.html", status, msg, title=text[f"{key}_title"], sentence=text[key], **context)


@method_decorator(csrf_exempt, name="dispatch")
class FormView(View):
    """A view whose forms need the CSRF token, and which takes JSON without one.

    That is safe for JSON alone: a page of another site cannot make a browser send `Content-Type: application/json` here without asking
    first (CORS preflight), and this site never consents. A form content type is checked whatever the request accepts.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        view = super().dispatch if sends_json(request) else csrf_protect(super().dispatch)
        return view(request, *args, **kwargs)


class SendEmailView(FormView):
    """Ask for an activation mail for an account that is not confirmed yet."""

    template = "mdadmin/resend.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, self.template, {"form": EmailForm()})

    def post(self, request: HttpRequest) -> HttpResponse:
        form = EmailForm(_fields(request))
        if not form.is_valid():
            return answer(request, self.template, 400, "; ".join(form.errors.get("email", [])), form=form)
        if not throttle.client_may_ask(request.META["REMOTE_ADDR"]):
            response = notice(request, 429, "too_many", "请求过于频繁，请稍后再试")
            response["Retry-After"] = str(throttle.HOUR)
            return response
        email = form.cleaned_data["email"]
        if throttle.address_may_get_mail(email):  # if not, the answer is the same: this limit would tell what others asked for
            try:
                self.queue_mail(email, get_language() or settings.LANGUAGE_CODE)
            except BrokerError:
                log.exception("an activation mail could not be queued")
                throttle.no_mail_after_all(email)
                return notice(request, 503, "unavailable", "暂时无法发送邮件，请稍后再试")
        return done(request, "sent", "OK")

    def queue_mail(self, email: str, language: str) -> None:
        """Queue the job after the commit, or a fast worker looks for an account that is not there yet."""
        with transaction.atomic():
            self.before(email, language)
            accounts = User.objects.unconfirmed().filter(email=email)
            accounts.update(language=language)
            user_id = accounts.values_list("pk", flat=True).first() or NOBODY
            on_commit(send_activation_mail, user_id)

    def before(self, email: str, language: str) -> None:
        """What else belongs into the transaction."""


class SignUpView(SendEmailView):
    """Make an account that has to be confirmed. For an address that has one already, the same as asking for the mail again."""

    template = "mdadmin/sign_up.html"

    def before(self, email: str, language: str) -> None:
        User.sign_up(email, language)


@method_decorator(never_cache, name="dispatch")
class ActiveView(FormView):
    """What the link in the mail opens: a page that asks, and whose button confirms the address."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            user = tokens.read(token)
        except tokens.BadToken as bad:
            return self.gone(request, bad.flaw)
        return answer(request, "mdadmin/confirm.html", 200, "请用 POST 确认激活", email=user.email)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            user = tokens.read(token)
        except tokens.BadToken as bad:
            return self.gone(request, bad.flaw)
        # One conditional statement, and not save(): of two clicks at once one wins, and nothing else of the row is written back.
        won = User.objects.unconfirmed().filter(pk=user.pk, email=user.email).update(email_verified_at=timezone.now())
        if not won:
            return self.gone(request, tokens.Flaw.USED)
        return done(request, "welcome", "激活成功")

    def gone(self, request: HttpRequest, flaw: tokens.Flaw) -> HttpResponse:
        """Expired, used, tampered with, made for something else: people read which it is, programs get one answer."""
        return notice(request, 410, f"flaw_{flaw.value}", "激活链接失效，请重新发送邮件进行激活", resend=flaw is not tokens.Flaw.USED)


class SentView(TemplateView):
    template_name = "mdadmin/sent.html"


class WelcomeView(TemplateView):
    template_name = "mdadmin/welcome.html"


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return notice(request, 403, "csrf", "CSRF 验证失败")


def _fields(request: HttpRequest) -> dict[str, Any]:
    """The form's fields, sent as a form or as a JSON object; whatever is neither is an empty form."""
    if not sends_json(request):
        return request.POST
    try:
        fields = json.loads(request.body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
