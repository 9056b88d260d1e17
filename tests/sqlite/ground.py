"""What the tests of the SQLite engine work with: a place for a database, clients of it, and child processes by a bare fork."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tidewheel.backends.sqlite import wire
from tidewheel.backends.sqlite.place import parse
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import Backend, Consumer, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.outcome import AnyOutcome, Succeeded
from tidewheel.ids import incarnation, job_id


class Ground:
    """A directory with one database, `jobs.db`."""

    def __init__(self, path: Path) -> None:
        self.folder = path
        self.path = path / "jobs.db"
        self.url = f"sqlite:///{self.path}"
        self._backends: list[Backend] = []

    def store(self, clock: Callable[[], float] = time.time) -> Store:
        store = Store(parse(self.url), clock=clock)
        store.open()
        self._backends.append(wire(store))
        return store

    def backend(self, clock: Callable[[], float] = time.time) -> Backend:
        return wire(self.store(clock))

    def check(self) -> None:
        """What SQLite itself thinks of the file."""
        db = sqlite3.connect(self.path)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()

    def states(self) -> dict[int, int]:
        """State -> number of jobs, past every client."""
        db = sqlite3.connect(self.path)
        found = dict(db.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall())
        db.close()
        return found

    def close(self) -> None:
        for backend in self._backends:
            backend.broker.close()


def job(**fields: Any) -> Envelope:
    return Envelope(**{"id": job_id(), "task": "tests.noop", "body": b"body", **fields})


def worker(backend: Backend) -> Consumer:
    return backend.broker.consumer(WorkerInfo(id=incarnation(), name="tester"))


def settle(consumer: Consumer, deliveries: Sequence[Delivery], outcome: AnyOutcome | None = None) -> list[Verdict]:
    return list(consumer.settle([Settlement(d.id, d.token, outcome or Succeeded(b"v")) for d in deliveries]))


Say = Callable[[str], None]


class Child:
    """A function in a forked process. It says things with its first argument; `hear` waits for the next one."""

    living: ClassVar[set[int]] = set()
    """Process ids of those that a test has not waited for: killed when it is over, however it went."""

    def __init__(self, call: Callable[..., None], *args: object) -> None:
        read, write = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(read)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                call(lambda text: os.write(write, text.encode() + b"\n"), *args)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(write)
        self.living.add(self.pid)
        self._said = os.fdopen(read, encoding="utf-8")
        self.code: int | None = None

    def hear(self) -> str:
        """The next thing it says; empty when it has ended."""
        return self._said.readline().rstrip("\n")

    def kill(self, number: int = signal.SIGKILL) -> list[str]:
        """Kill it, wait until it is gone, and answer what it had still said."""
        os.kill(self.pid, number)
        return self.rest()

    def rest(self) -> list[str]:
        """Wait until it has ended; what it said meanwhile."""
        said = self._said.read().splitlines()
        self.wait()
        return said

    def wait(self) -> int:
        if self.code is None:
            _, status = os.waitpid(self.pid, 0)
            self.living.discard(self.pid)
            self.code = os.waitstatus_to_exitcode(status)
            self._said.close()
        return self.code


def in_child(call: Callable[[], Any], *, uid: int | None = None) -> Any:
    """The value of a call in a forked process, of another user where wanted; what it raises is raised here, as text in a RuntimeError."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            if uid is not None and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            answer = (True, call())
        except BaseException as error:
            answer = (False, f"{type(error).__name__}: {error}")
        try:
            os.write(write, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    good, value = json.loads(data)
    if not good:
        raise RuntimeError(value)
    return value


def until(condition: Callable[[], Any], within: float = 10.0) -> Any:
    """Wait until a condition is true; its value."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {within:g} s"
        os.sched_yield()
    return value
