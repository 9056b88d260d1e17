"""Doorbells: named FIFOs on which one process wakes another. Hints only, there is a poll below each wait (docs/decisions/0001).

    <run>/idle/q-<queue>/<incarnation>   an idle worker that wants jobs of that queue. The name stays, but the FIFO has a reader only
                                         while the worker is idle; so a ring reaches somebody who has time, or fails at once. One FIFO
                                         is linked under all of a worker's queues.
    <run>/news/<incarnation>             read by the worker whenever it waits: a cancellation was asked for
    <run>/waiters/<pid>-<n>              somebody waits for results; removed by the first who rings in vain

Whoever rings writes one byte: for results and news after its commit, for work just before it, while it holds the lock. A full FIFO is
as good as one byte.
"""

from __future__ import annotations

import os
import random
import select
import stat
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from tidewheel.lifeline import give_away

RINGS = 32
"""At most so many bells are rung at once."""
FRESH = 0.05
"""Seconds: a directory that changed so recently may change again without a new time stamp, so it is read anew."""


class Bells:
    """The bells of one database, for those who ring."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._listings: dict[str, tuple[int, list[str]]] = {}

    def ring_idle(self, queues: Iterable[str], wanted: int = 1, *, but: str = "") -> None:
        """Wake up to `wanted` workers that are idle and take jobs of one of these queues, per queue; not the one named `but`."""
        for queue in queues:
            folder = queue_folder(self.run, queue)
            left = wanted
            for name in self._some(folder):
                if name != but and ring(f"{folder}/{name}"):
                    left -= 1
                    if left <= 0:
                        break

    def ring_news(self, incarnation: str) -> None:
        """Tell a worker that something is asked of it."""
        ring(f"{self.run}/news/{incarnation}")

    def ring_waiters(self) -> None:
        """Tell those who wait for results that there are new ones."""
        folder = f"{self.run}/waiters"
        for name in self._some(folder):
            if not ring(f"{folder}/{name}"):
                # A waiter's FIFO has a reader from before it has its name until its process ends.
                remove(f"{folder}/{name}")

    def _some(self, folder: str) -> Sequence[str]:
        """Up to `RINGS` names in a folder, others each time; read again only when it has changed."""
        try:
            changed = os.stat(folder).st_mtime_ns
        except OSError:
            return ()
        known = self._listings.get(folder)
        if known is not None and known[0] == changed:
            names = known[1]
        else:
            try:
                names = [name for name in os.listdir(folder) if not name.startswith(".")]
            except OSError:
                return ()
            if time.time() - changed / 1e9 > FRESH:
                self._listings[folder] = (changed, names)
        if len(names) > 1:
            return random.sample(names, min(RINGS, len(names)))
        return names


def queue_folder(run: str, queue: str) -> str:
    return f"{run}/idle/q-{queue}"


def ring(path: str) -> bool:
    """Write a byte to a FIFO. False when nobody reads it."""
    try:
        # Not kept open: writing to a FIFO whose reader has died would be SIGPIPE, which ends programs that made it deadly again.
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return False
        os.write(fd, b"!")
    except BlockingIOError:
        pass
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


class Bell:
    """One FIFO, and the process that hears it."""

    def __init__(self, path: str) -> None:
        """Make the FIFO. Raises `OSError`, also where the file system has no FIFOs."""
        _make_folder(os.path.dirname(path))
        self.path = path
        self.fd = -1
        os.mkfifo(path, 0o600)
        give_away(path)
        _ears.add(self)

    def open(self) -> None:
        """Be reachable. For reading *and* writing, so that it never reports an end when a ringer closes."""
        if self.fd < 0:
            self.fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)

    def shut(self) -> None:
        """Be out of reach; what was rung and not heard is forgotten."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class Alarm:
    """A pipe within this process: one thread wakes another. It is remembered until it was heard."""

    def __init__(self) -> None:
        self.fd, self._other = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        self._lock = threading.Lock()
        _ears.add(self)

    def ring(self) -> None:
        with self._lock:
            if self._other >= 0:
                try:
                    os.write(self._other, b"!")
                except BlockingIOError:
                    pass

    def shut(self) -> None:
        with self._lock:
            for fd in (self.fd, self._other):
                if fd >= 0:
                    os.close(fd)
            self.fd = self._other = -1


