import re
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, TestCase, TransactionTestCase, override_settings
from django.utils import timezone
from tidewheel.contract import JobFilter

from celery_tasks import app
from celery_tasks.tasks import send_activation_mail
from mdadmin import texts, tokens
from mdadmin.models import User

JSON = {"content_type": "application/json"}
GONE = {"msg": "激活链接失效，请重新发送邮件进行激活", "code": 410}


def queued() -> int:
    counts = app.counts("mail").get("mail")
    return counts.ready if counts else 0


class Pages(TestCase):
    def setUp(self) -> None:
        cache.clear()
        app.purge("mail")

    def ask(self, where: str, email: object, **how: object) -> HttpResponse:
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(where, {"email": email}, **JSON, **how)  # type: ignore[arg-type]


class SigningUp(Pages):
    def test_queues_one_job_with_the_id_and_nothing_else(self) -> None:
        self.ask("/", "Ann@Example.com")
        (job,) = app.browse().jobs(JobFilter())
        ann = User.objects.get(email="ann@example.com")
        self.assertEqual((job.task, job.queue), ("celery_tasks.tasks.send_activation_mail", "mail"))
        self.assertEqual(job.body, send_activation_mail.call(ann.pk).envelope.body)

    def test_queues_after_the_commit_and_not_before(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks:
            self.client.post("/", {"email": "ann@example.com"})
        self.assertEqual((len(callbacks), queued()), (1, 0))
        callbacks[0]()
        self.assertEqual(queued(), 1)

    def test_remembers_the_language_of_the_last_request(self) -> None:
        self.ask("/", "ann@example.com", headers={"accept-language": "zh-CN"})
        self.assertEqual(User.objects.get().language, "zh-hans")
        cache.clear()
        self.ask("/", "ann@example.com", headers={"accept-language": "en"})
        self.assertEqual(User.objects.get().language, "en")

    def test_says_what_is_no_address(self) -> None:
        injection = "a@example.com\nBcc: b@example.com"
        for email in ("", "ann", "ann@", "a@b", "x" * 250 + "@example.com", ["ann@example.com"], None, 7, injection):
            with self.subTest(email=email):
                answer = self.ask("/", email)
                self.assertEqual((answer.status_code, answer.json()["code"]), (400, 400))
        page = self.client.post("/", {"email": "ann"}, headers={"accept-language": "zh-CN"})
        self.assertContains(page, "输入一个有效的 Email 地址", status_code=400)
        self.assertContains(page, 'value="ann"', status_code=400)
        self.assertEqual((User.objects.count(), queued()), (0, 0))

    def test_takes_rubbish_for_an_empty_form(self) -> None:
        for body in ("", "{", "[]", "null", b"\xff", '"x"'):
            self.assertEqual(self.client.post("/", body, **JSON).status_code, 400)


class Unavailable(TransactionTestCase):
    def test_a_broker_that_is_down_is_said_and_may_be_tried_again_at_once(self) -> None:
        cache.clear()
        url = app.url
        app.close()
        app.url = f"sqlite:///{settings.DATA}"  # a folder
        try:
            for _ in range(2):
                with self.assertLogs("mdadmin.views", "ERROR"):
                    answer = self.client.post("/", {"email": "ann@example.com"}, **JSON)
                self.assertEqual((answer.status_code, answer.json()["code"]), (503, 503))
        finally:
            app.close()
            app.url = url
        self.assertEqual(self.client.post("/", {"email": "ann@example.com"}, **JSON).status_code, 200)


class NothingTold(Pages):
    def setUp(self) -> None:
        super().setUp()
        User.objects.create(email="waits@example.com")
        User.objects.create(email="confirmed@example.com", email_verified_at=timezone.now())
        User.objects.create(email="banned@example.com", is_active=False)

    def test_one_answer_and_one_job_for_every_address(self) -> None:
        for where in ("/mdadmin/email/", "/"):
            cache.clear()
            answers = set()
            for n, name in enumerate(("waits", "confirmed", "banned", "unknown"), 1):
                answer = self.ask(where, f"{name}@example.com")
                answers.add((answer.status_code, answer.content, str(sorted(answer.headers.items()))))
                self.assertEqual(queued(), n)
            self.assertEqual(len(answers), 1, answers)
            app.purge("mail")

    def test_asking_for_a_mail_makes_no_account(self) -> None:
        self.ask("/mdadmin/email/", "unknown@example.com")
        self.assertFalse(User.objects.filter(email="unknown@example.com").exists())

    def test_signing_up_again_changes_nothing(self) -> None:
        before = list(User.objects.order_by("pk").values())
        for name in ("confirmed", "banned"):
            self.ask("/", f"{name}@example.com")
        self.assertEqual(list(User.objects.order_by("pk").values()), before)


class Throttled(Pages):
    def test_one_mail_a_minute_to_an_address_and_the_answer_is_the_same(self) -> None:
        first, second = self.ask("/", "ann@example.com"), self.ask("/mdadmin/email/", "ANN@example.com")
        self.assertEqual((first.status_code, first.content), (second.status_code, second.content))
        self.assertEqual(queued(), 1)
        self.ask("/", "bob@example.com")
        self.assertEqual(queued(), 2)

    def test_five_an_hour(self) -> None:
        with override_settings(MAIL_PAUSE=0):
            for _ in range(8):
                self.assertEqual(self.ask("/", "ann@example.com").json(), {"msg": "OK", "code": 200})
        self.assertEqual(queued(), settings.MAILS_PER_HOUR)

    @override_settings(REQUESTS_PER_HOUR=3)
    def test_a_client_that_asks_too_often_is_told(self) -> None:
        codes = [self.ask("/", f"{n}@example.com").status_code for n in range(5)]
        self.assertEqual(codes, [200, 200, 200, 429, 429])
        answer = self.client.post("/", {"email": "x@example.com"})
        self.assertContains(answer, "Too many requests", status_code=429)
        self.assertEqual(answer["Retry-After"], "3600")
        other = self.client.post("/", {"email": "x@example.com"}, REMOTE_ADDR="192.0.2.7")
        self.assertEqual(other.status_code, 302)

    def test_no_address_lies_about_in_the_cache(self) -> None:
        from django.db import connection

        self.ask("/", "ann@example.com")
        with connection.cursor() as cursor:
            cursor.execute("SELECT cache_key FROM throttle")
            keys = [key for (key,) in cursor.fetchall()]
        self.assertTrue(keys)
        self.assertFalse([key for key in keys if "ann" in key or "127.0.0.1" in key])


class Activating(Pages):
    def setUp(self) -> None:
        super().setUp()
        User.sign_up("ann@example.com", "en")
        self.ann = User.objects.get()
        self.link = f"/mdadmin/active/{tokens.make(self.ann)}"

    def active(self) -> bool:
        self.ann.refresh_from_db()
        return self.ann.email_verified_at is not None

    def test_looking_changes_nothing(self) -> None:
        for method in ("get", "head", "options"):
            self.assertEqual(getattr(self.client, method)(self.link).status_code, 200)
        for method in ("put", "delete", "patch"):
            self.assertEqual(getattr(self.client, method)(self.link, **JSON).status_code, 405)
        self.assertFalse(self.active())

    def test_the_page_asks_and_is_kept_nowhere(self) -> None:
        page = self.client.get(self.link)
        self.assertContains(page, "ann@example.com")
        self.assertContains(page, "csrfmiddlewaretoken")
        self.assertIn("no-store", page["Cache-Control"])
        self.assertEqual(page["Referrer-Policy"], "same-origin")

    def test_the_button_activates_once(self) -> None:
        self.assertRedirects(self.client.post(self.link), "/mdadmin/welcome/")
        self.assertTrue(self.active())
        when = self.ann.email_verified_at
        self.assertContains(self.client.post(self.link), "This link was used before", status_code=410)
        self.assertTrue(self.active())
        self.assertEqual(self.ann.email_verified_at, when)

    def test_programs_get_the_tutorials_answers(self) -> None:
        self.assertEqual(self.client.post(self.link, **JSON).json(), {"msg": "激活成功", "code": 200})
        for answer in (self.client.post(self.link, **JSON), self.client.get(self.link, headers={"accept": "application/json"})):
            self.assertEqual((answer.status_code, answer.json()), (410, GONE))
            self.assertIn("激活链接失效", answer.content.decode())  # readable, not \\u6fc0

    def test_forms_need_the_csrf_token_whatever_they_accept(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        for headers in ({}, {"accept": "application/json"}):
            self.assertEqual(strict.post(self.link, headers=headers).status_code, 403)
        self.assertEqual(strict.post("/", "{}", content_type="text/plain").status_code, 403)
        self.assertFalse(self.active())
        self.assertEqual(strict.post(self.link, **JSON).status_code, 200)

    def test_of_two_clicks_at_once_one_wins(self) -> None:
        token_was_read = tokens.read

        def and_then_another_click(token: str) -> User:
            user = token_was_read(token)
            User.objects.update(email_verified_at=timezone.now())
            return user

        tokens.read = and_then_another_click
        try:
            self.assertEqual(self.client.post(self.link, **JSON).status_code, 410)
        finally:
            tokens.read = token_was_read


class Negotiation(Pages):
    def test_pages_for_people_json_for_programs(self) -> None:
        browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        for accept, kind in ((browser, "text/html"), ("*/*", "text/html"), ("application/json", "application/json")):
            answer = self.client.get("/mdadmin/active/x", headers={"accept": accept})
            self.assertEqual((answer.status_code, answer["Content-Type"].split(";")[0]), (410, kind))
            self.assertIn("Accept", answer["Vary"])


class Words(TestCase):
    def test_every_text_is_there_in_both_languages_and_used(self) -> None:
        folder = Path(texts.__file__).parent
        used = set()
        for path in folder.rglob("*.html"), folder.rglob("*.txt"):
            for file in path:
                used |= set(re.findall(r"\bt\.(\w+)", file.read_text(encoding="utf-8")))
        code = (folder / "views.py").read_text(encoding="utf-8") + (folder / "mail.py").read_text(encoding="utf-8")
        used |= set(re.findall(r'text\["(\w+)"\]', code))
        for key in ("too_many", "unavailable", "csrf", *(f"flaw_{flaw.value}" for flaw in tokens.Flaw)):
            used |= {key, f"{key}_title"}
        self.assertEqual(used, set(texts.TEXTS))
        self.assertEqual([key for key, both in texts.TEXTS.items() if len(both) != 2 or not all(both)], [])

    def test_each_page_is_in_its_language(self) -> None:
        for where in ("/", "/mdadmin/email/", "/mdadmin/sent/", "/mdadmin/welcome/", "/mdadmin/active/x", "/nowhere"):
            self.assertContains(self.client.get(where, headers={"accept-language": "en"}), '<html lang="en">', status_code=_status(where))
            chinese = self.client.get(where, headers={"accept-language": "zh-CN"})
            self.assertContains(chinese, '<html lang="zh-Hans">', status_code=_status(where))


def _status(where: str) -> int:
    return {"/nowhere": 404, "/mdadmin/active/x": 410}.get(where, 200)

