"""The task, against a real SMTP server that fails in each way there is. Jobs are run by Tidewheel itself (`run_pending`)."""

import asyncio
import socket
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from django.conf import settings
from django.core.cache import cache
from django.test import TransactionTestCase, override_settings
from django.utils import timezone
from tidewheel import Abort, Retry, RetryIn, Snooze
from tidewheel.testing import run_pending

from celery_tasks import app
from celery_tasks.tasks import LATER, send_activation_mail
from mailcatcher.smtp import Mailbox, Reception
from mdadmin import tokens
from mdadmin.models import REST, User
from mydemo import settings as project

PATIENT = Retry(on=LATER.on, never=LATER.never, delay=1000, jitter=False)
"""The task's own policy, with a wait that is surely not over within a test."""


class Stubborn(Reception):
    """A mail server that answers as it is told to."""

    def __init__(self) -> None:
        super().__init__(Mailbox())
        self.at_rcpt = self.at_data = ""
        self.after_data: Any = None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        return self.at_rcpt or await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.at_data == "hang up":
            server.transport.abort()
            return "250 never read"
        if self.at_data == "hang":
            await asyncio.get_running_loop().create_future()
        return self.at_data or await super().handle_DATA(server, session, envelope)


def smtp(port: int, **options: Any) -> override_settings:
    """Real SMTP: Django's test runner has replaced all mail by a list in memory."""
    options = project.SMTP | {"port": port, "timeout": 2} | options
    if hasattr(project, "MAILERS"):
        return override_settings(MAILERS={"default": {**project.MAILERS["default"], "OPTIONS": options}})
    renamed = {"username": "host_user", "password": "host_password"}
    chosen = {f"EMAIL_{renamed.get(name, name).upper()}": value for name, value in options.items()}
    return override_settings(EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", **chosen)


class Mailing(TransactionTestCase):
    def setUp(self) -> None:
        cache.clear()
        app.purge("mail")
        User.sign_up("ann@example.com", "en")
        self.ann = User.objects.get()
        self.server = Stubborn()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(
            self.server, hostname="127.0.0.1", port=self.port, server_hostname="test.example",
            authenticator=self.log_in, auth_require_tls=False,
        )  # fmt: skip
        self.login_says = "535 5.7.8 wrong password"
        self.controller.start()
        self.addCleanup(self._stop)
        self.enterContext(smtp(self.port))

    def _stop(self) -> None:
        if self.controller is not None:
            self.controller.stop()
            self.controller = None  # type: ignore[assignment]

    def log_in(self, *about: Any) -> AuthResult:
        return AuthResult(success=False, message=self.login_says, handled=False)

    def run_one(self) -> Any:
        """The job's record after one run of it by a worker."""
        job = send_activation_mail.using(retry=PATIENT).delay(self.ann.pk)
        self.assertEqual(run_pending(app), 1)
        return app.record(job.id)

    # -- sending ---------------------------------------------------------------------------------------------------------

    def test_sends_text_and_html_in_the_accounts_language(self) -> None:
        for language, subject in (("en", "Confirm your address at Bright Moon"), ("zh-hans", "海上明月：请激活您的账号")):
            User.objects.update(language=language)
            self.assertEqual(send_activation_mail(self.ann.pk), "sent")
            mail = self.server.mailbox.mails()[-1]
            self.assertEqual(mail.header("Subject"), subject)
            self.assertEqual(mail.header("Auto-Submitted"), "auto-generated")
            self.assertEqual([part.get_content_type() for part in mail.message.iter_parts()], ["text/plain", "text/html"])
            (link,) = mail.links
            self.assertTrue(link.startswith(settings.SITE_URL))
            self.assertIn(f'href="{link}"', mail.part("html"))
            self.assertEqual(tokens.read(link.rpartition("/")[2]), self.ann)

    def test_the_message_id_is_the_jobs(self) -> None:
        job = send_activation_mail.delay(self.ann.pk)
        run_pending(app)
        self.assertEqual(job.get(5), "sent")
        self.assertEqual(self.server.mailbox.mails()[0].header("Message-ID"), f"<activation.{job.id}@mydemo.example>")

    def test_skips_whom_there_is_nothing_to_send_to(self) -> None:
        cases = [{"email_verified_at": timezone.now()}, {"is_active": False}, {"email_refused_at": timezone.now()}]
        for case in cases:
            User.objects.update(**{"email_verified_at": None, "is_active": True, "email_refused_at": None} | case)
            self.assertEqual(send_activation_mail(self.ann.pk), "skipped")
        self.assertEqual(send_activation_mail(0), "skipped")
        self.assertEqual(self.server.mailbox.mails(), [])

    def test_a_refused_address_is_tried_again_after_its_rest(self) -> None:
        User.objects.update(email_refused_at=timezone.now() - REST)
        self.assertEqual(send_activation_mail(self.ann.pk), "sent")

    # -- failing ---------------------------------------------------------------------------------------------------------

    def test_550_is_final_and_noted(self) -> None:
        self.server.at_rcpt = "550 5.1.1 <ann@example.com> is nobody"
        record = self.run_one()
        self.assertEqual((record.state, record.reason), ("dead", "aborted"))
        self.assertNotIn(b"ann@example.com", record.error)
        self.ann.refresh_from_db()
        self.assertEqual(self.ann.email_refusal, "550 5.1.1 <(the address)> is nobody")
        self.assertIsNotNone(self.ann.email_refused_at)

    def test_451_waits_for_minutes_and_longer_each_time(self) -> None:
        self.server.at_rcpt = "451 4.7.1 who are you?"
        with self.assertRaises(RetryIn) as caught:
            send_activation_mail(self.ann.pk)
        self.assertGreaterEqual(caught.exception.delay, 300)
        record = self.run_one()
        self.assertEqual((record.state, record.attempts), ("scheduled", 1))
        self.ann.refresh_from_db()
        self.assertIsNone(self.ann.email_refused_at)

    def test_a_refused_mail_is_final_but_says_nothing_of_the_address(self) -> None:
        self.server.at_data = "554 5.7.1 looks like spam"
        with self.assertRaisesRegex(Abort, "554 5.7.1 looks like spam"):
            send_activation_mail(self.ann.pk)
        self.ann.refresh_from_db()
        self.assertIsNone(self.ann.email_refused_at)

    def test_what_passes_is_tried_again(self) -> None:
        for trouble in ("421 4.3.2 closing down", "452 4.3.1 disk full", "hang up", "hang"):
            with self.subTest(trouble):
                self.server.at_data = trouble
                record = self.run_one()
                self.assertEqual((record.state, record.attempts), ("scheduled", 1), record)

    def test_a_server_that_is_down_is_tried_again(self) -> None:
        self._stop()
        record = self.run_one()
        self.assertEqual((record.state, record.attempts), ("scheduled", 1), record)

    def test_a_host_without_an_address_is_tried_again(self) -> None:
        with smtp(25, host="nowhere.invalid"):
            record = self.run_one()
        self.assertEqual((record.state, record.attempts), ("scheduled", 1), record)

    def test_a_refused_login_spends_no_attempt_and_is_said_loudly(self) -> None:
        with smtp(self.port, username="site", password="wrong"):
            with self.assertLogs("celery_tasks.tasks", "CRITICAL") as logs, self.assertRaises(Snooze):
                send_activation_mail(self.ann.pk)
            self.assertIn("refuses our login", logs.output[0])
            record = self.run_one()
        self.assertEqual((record.state, record.attempts), ("scheduled", 0), record)

    def test_a_login_that_cannot_be_checked_just_now_is_tried_again(self) -> None:
        self.login_says = "454 4.7.0 the directory is down"
        with smtp(self.port, username="site", password="right"):
            record = self.run_one()
        self.assertEqual((record.state, record.attempts), ("scheduled", 1), record)

    def test_a_server_that_cannot_do_tls_is_a_mistake_of_ours_and_final(self) -> None:
        with smtp(self.port, use_tls=True):
            record = self.run_one()
        self.assertEqual((record.state, record.reason), ("dead", "failed"), record)