_ears: weakref.WeakSet[Bell | Alarm] = weakref.WeakSet()


def _after_fork() -> None:
    """A child that kept them open would be heard instead of its parent, and make it look alive for ever."""
    for ear in list(_ears):
        if isinstance(ear, Alarm):
            ear._lock = threading.Lock()
        ear.shut()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    return ends


def wait(fds: Iterable[int], timeout: float) -> set[int]:
    """Wait until one of these can be read, empty those that can, and say which they were. Unopened ones (-1) are left out."""
    if hasattr(select, "poll"):
        poll = select.poll()
        for fd in fds:
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        heard = {fd for fd, _ in poll.poll(max(0.0, timeout) * 1000)}
    else:  # eventlet takes away what would block; its own select has no limit at 1024
        heard = set(select.select([fd for fd in fds if fd >= 0], [], [], max(0.0, timeout))[0])
    for fd in heard:
        drain(fd)
    return heard


def drain(fd: int) -> None:
    try:
        while len(os.read(fd, 4096)) == 4096:
            pass
    except BlockingIOError:
        pass


class WorkerBells:
    """What one worker hears: work for its queues, news about its jobs, and its own `wake`."""

    def __init__(self, run: str, incarnation: str) -> None:
        self._run = run
        self._incarnation = incarnation
        self._queues: set[str] = set()
        self.alarm = Alarm()
        self.news = _bell(f"{run}/news/{incarnation}")
        self.work: Bell | None = None
        self.unheard = False
        """Whether it was still rung for work when it stopped listening."""
        if self.news is not None:
            self.news.open()

    @contextmanager
    def idle(self, queues: Iterable[str]) -> Iterator[None]:
        """While in here, those who publish to these queues know that this worker waits."""
        for queue in queues:
            if queue not in self._queues:
                self._queues.add(queue)
                self._hang(f"{queue_folder(self._run, queue)}/{self._incarnation}")
        self.unheard = False
        if self.work is not None and self._queues:
            try:
                self.work.open()
            except OSError:
                self.work = None
        try:
            yield
        finally:
            if self.work is not None and self.work.fd >= 0:
                self.unheard = bool(wait((self.work.fd,), 0))
                self.work.shut()

    def _hang(self, path: str) -> None:
        try:
            if self.work is None:
                self.work = _bell(path)
            else:
                _make_folder(os.path.dirname(path))
                os.link(self.work.path, path)
        except OSError:
            pass

    def listen(self, timeout: float) -> set[Literal["work", "news", "wake"]]:
        """What is heard within `timeout` seconds; returns with the first."""
        sounds: dict[int, Literal["work", "news", "wake"]] = {self.alarm.fd: "wake"}
        if self.news is not None:
            sounds[self.news.fd] = "news"
        if self.work is not None:
            sounds[self.work.fd] = "work"
        return {sounds[fd] for fd in wait(sounds, timeout)}

    def shut(self) -> None:
        """Hear nothing any more."""
        for bell in (self.news, self.work):
            if bell is not None:
                bell.shut()
        self.alarm.shut()

    def close(self) -> None:
        self.shut()
        sweep(self._run, self._incarnation)


def _make_folder(path: str) -> None:
    """For its owner only, like each folder above it that is missing (`os.makedirs` would leave those to the umask)."""
    try:
        os.mkdir(path, 0o700)
        give_away(path)
    except FileExistsError:
        pass
    except FileNotFoundError:
        _make_folder(os.path.dirname(path))
        _make_folder(path)


def _bell(path: str) -> Bell | None:
    try:
        return Bell(path)
    except OSError:
        # A file system without FIFOs, or a full one: then it is the poll that finds the work.
        return None


def sweep(run: str, incarnation: str) -> None:
    """Remove the bells of a worker that is gone."""
    remove(f"{run}/news/{incarnation}")
    try:
        queues = os.listdir(f"{run}/idle")
    except OSError:
        return
    for queue in queues:
        remove(f"{run}/idle/{queue}/{incarnation}")
