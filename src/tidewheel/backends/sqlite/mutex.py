"""One writer at a time: a lock among the threads of this process, `flock` on a file among processes.

Every transaction that writes, every checkpoint and every close happens inside. Why: SQLite before 3.51.3 can corrupt a database when
one connection commits while another resets the log (sqlite.org/wal.html, "the WAL-reset bug"); and waiting here is a queue in the
kernel, while SQLite's own waiting is sleep-and-retry, which starves (docs/decisions/0004).

`flock` itself knows no time limit, and whoever holds it may be stopped (Ctrl-Z). So: try at once, try a few times more within about a
millisecond, and only then let a thread of its own wait in the kernel's queue while we wait for the thread.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType

from tidewheel.errors import BrokerUnavailable
from tidewheel.lifeline import give_away

PATIENCE = 10.0
"""Seconds to wait for other processes, and again for other threads."""
TRIES = (0.00005, 0.0001, 0.0002, 0.0004)
"""Seconds between the first tries: most critical sections are over within this."""


class Mutex:
    """Not re-entrant. Raises `BrokerUnavailable` when others keep it for longer than `patience` seconds."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        self.path = path
        self.patience = patience
        self._threads = threading.Lock()
        self._fd = -1
        self._file: tuple[int, int] = (0, 0)

    def __enter__(self) -> None:
        if not self._threads.acquire(timeout=self.patience):
            raise BrokerUnavailable(f"another thread of this process has been writing for {self.patience:g} s; is the disk stuck?")
        try:
            self._lock_file()
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._unlock_file()
        finally:
            self._threads.release()

    def before_fork(self, patience: float, last: Callable[[], None]) -> bool:
        """Keep the threads of this process out until `after_fork_in_parent`, after calling `last` with everybody out.

        Only the threads: another mutex of this process may be for the same file, and is laid down next. False: it could not be had.
        """
        if not self._threads.acquire(timeout=patience):
            return False
        try:
            self._lock_file()
            try:
                last()
            finally:
                self._unlock_file()
        except BaseException:
            self._threads.release()
            return False
        return True

    def after_fork_in_parent(self) -> None:
        self._threads.release()

    def close(self) -> None:
        """Release the file. It stays usable: the next use opens it again."""
        with self._threads:
            self._drop()

    def after_fork_in_child(self) -> None:
        """The file belongs to the parent. Closing our copy of its descriptor does not release its lock."""
        self._threads = threading.Lock()
        self._drop()

    def _drop(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _current(self) -> bool:
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == self._file

    def _lock_file(self) -> None:
        try:
            while True:
                self._lock()
                if self._current():
                    return
                # The directory was emptied under us: the lock we got is not the one that others take.
                self._drop()
        except BrokerUnavailable:
            raise
        except OSError as error:
            raise BrokerUnavailable(f"{self.path} cannot be locked ({error.strerror}): does this file system support flock?") from error

    def _unlock_file(self) -> None:
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _lock(self) -> None:
        if self._fd < 0:
            self._fd = self._open()
            here = os.fstat(self._fd)
            self._file = (here.st_dev, here.st_ino)
        for pause in (*TRIES, None):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if pause is not None:
                    time.sleep(pause)
        self._queue_up()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            fd = os.open(self.path, flags, 0o600)
        give_away(self.path)
        return fd

    def _queue_up(self) -> None:
        fd, done, errors = self._fd, threading.Event(), list[OSError]()
        given_up = threading.Lock()

        def wait() -> None:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                errors.append(error)
            done.set()
            if not given_up.acquire(blocking=False):
                # Nobody waits for it any more. To close it is not enough: a child forked meanwhile has it open too.
                fcntl.flock(fd, fcntl.LOCK_UN)
                os.close(fd)

        threading.Thread(target=wait, name="tidewheel-mutex", daemon=True).start()
        if not done.wait(self.patience) and given_up.acquire(blocking=False):
            # The thread may be stuck for good with this descriptor; it closes it, and we take a new one.
            self._fd = -1
            raise BrokerUnavailable(
                f"another process has been writing for {self.patience:g} s ({_holder(self._file[1])}); if it is stopped, continue or end it"
            )
        if errors:
            raise errors[0]


def _holder(inode: int) -> str:
    """Who holds the lock, as the kernel tells it."""
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            for line in locks:
                fields = line.split()
                if "FLOCK" in fields and "->" not in fields and fields[-3].endswith(f":{inode}"):
                    return f"process {fields[-4]}"
    except (OSError, IndexError):
        pass
    return "its id is not known"
