"""The Celery tutorial as it was printed, with one import line changed, step by step as its README says: Redis, SMTP with STARTTLS and
login, `runserver`, and a worker with the eventlet pool."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from redis_server import Server
from rig import until

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery_tutorial"
ACCOUNT = LoginPassword(b"someone@example.com", b"an-authorization-code")
ADDRESS = "ada@example.org"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        port: int = sock.getsockname()[1]
        return port


class Mails:
    """What the mail server was given."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert session.ssl is not None
        assert session.authenticated
        assert envelope.rcpt_tos == [ADDRESS]
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(message, EmailMessage)
        html = message.get_body(("html",))
        assert isinstance(html, EmailMessage)
        self.bodies.append(html.get_content())
        return "250 OK"


@pytest.fixture
def mails(tmp_path: Path) -> Iterator[tuple[Mails, int, Path]]:
    """A mail server that wants TLS and a login, as the tutorial's does; its port, and the certificate to trust."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    found = Mails()
    port = free_port()

    def login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        return AuthResult(success=data == ACCOUNT)

    controller = Controller(
        found, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, auth_required=True, authenticator=login,
    )  # fmt: skip
    controller.start()
    yield found, port, trusted
    controller.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "redis", appendonly="yes")
    yield server
    server.close()


@pytest.fixture
def project(tmp_path: Path, redis: Server, mails: tuple[Mails, int, Path]) -> Path:
    """A copy of the example that uses our servers instead of those that the tutorial names."""
    folder = tmp_path / "tutorial"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "db.sqlite3"))
    config, settings = folder / "celery_tasks" / "celeryconfig.py", folder / "mydemo" / "settings.py"
    config.write_text(config.read_text().replace("127.0.0.1:6379", f"127.0.0.1:{redis.port}"))
    text = settings.read_text().replace("'smtp.qq.com'", "'127.0.0.1'").replace("EMAIL_PORT = 25 ", f"EMAIL_PORT = {mails[1]} ")
    settings.write_text(text)
    return folder


def start(project: Path, log: Path, trusted: Path, *command: str) -> subprocess.Popen[bytes]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEWHEEL_", "DJANGO_"))}
    env |= {"SSL_CERT_FILE": str(trusted), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, *command], cwd=project, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def ask(port: int, method: str, path: str, **form: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection):
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, path, urllib.parse.urlencode(form) or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/mdadmin/active/nonsense")[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("pool", ["eventlet", "processes"])
def test_the_tutorial(project: Path, mails: tuple[Mails, int, Path], tmp_path: Path, pool: str) -> None:
    found, _, trusted = mails
    for step in (["migrate"], ["createsuperuser", "--noinput", "--username", "ada", "--email", ADDRESS]):
        env = {**os.environ, "DJANGO_SUPERUSER_PASSWORD": "secret"}
        done = subprocess.run([sys.executable, "manage.py", *step], cwd=project, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    port = free_port()
    site_log, worker_log = tmp_path / "site.log", tmp_path / "worker.log"
    site = start(project, site_log, trusted, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}")
    worker = start(project, worker_log, trusted, "-m", "tidewheel", "-A", "celery_tasks", "worker", "-l", "info", "-P", pool)
    try:
        until(f"the site answers; its log: {site_log}", lambda: answers(port) or site.poll() is not None)
        assert ask(port, "POST", "/mdadmin/email/", email=ADDRESS) == (200, '{"msg": "OK", "code": 200}')
        until(f"the mail arrives; the worker's log: {worker_log}", lambda: found.bodies or worker.poll() is not None)
        assert worker.poll() is None, worker_log.read_text()
        (body,) = found.bodies
        link = re.search(r"href='http://127\.0\.0\.1:8000(/mdadmin/active/[^']+)'", body)
        assert link, body
        assert ask(port, "GET", link[1]) == (200, '{"msg": "激活成功", "code": 200}')
        refused = '{"msg": "激活链接失效，请重新发送邮件进行激活", "code": 404}'
        # Not the last letter of the signature: that has two bits to spare, and one in sixteen would still be right.
        signed, _, signature = link[1].rpartition(".")
        assert ask(port, "GET", f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}") == (200, refused)
        log = worker_log.read_text()
        assert "celery_tasks.tasks.send_mail_task" in log
        assert "succeeded in" in log
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(40) == 0, worker_log.read_text()
    finally:
        for process in (site, worker):
            if process.poll() is None:
                process.kill()
                process.wait()


def test_a_web_request_does_not_hang_while_redis_is_away(
    project: Path, redis: Server, mails: tuple[Mails, int, Path], tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "site.log"
    site = start(project, log, mails[2], "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}")
    try:
        until(f"the site answers; its log: {log}", lambda: answers(port) or site.poll() is not None)
        assert ask(port, "POST", "/mdadmin/email/", email=ADDRESS)[0] == 200
        redis.kill()
        began = time.monotonic()
        status, page = ask(port, "POST", "/mdadmin/email/", email=ADDRESS)
        assert status == 500
        assert "BrokerUnavailable" in page
        assert "is it running?" in page
        assert time.monotonic() - began < 6
        redis.start()
        assert ask(port, "POST", "/mdadmin/email/", email=ADDRESS)[0] == 200
    finally:
        site.kill()
        site.wait()
