"""Results, and waiting for them: one connection listens for all threads of this process; one of those who wait reads it at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.ears import FIRST_LOOK, POLL, SLACKENING, Ears
from tidewheel.backends.postgres.rows import known, records
from tidewheel.backends.postgres.settling import STEP
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Record


class ResultStore:
    """See `tidewheel.contract.ResultStore`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._reset()
        store.forked.append(self._after_fork)

    def _reset(self) -> None:
        self._ears: Ears | None = None
        self._reading = False
        self._woken = False
        self._places: Counter[int] = Counter()
        """What must be marked, for all who wait."""
        self._wanted: Counter[str] = Counter()
        """Jobs that somebody waits for …"""
        self._ended: set[str] = set()
        """… and those of them which are said to have ended."""

    def records(self, ids: Sequence[str]) -> Mapping[str, Record]:
        return self._look("records", known(ids))

    def _look(self, name: str, wanted: Mapping[str, bytes]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for some in _steps(list(wanted.values())):
            found.update(records(self._store.run(name, [arrays.uuids(some)], size=len(some))))
        return found

    def wait(self, ids: Sequence[str], timeout: float) -> Mapping[str, Record]:
        deadline = time.monotonic() + timeout
        wanted = known(ids)
        found = self._look("outcomes", wanted)  # most often it has not ended, or all have: either way before anything else
        if found or timeout <= 0:
            return found
        places = self._store.bells.waiting(wanted)
        with self._changed:
            self._places.update(places)
            self._wanted.update(list(wanted))
        try:
            return self._wait(wanted, deadline)
        finally:
            with self._changed:
                self._leave(places, list(wanted))

    def _wait(self, wanted: Mapping[str, bytes], deadline: float) -> dict[str, Record]:
        look = FIRST_LOOK
        while True:
            with self._changed:
                ears = self._listen()
                told = (not self._reading and ears.mark(sorted(self._places))) or ears.marked
                self._ended.difference_update(wanted)
            found = self._look("outcomes", wanted)
            with self._changed:
                pause = time.monotonic() + (POLL if told else look)
                while True:
                    left = min(deadline, pause) - time.monotonic()
                    if found or self._woken or deadline <= time.monotonic():
                        if not found:
                            self._woken = False
                        return found
                    if left <= 0 or not self._ended.isdisjoint(wanted):
                        break
                    if self._reading:
                        self._changed.wait(left)
                    else:
                        self._read(ears, left)
            look = min(look * SLACKENING, POLL)

    def _listen(self) -> Ears:
        if self._ears is None:
            self._ears = Ears(self._store, [self._store.bells.ends_channel])
            self._store.closing.append(self._close)
        if not self._reading:
            self._ears.open()
        return self._ears

    def _read(self, ears: Ears, timeout: float) -> None:
        """Hear what the server says, for everybody. The lock is held before and after, not meanwhile."""
        self._reading = True
        self._changed.release()
        ended: list[str] = []
        rang = False
        try:
            said, rang = ears.hear(timeout)
            ended = [id_ for _, text in said for id_ in text.split(",")]
        finally:
            self._changed.acquire()
            self._reading = False
            self._ended.update(id_ for id_ in ended if id_ in self._wanted)
            self._woken = self._woken or rang
            self._changed.notify_all()

    def _leave(self, places: Iterable[int], wanted: Iterable[str]) -> None:
        """If we were the one who reads, somebody else must be."""
        self._places -= Counter(places)
        self._wanted -= Counter(wanted)
        self._ended.intersection_update(self._wanted)
        if not self._wanted and self._ears is not None and not self._reading:
            try:
                self._ears.mark(())
            except Exception:
                self._ears.shut()
        self._changed.notify_all()

    def wake_waiters(self) -> None:
        with self._changed:
            if self._ears is not None and self._reading:
                self._ears.alarm.ring()
            else:
                self._woken = True
                self._changed.notify_all()

    def forget(self, ids: Sequence[str]) -> int:
        count = 0
        for some in _steps(list(known(ids).values())):
            count += self._store.run("forget", [arrays.uuids(some)], size=len(some))[0][0]
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


def _steps(items: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(items), STEP):
        yield items[start : start + STEP]
