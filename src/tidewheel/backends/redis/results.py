"""Results, and waiting for them: one connection listens for all threads of this process; one of those who wait reads it at a time.

Who waits says so to the server, which remembers it with the job (key `wait`) and sends the record to exactly those when the job ends.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from tidewheel.backends.keeping import kept
from tidewheel.backends.redis import layout
from tidewheel.backends.redis.ears import POLL, Ears
from tidewheel.backends.redis.settling import STEP
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Record

T = TypeVar("T")


class ResultStore:
    """See `tidewheel.contract.ResultStore`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._reset()
        store.forked.append(self._after_fork)

    def _reset(self) -> None:
        self._name = os.urandom(8)
        self._ears: Ears | None = None
        self._reading = False
        self._woken = False
        self._asked: dict[bytes, float] = {}
        """Jobs of which the server will tell us, and when we last asked."""
        self._came: dict[bytes, tuple[bytes, float]] = {}
        """Records that it told, and when."""

    def records(self, ids: Sequence[str]) -> Mapping[str, Record]:
        found: dict[str, Record] = {}
        for some in _steps(list(layout.known(ids).items())):
            answer = self._store.run("records", [id_ for id_, _ in some], size=len(some))
            for n, (_, id_) in enumerate(some):
                data, state, rest = answer[3 * n : 3 * n + 3]
                if data:
                    found[id_] = _record(id_, data)
                elif state != layout.UNKNOWN:
                    found[id_] = Record(
                        id=id_, state=layout.STATES[state], attempts=int.from_bytes(rest[:4], "big"), progress=rest[4:] or None
                    )
        return found

    def wait(self, ids: Sequence[str], timeout: float) -> Mapping[str, Record]:
        deadline = time.monotonic() + timeout
        wanted = layout.known(ids)
        while True:
            with self._changed:
                ears = self._listen()
            self._ask(wanted)
            with self._changed:
                while True:
                    found = self._take(wanted)
                    left = deadline - time.monotonic()
                    if found or left <= 0 or self._woken:
                        if not found:
                            self._woken = False
                        # If we were the one who reads, somebody else must be.
                        self._changed.notify_all()
                        return {wanted[id_]: _record(wanted[id_], data) for id_, data in found.items()}
                    if self._unasked(wanted) or not (self._reading or ears.listening):
                        break
                    if self._reading:
                        self._changed.wait(min(left, POLL))
                    else:
                        self._read(ears, min(left, POLL))

    def _listen(self) -> Ears:
        if self._ears is None:
            self._ears = Ears(self._store, f"{self._store.slot}:waiter:".encode() + self._name)
            self._store.closing.append(self._close)
        if not self._reading and self._ears.open():
            # Nobody listened: what was said is lost.
            self._asked.clear()
        return self._ears

    def _read(self, ears: Ears, timeout: float) -> None:
        """Hear what the server says, for everybody. The lock is held before and after, not meanwhile."""
        self._reading = True
        self._changed.release()
        said: list[bytes] = []
        rang = False
        try:
            said, rang = ears.hear(timeout)
        finally:
            self._changed.acquire()
            self._reading = False
            now = time.monotonic()
            for message in said:
                id_, record = message[:16], message[16:]
                if record:
                    self._came[id_] = record, now
                else:  # too long to be told
                    self._asked.pop(id_, None)
            self._woken = self._woken or rang
            self._changed.notify_all()

    def _unasked(self, wanted: Mapping[bytes, str]) -> list[bytes]:
        """Those of which the server may not know that we want to be told, or was asked long ago."""
        old = time.monotonic() - POLL
        return [id_ for id_ in wanted if self._asked.get(id_, 0.0) <= old]

    def _ask(self, wanted: Mapping[bytes, str]) -> None:
        """Look, and say that we want to be told."""
        with self._changed:
            old = time.monotonic() - POLL
            for memory in (self._asked, {id_: when for id_, (_, when) in self._came.items()}):
                if len(memory) > 2 * len(wanted) + 100:
                    for id_ in [id_ for id_, when in memory.items() if when <= old]:
                        self._asked.pop(id_, None)
                        self._came.pop(id_, None)
            unasked = self._unasked(wanted)
        for some in _steps(unasked):
            answer = self._store.run("await", [self._name, *some], size=len(some))
            with self._changed:
                now = time.monotonic()
                self._asked.update(dict.fromkeys(some, now))
                self._came.update((id_, (record, now)) for id_, record in zip(answer[::2], answer[1::2], strict=True))

    def _take(self, wanted: Mapping[bytes, str]) -> dict[bytes, bytes]:
        """Records that came. Each is taken once: if another thread waits for the same job, it asks. An old one may not be true any more."""
        found = {}
        old = time.monotonic() - 2 * POLL
        for id_ in [id_ for id_ in (wanted if len(wanted) < len(self._came) else self._came) if id_ in wanted and id_ in self._came]:
            record, when = self._came.pop(id_)
            self._asked.pop(id_, None)
            if when > old:
                found[id_] = record
        return found

    def wake_waiters(self) -> None:
        with self._changed:
            if self._ears is not None and self._reading:
                self._ears.alarm.ring()
            else:
                self._woken = True
                self._changed.notify_all()

    def forget(self, ids: Sequence[str]) -> int:
        count = 0
        for some in _steps(list(layout.known(ids))):
            count += self._store.run("forget", [kept(0.0, 0.0), *some], size=len(some))
        return count

    def _close(self) -> None:
        with self._changed:
            ears, self._ears = self._ears, None
            if ears is not None:
                ears.close()

    def _after_fork(self) -> None:
        self._changed = threading.Condition()
        if self._ears is not None:
            self._ears.disown()
        self._reset()


def _steps(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), STEP):
        yield items[start : start + STEP]


def _record(id_: str, data: bytes) -> Record:
    end = layout.read_end(data)
    return Record(
        id=id_, state=layout.STATES[end.state], value=end.value, error=end.error or None, reason=end.reason, finished=end.finished,
        attempts=end.run.attempts,
    )  # fmt: skip
