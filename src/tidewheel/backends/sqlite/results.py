"""Results, which are columns of the job, and waiting for them."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Mapping, Sequence

import msgspec

from tidewheel.backends.sqlite import bells
from tidewheel.backends.sqlite.consumer import FIRST_LOOK, LAST_LOOK, SLACKENING
from tidewheel.backends.sqlite.rows import records
from tidewheel.backends.sqlite.schema import statement
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import Record

BREATHER = 3
"""After a look that took t seconds the next comes no sooner than this many t: who waits for thousands of jobs looks seldom."""

_RECORDS, _ENDED = statement("records"), statement("ended")
_FORGET, _FORGET_KEPT = statement("forget"), statement("forget_kept")
_counter = itertools.count(1)


class ResultStore:
    """See `tidewheel.contract.ResultStore`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._alarm: bells.Alarm | None = None
        self._bell: bells.Bell | None = None
        self._pid = 0

    def records(self, ids: Sequence[str]) -> Mapping[str, Record]:
        with self._store.read() as db:
            return records(db.execute(_RECORDS, (_json(ids), self._store.clock())).fetchall())

    def wait(self, ids: Sequence[str], timeout: float) -> Mapping[str, Record]:
        deadline = time.monotonic() + timeout
        alarm, bell = self._ears()
        wanted = _json(ids)
        look = FIRST_LOOK
        while True:
            began = time.monotonic()
            with self._store.read() as db:
                rows = db.execute(_ENDED, (wanted, self._store.clock())).fetchall()
            now = time.monotonic()
            if rows or now >= deadline:
                return records(rows)
            heard = bells.wait((alarm.fd, bell.fd if bell is not None else -1), min(look, deadline - now))
            if alarm.fd in heard:
                return {}
            if heard:
                rest = BREATHER * (now - began) - (time.monotonic() - now)
                if rest > 0.001 and bells.wait((alarm.fd,), min(rest, deadline - now)):
                    return {}
            look = min(look * SLACKENING, LAST_LOOK)

    def wake_waiters(self) -> None:
        self._ears()[0].ring()

    def forget(self, ids: Sequence[str]) -> int:
        with self._store.write(synced=False) as db:
            now = self._store.clock()
            return sum(db.execute(_FORGET, (id_, now)).rowcount + db.execute(_FORGET_KEPT, (id_, now)).rowcount for id_ in ids)

    def _ears(self) -> tuple[bells.Alarm, bells.Bell | None]:
        """How this process learns of results; made at the first need and kept, for those who ring take a bell without reader away."""
        with self._lock:
            if self._alarm is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._alarm, self._bell = bells.Alarm(), _bell(self._store.place.run)
                self._store.closing.append(self._close)
            return self._alarm, self._bell

    def _close(self) -> None:
        with self._lock:
            if self._bell is not None:
                bells.remove(self._bell.path)
                self._bell.shut()
            if self._alarm is not None:
                self._alarm.shut()
            self._alarm = self._bell = None


def _bell(run: str) -> bells.Bell | None:
    name = f"{os.getpid()}-{next(_counter)}"
    try:
        bell = bells.Bell(f"{run}/waiters/.{name}")
        bell.open()
        # Its name appears only now that it is being read: see `Bells.ring_waiters`.
        os.rename(bell.path, f"{run}/waiters/{name}")
        bell.path = f"{run}/waiters/{name}"
    except OSError:
        return None
    return bell


def _json(ids: Sequence[str]) -> str:
    return msgspec.json.encode(list(ids)).decode()
