"""Settles: gathers outcomes and writes them in batches, until the broker has answered for each.

A lone outcome is written at once; while one batch is being written the next one gathers, which is all the batching that is needed.
When the broker is away or full, outcomes are kept and tried again for as long as the worker lives: the jobs' leases go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from tidewheel.contract import Consumer, Settlement, Verdict
from tidewheel.errors import BrokerError
from tidewheel.worker.frames import Key
from tidewheel.worker.pause import Pause

log = logging.getLogger("tidewheel.worker")

BATCH = 256


class Settler:
    """One thread. `add` may be called from any other."""

    def __init__(
        self,
        consumer: Callable[[], Consumer],
        refused: Callable[[Settlement, Verdict], None],
        trouble: Callable[[BrokerError | None], None],
    ) -> None:
        self._consumer = consumer
        self._refused = refused
        self._trouble = trouble
        self._queue: deque[Settlement] = deque()
        self._writing: list[Settlement] = []
        self._news = threading.Condition()
        self._closing = False
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="tidewheel-settler", daemon=True)
        self.settled = 0

    def start(self) -> None:
        self._thread.start()

    def add(self, settlement: Settlement) -> None:
        self.extend([settlement])

    def extend(self, settlements: list[Settlement]) -> None:
        with self._news:
            self._queue.extend(settlements)
            self._news.notify()

    def unsettled(self) -> int:
        """Outcomes that are not known to be written."""
        return len(self._queue) + len(self._writing)

    def keys(self) -> set[Key]:
        """The deliveries whose outcome is here."""
        with self._news:
            return {(s.id, s.token.claim) for s in (*self._writing, *self._queue)}

    def close(self, patience: float) -> int:
        """Write what is left, for up to `patience` seconds. Returns how many outcomes could not be written."""
        with self._news:
            self._closing = True
            self._deadline = time.monotonic() + patience
            self._news.notify()
        self._thread.join(patience + 5)
        return self.unsettled()

    def _run(self) -> None:
        pause = Pause()
        while True:
            with self._news:
                while not self._queue and not self._writing:
                    if self._closing:
                        return
                    self._news.wait()
                while self._queue and len(self._writing) < BATCH:
                    self._writing.append(self._queue.popleft())
            try:
                verdicts = self._consumer().settle(self._writing)
            except BrokerError as error:
                self._trouble(error)
                if time.monotonic() > self._deadline:
                    return
                with self._news:
                    self._news.wait(pause.longer())
                continue
            except Exception:
                # A bug, here or in a backend. The outcomes stay with us, so nothing is lost; it must be seen, and must not spin.
                log.exception("settling %d outcomes failed", len(self._writing))
                if time.monotonic() > self._deadline:
                    return
                with self._news:
                    self._news.wait(pause.longer())
                continue
            pause.over()
            self._trouble(None)
            written, self._writing = self._writing, []
            self.settled += len(written)
            for settlement, verdict in zip(written, verdicts, strict=True):
                if verdict != "ok":
                    self._refused(settlement, verdict)
