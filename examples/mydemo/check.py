"""The demo's check: everything that the example promises, tried over HTTP and SMTP against the real site, mail server and worker.

A step is a function whose first docstring line says what it shows; they run from top to bottom.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo import Fallen, Stage, say
from visitor import Page, Visitor

EXPIRED = {"msg": "激活链接失效，请重新发送邮件进行激活", "code": 410}
SETTINGS = {"MYDEMO_RETRY_DELAY": "1", "MYDEMO_GREYLIST_DELAY": "1"}
"""Seconds instead of minutes, so that the retries are seen."""

STEPS: list[Callable[[Check], None]] = []


def step(function: Callable[[Check], None]) -> Callable[[Check], None]:
    STEPS.append(function)
    return function


def expect(condition: object, what: str, got: object = "") -> None:
    if not condition:
        raise AssertionError(f"expected {what}" + (f"; got {got!r}" if got != "" else ""))


def until(condition: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
    """The condition's first true value. For what can only be asked; where there is an event, the check waits on the event."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        expect(time.monotonic() < deadline, f"{what} within {timeout:g} s")
        time.sleep(0.05)
    return value


class Check:
    """What the steps share. Imports the project itself to look into its database and queue, as an operator would."""

    def __init__(self, stage: Stage) -> None:
        import django

        django.setup()
        from celery_tasks import app
        from mdadmin import throttle, tokens
        from mdadmin.models import User

        self.stage, self.app, self.throttle, self.tokens, self.User = stage, app, throttle, tokens, User
        self.mailbox = stage.mail.mailbox
        self.english = Visitor(stage.site_url, "en")
        self.chinese = Visitor(stage.site_url, "zh-CN,zh;q=0.9")
        self.program = Visitor(stage.site_url)

    def sign_up(self, email: str, visitor: Visitor | None = None) -> Page:
        visitor = visitor or self.english
        visitor.get("/")
        return visitor.post("/", email=email)

    def resend(self, email: str, *, waited: bool = True) -> Page:
        """Ask for the mail again, `waited`: as if the minute between two mails were over."""
        if waited:
            self.throttle.no_mail_after_all(email)
        self.english.get("/mdadmin/email/")
        return self.english.post("/mdadmin/email/", email=email)

    def mails(self, email: str, count: int = 1, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Wait for the mails to an address, then read them where a person does: on the mailbox's page, as JSON."""
        self.mailbox.wait(email, count, timeout)
        return Visitor(self.stage.mailbox_url).get(f"/mails.json?to={email}").json

    def link(self, email: str, count: int = 1) -> str:
        links: list[str] = self.mails(email, count)[-1]["links"]
        expect(len(links) == 1 and links[0].startswith(f"{self.stage.site_url}/mdadmin/active/"), "one activation link", links)
        return links[0]

    def account(self, email: str) -> Any:
        return self.User.objects.get(email=email)

    def activated(self) -> set[str]:
        return set(self.User.objects.exclude(email_verified_at=None).values_list("email", flat=True))

    def all_quiet(self) -> None:
        """Wait until no job is queued, scheduled or running: what has not arrived by then never will."""

        def idle() -> bool:
            counts = self.app.counts("mail").get("mail")
            return counts is None or counts.ready + counts.scheduled + counts.running == 0

        until(idle, "an empty queue")


# -- the way it should go --------------------------------------------------------------------------------------------------


@step
def both_languages(c: Check) -> None:
    """pages in English and in Chinese, by the browser's language and by the switch"""
    expect("Create your account" in c.english.get("/").text, "an English page")
    page = c.chinese.get("/")
    expect("注册账号" in page.text and 'lang="zh-Hans"' in page.text, "a Chinese page", page.text)
    reader = Visitor(c.stage.site_url, "en")
    reader.get("/")
    expect("注册账号" in reader.post("/i18n/setlang/", language="zh-hans", next="/").text, "a Chinese page after the switch")
    expect("重新发送激活邮件" in reader.get("/mdadmin/email/").text, "that the choice is remembered")


@step
def sign_up_in_english(c: Check) -> None:
    """sign up → activation mail by real SMTP, as text and HTML, sent by the worker"""
    page = c.sign_up("ann@example.com")
    expect(page.url.endswith("/mdadmin/sent/") and "Check your mail" in page.text, "the page 'Check your mail'", page)
    (mail,) = c.mails("ann@example.com")
    link, headers = c.link("ann@example.com"), mail["headers"]
    expect(link in mail["html"] and link in mail["text"], "the link in both parts")
    expect(headers["Subject"] == "Confirm your address at Bright Moon", "an English subject", headers)
    expect(headers["Auto-Submitted"] == "auto-generated" and "@mydemo.example>" in headers["Message-ID"], "the headers", headers)
    expect("Confirm your address at Bright Moon" in Visitor(c.stage.mailbox_url).get("/").text, "the mail on the mailbox's page")
    shown = Visitor(c.stage.mailbox_url).get(f"/mail/{mail['number']}").text
    expect(link in shown and "<iframe" in shown, "the mail's own page with its link")


@step
def activate(c: Check) -> None:
    """the link opens a page that asks; HEAD and GET change nothing, the button activates exactly this account"""
    link = c.link("ann@example.com")
    expect(c.english.get(link, method="HEAD").status == 200, "200 for HEAD")
    page = c.english.get(link)
    expect(page.status == 200 and "Activate my account" in page.text and "ann@example.com" in page.text, "the confirmation page", page)
    expect(not c.activated(), "that nobody is activated by looking", c.activated())
    page = c.english.post(link)
    expect(page.url.endswith("/mdadmin/welcome/") and "Your account is active" in page.text, "the welcome page", page)
    expect(c.activated() == {"ann@example.com"}, "exactly ann activated", c.activated())


@step
def sign_up_in_chinese(c: Check) -> None:
    """注册 → 中文激活邮件 → 激活成功"""
    page = c.sign_up("li@example.com", c.chinese)
    expect("请查收邮件" in page.text, "a Chinese page", page)
    (mail,) = c.mails("li@example.com")
    expect(mail["headers"]["Subject"] == "海上明月：请激活您的账号" and "恭喜您成为海上明月会员" in mail["html"], "a Chinese mail", mail)
    link = c.link("li@example.com")
    expect("激活账号" in c.chinese.get(link).text, "a Chinese confirmation page")
    expect("激活成功" in c.chinese.post(link).text, "激活成功")
    expect(c.activated() == {"ann@example.com", "li@example.com"}, "li activated, too", c.activated())


@step
def programs(c: Check) -> None:
    """programs get the tutorial's JSON, with the status that is true"""
    page = c.program.post_json("/", {"email": "bot@example.com"})
    expect((page.status, page.json) == (200, {"msg": "OK", "code": 200}), "OK", page)
    link = c.link("bot@example.com")
    page = c.program.get(link, accept="application/json")
    expect(page.status == 200 and "bot@example.com" not in c.activated(), "a GET that changes nothing", page)
    page = c.program.post_json(link)
    expect((page.status, page.json) == (200, {"msg": "激活成功", "code": 200}), "激活成功", page)
    page = c.program.post_json(link)
    expect((page.status, page.json) == (410, EXPIRED), "410 for a used link", page)
    for body in ({"email": "no address"}, {"email": ["x"]}, {}, ["list"], "text"):
        page = c.program.post_json("/", body)
        expect(page.status == 400 and page.json["code"] == 400, f"400 for {body!r}", page)


# -- links that must not work --------------------------------------------------------------------------------------------------


@step
def bad_links(c: Check) -> None:
    """used, tampered, expired, foreign and made-up links: a clear page with 410, and nothing happens"""
    from django.core import signing

    before = c.activated()
    c.sign_up("eve@example.com")
    good = c.link("eve@example.com").rpartition("/")[2]
    eve, ann = c.account("eve@example.com"), c.account("ann@example.com")

    class LongAgo(signing.TimestampSigner):
        def timestamp(self) -> str:
            return signing.b62_encode(int(time.time()) - 1801)

    state = [eve.pk, c.tokens.fingerprint(eve)]
    purpose = c.tokens.PURPOSE
    body, moment, signature = good.split(":")
    anns_body = base64.urlsafe_b64encode(json.dumps([ann.pk, state[1]]).encode()).decode().rstrip("=")
    bad = {
        "expired": LongAgo(salt=purpose).sign_object(state),
        "one letter changed": f"{body}:{moment}:{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
        "another account written into it": f"{anns_body}:{moment}:{signature}",
        "later time written into it": f"{body}:{signing.b62_encode(int(time.time()) + 999)}:{signature}",
        "cut off": good[:-5],
        "signed for another purpose": signing.dumps(state, salt="password-reset"),
        "signed with another key": signing.dumps(state, key="another key", salt=purpose),
        "of an account that does not exist": signing.dumps([987654321, state[1]], salt=purpose),
        "with a name for an id": signing.dumps(["eve", state[1]], salt=purpose),
        "with an id beyond all numbers": signing.dumps([10**40, state[1]], salt=purpose),
        "of another shape": signing.dumps({"user": 1}, salt=purpose),
        "for the state of another account": signing.dumps([eve.pk, c.tokens.fingerprint(ann)], salt=purpose),
        "rubbish": "not-a-token",
        "Chinese rubbish": "%E6%BF%80%E6%B4%BB",
        "very long": "x" * 5000,
        "a zero byte": "%00",
    }
    for name, token in bad.items():
        for page in (c.english.get(f"/mdadmin/active/{token}"), c.english.post(f"/mdadmin/active/{token}")):
            expect(page.status == 410 and "<h1>This link" in page.text, f"a page with 410 for a link {name}", page)
        page = c.program.post_json(f"/mdadmin/active/{token}")
        expect((page.status, page.json) == (410, EXPIRED), f"410 in JSON for a link {name}", page)
    used = c.english.get(c.link("ann@example.com"))
    expect(used.status == 410 and "This link was used before" in used.text, "410 for a used link", used)
    expect("已过期" in c.chinese.get(f"/mdadmin/active/{bad['expired']}").text, "the same in Chinese")
    expect(c.activated() == before, "nobody activated", c.activated())

    c.User.objects.filter(pk=eve.pk).update(is_active=False)  # banned
    expect(c.english.post(f"/mdadmin/active/{good}").status == 410, "410 for a banned account")
    c.User.objects.filter(pk=eve.pk).update(is_active=True, email="eve@elsewhere.example")  # moved
    expect(c.english.post(f"/mdadmin/active/{good}").status == 410, "410 for a link to an address that the account had before")
    c.User.objects.filter(pk=eve.pk).update(email="eve@example.com")
    expect(c.activated() == before, "nobody activated", c.activated())
    expect(c.english.post(f"/mdadmin/active/{good}").status == 200, "that the link works after all that")


@step
def forged_forms(c: Check) -> None:
    """forms of other sites are refused (CSRF)"""
    c.english.get("/")
    page = c.english.post("/", csrf=False, email="victim@example.com")
    expect(page.status == 403 and "Please send the form again" in page.text, "a page with 403", page)
    expect(not c.User.objects.filter(email="victim@example.com").exists(), "no account")


@step
def nothing_told(c: Check) -> None:
    """unknown, confirmed, banned and waiting addresses get one answer; mail goes only to the one that waits"""
    c.sign_up("wait@example.com")
    c.mails("wait@example.com")
    c.User.objects.create(email="banned@example.com", is_active=False)
    addresses = ["nobody@example.com", "ann@example.com", "banned@example.com", "wait@example.com"]
    pages = [c.resend(email) for email in addresses]
    expect(len({(p.status, p.url, _without_csrf(p.text)) for p in pages}) == 1, "four answers alike", pages)
    answers = []
    for email in addresses:
        c.throttle.no_mail_after_all(email)
        answers.append(c.program.post_json("/mdadmin/email/", {"email": email}))
    expect({(a.status, a.text) for a in answers} == {(200, answers[0].text)}, "four JSON answers alike", answers)
    c.mails("wait@example.com", 3)
    c.all_quiet()
    counts = [len(c.mailbox.mails(email)) for email in addresses]
    expect(counts == [0, 1, 0, 3], "new mails to the waiting address only", counts)
    expect(not c.User.objects.filter(email="nobody@example.com").exists(), "no account made by asking for a mail")


@step
def at_once_again(c: Check) -> None:
    """signing up twice makes one account and, within a minute, one mail; the answer is the same"""
    pages = [c.sign_up(email) for email in ("twice@example.com", "twice@example.com", "TWICE@Example.com")]
    expect(len({(p.status, p.url, _without_csrf(p.text)) for p in pages}) == 1, "answers alike", pages)
    c.mails("twice@example.com")
    c.all_quiet()
    expect(len(c.mailbox.mails("twice@example.com")) == 1, "one mail")
    expect(c.User.objects.filter(email__iexact="twice@example.com").count() == 1, "one account")
    c.resend("twice@example.com")
    first, second = (mail["links"][0] for mail in c.mails("twice@example.com", 2))
    expect(c.english.post(second).status == 200 and c.english.post(first).status == 410, "that one of two links works, once")


# -- mail servers as they are ----------------------------------------------------------------------------------------------------


@step
def refused(c: Check) -> None:
    """550: given up at once, and noted at the account"""
    c.sign_up("ghost@refused.example")
    until(lambda: c.account("ghost@refused.example").email_refused_at, "the refusal at the account")
    c.all_quiet()
    refusal = c.account("ghost@refused.example").email_refusal
    expect(refusal.startswith("550") and "ghost" not in refusal, "the server's words without the address", refusal)
    c.resend("ghost@refused.example")
    c.all_quiet()
    expect(_said(c, "ghost@refused.example") == [550], "one attempt, and none after it", _said(c, "ghost@refused.example"))


@step
def greylisted(c: Check) -> None:
    """451: tried again later (here after one second, else after five minutes), and then it arrives"""
    c.sign_up("slow@greylist.example")
    c.mails("slow@greylist.example")
    expect(_said(c, "slow@greylist.example") == [451, 250], "451, then 250", _said(c, "slow@greylist.example"))


@step
def server_down(c: Check) -> None:
    """mail server down: the job waits and tries again, and the mail arrives when it is up"""
    c.stage.mail.stop()
    try:
        c.sign_up("patient@example.com")
        until(lambda: c.app.counts("mail")["mail"].scheduled, "a job that waits for its next attempt")
    finally:
        c.stage.mail.start()
    c.mails("patient@example.com")


# -- kill -9 ---------------------------------------------------------------------------------------------------------------------


@step
def killed_while_sending(c: Check) -> None:
    """kill -9 of the worker in the middle of sending: a new worker sends the mail, and the account can be activated"""
    before = c.activated()
    hold = c.stage.mail.hold("lucky@example.com", stored=False)
    c.sign_up("lucky@example.com")
    expect(hold.reached.wait(30), "that the mail is being transmitted")
    c.stage.worker.kill()
    expect(hold.dropped.wait(10), "that the connection is lost")
    expect(not c.mailbox.mails("lucky@example.com"), "no mail so far")
    c.stage.worker.start()
    (mail,) = c.mails("lucky@example.com", timeout=60)
    expect(c.english.post(mail["links"][0]).status == 200, "that the link works")
    expect(c.activated() - before == {"lucky@example.com"}, "exactly this account activated", c.activated() - before)


@step
def killed_after_sending(c: Check) -> None:
    """kill -9 after the server took the mail, before the worker heard so: it is sent twice, and both have one Message-ID"""
    before = c.activated()
    hold = c.stage.mail.hold("twin@example.com", stored=True)
    c.sign_up("twin@example.com")
    expect(hold.reached.wait(30), "that the mail is being transmitted")
    c.stage.worker.kill()
    c.stage.worker.start()
    mails = c.mails("twin@example.com", 2, timeout=60)
    c.all_quiet()
    ids = [mail["headers"]["Message-ID"] for mail in c.mails("twin@example.com", 2)]
    expect(len(ids) == 2 and len(set(ids)) == 1, "two copies with one Message-ID", ids)
    expect([c.english.post(mail["links"][0]).status for mail in mails] == [200, 410], "that one of the links works, once")
    expect(c.activated() - before == {"twin@example.com"}, "exactly this account activated", c.activated() - before)


@step
def flood(c: Check) -> None:
    """a client that asks too often is told so (429), in JSON and on a page"""
    for _ in range(100):
        page = c.program.post_json("/mdadmin/email/", {"email": "ann@example.com"})
        if page.status != 200:
            break
    expect((page.status, page.json["code"]) == (429, 429), "429", page)
    expect("Too many requests" in c.resend("ann@example.com").text, "a page that says so")


@step
def clean_end(c: Check) -> None:
    """no job is left over but the one that was refused, and the site never had an error of its own"""
    c.all_quiet()
    dead = c.app.counts("mail")["mail"].dead
    expect(dead == 1, "one dead letter, the refused mail", dead)
    errors = [line for line in c.stage.site.tail if '" 500 ' in line or "Traceback" in line]
    expect(not errors, "no error in the site's log", errors)


def _said(c: Check, address: str) -> list[int]:
    return [code for to, code in c.stage.mail.reception.said if to == address]


def _without_csrf(page: str) -> str:
    return "\n".join(line for line in page.splitlines() if "csrfmiddlewaretoken" not in line)


def main(folder: Path) -> int:
    started = time.monotonic()
    with Stage(folder, usual_ports=False, echo=False, settings=SETTINGS) as stage:
        os.environ.update(stage.env)
        say(f"site {stage.site_url} · mailbox {stage.mailbox_url} · worker {stage.worker.pid}")
        check = Check(stage)
        for run in STEPS:
            what = (run.__doc__ or "").splitlines()[0]
            begun = time.monotonic()
            try:
                run(check)
                if not stage.ended.empty():
                    raise Fallen(stage.ended.get())
            except Exception as error:
                say(f"✗ {what}\n\n{type(error).__name__}: {error}")
                for program in (stage.site, stage.worker):
                    say(f"\n--- the {program.name} last said:\n" + "\n".join(list(program.tail)[-40:]))
                return 1
            say(f"✓ {what} ({time.monotonic() - begun:.1f} s)")
        check.app.close()
    say(f"all {len(STEPS)} checks passed in {time.monotonic() - started:.0f} s")
    return 0
