"""The whole example on this machine: the sign-up site, a mail server with a mailbox to look into, and a Tidewheel worker.

    python demo.py            starts it, says what to click, and ends it all at Ctrl-C
    python demo.py --check    does what a visitor does, and what goes wrong in real life, without a browser; exit status 0 if all is well

Everything is kept in a temporary folder and listens on 127.0.0.1 only. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import io
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from mailcatcher.pages import PageServer
from mailcatcher.smtp import MailServer

HERE = Path(__file__).resolve().parent

WELCOME = """
  Sign up    打开网站     {site}
  Mailbox    演示邮箱     {mailbox}

  1. Open the site, enter any address (for example me@example.com) and press "Sign up".
     打开网站，输入任意邮箱地址，点击“注册”。
  2. Open the mailbox: the mail is there. Click its link.
     打开演示邮箱，点击激活邮件中的链接。
  3. Press "Activate my account".
     点击“激活账号”。

  Ctrl-C ends all of it.  按 Ctrl-C 结束。
"""


def say(line: str = "") -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, as in `demo.py | head`; what runs goes on until it is told to end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Program:
    """A program of the demo, in a process group of its own, so that Ctrl-C reaches this script alone and it can end them in order."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], *, echo: bool, ended: queue.SimpleQueue[Program]) -> None:
        self.name = name
        self.command = command
        self.env = env
        self.echo = echo
        self.ended = ended
        self.tail: deque[str] = deque(maxlen=200)
        self._process: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        process = self._process = subprocess.Popen(
            self.command, cwd=HERE, env=os.environ | self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        self._threads = [threading.Thread(target=run, args=(process,), daemon=True) for run in (self._listen, self._watch)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, grace: float = 15.0) -> None:
        """Ask it to end; when it does not, kill it and all that it started."""
        process, self._process = self._process, None  # from here on, its end is expected
        if process is None:
            return
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            self.tail.append(f"(did not end within {grace:g} s of SIGTERM, and was killed)")
        finally:  # also at a second Ctrl-C
            self._kill_group(process)

    def kill(self) -> None:
        """As `kill -9`, and that for the program and everything that it started: nobody can clean up."""
        process, self._process = self._process, None
        assert process is not None
        self._kill_group(process)

    def _kill_group(self, process: subprocess.Popen[str]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        for thread in self._threads:
            thread.join(5)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.tail.append(line.rstrip())
                if self.echo:
                    say(f"{self.name:<6} | {line.rstrip()}")

    def _watch(self, process: subprocess.Popen[str]) -> None:
        process.wait()
        if self._process is process:
            self.ended.put(self)


class Stage:
    """All parts of the demo, started on entry and ended on exit."""

    def __init__(self, folder: Path, *, usual_ports: bool, echo: bool, settings: dict[str, str] | None = None) -> None:
        site_port, mailbox_port = (8000, 8025) if usual_ports else (0, 0)
        site_port, mailbox_port, smtp_port = free_port(site_port), free_port(mailbox_port), free_port()
        self.site_url = f"http://127.0.0.1:{site_port}"
        self.mailbox_url = f"http://127.0.0.1:{mailbox_port}"
        self.env = {
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "mydemo.settings",
            "DJANGO_RUNSERVER_HIDE_WARNING": "true",
            "MYDEMO_DATA": str(folder),
            "MYDEMO_SITE_URL": self.site_url,
            "MYDEMO_MAILBOX_URL": self.mailbox_url,
            "MYDEMO_SMTP_PORT": str(smtp_port),
            "TIDEWHEEL_URL": f"sqlite:///{folder / 'tidewheel.db'}",
        } | (settings or {})
        self.mail = MailServer(smtp_port)
        self.pages = PageServer(mailbox_port, self.mail.mailbox, self.site_url)
        self.ended: queue.SimpleQueue[Program] = queue.SimpleQueue()
        python = sys.executable
        runserver = [python, "manage.py", "runserver", "--noreload", "--skip-checks", f"127.0.0.1:{site_port}"]
        worker = [python, "-m", "tidewheel", "-A", "celery_tasks", "worker", "-l", "info", "--log-format", "text"]
        self.site = Program("site", runserver, self.env, echo=False, ended=self.ended)
        self.worker = Program("worker", worker, self.env, echo=echo, ended=self.ended)

    def __enter__(self) -> Self:
        try:
            subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=HERE, env=os.environ | self.env, check=True)
            self.mail.start()
            self.pages.start()
            self.site.start()
            self.worker.start()
            self._wait_for_site()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            self.worker.stop()
        finally:
            try:
                self.site.stop(5)
            finally:
                self.pages.stop()
                self.mail.stop()

    def _wait_for_site(self) -> None:
        deadline = time.monotonic() + 30
        port = int(self.site_url.rpartition(":")[2])
        while time.monotonic() < deadline:
            if not self.ended.empty():
                raise Fallen(self.ended.get())
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Fallen(self.site)


class Fallen(Exception):
    """A program of the demo ended by itself."""

    def __init__(self, program: Program) -> None:
        self.program = program
        super().__init__(f"the {program.name} has ended unexpectedly; it last said:\n" + "\n".join(f"  {line}" for line in program.tail))


def free_port(usual: int = 0) -> int:
    """The usual port if nobody has it, else any free one."""
    for port in (usual, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return int(s.getsockname()[1])
            except OSError:
                continue
    raise OSError("there is no free port on 127.0.0.1")


def demo(folder: Path) -> int:
    # Real servers that do not know the sender want to be left alone for minutes; a visitor should see the second attempt.
    with Stage(folder, usual_ports=True, echo=True, settings={"MYDEMO_GREYLIST_DELAY": "20"}) as stage:
        try:
            stage.site.echo = True  # from now on: how it started is of interest only if it does not
            say(WELCOME.format(site=stage.site_url, mailbox=stage.mailbox_url))
            raise Fallen(stage.ended.get())
        except KeyboardInterrupt:
            say("\nending: first the worker, which finishes what it is doing, then the site and the mail server")
    say("all ended")
    return 0


def interrupt(signum: int, frame: FrameType | None) -> None:
    """A closed terminal and a plain `kill` end the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description="The sign-up site, its worker and a mail server, on this machine.")
    parser.add_argument("--check", action="store_true", help="try everything out without a browser, and say what was found")
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show Chinese shows the rest
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="mydemo-") as folder:
            if not arguments.check:
                return demo(Path(folder))
            import check

            return check.main(Path(folder))
    except Fallen as fallen:
        say(str(fallen))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
