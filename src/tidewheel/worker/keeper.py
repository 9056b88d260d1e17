"""Keeps: one thread for the regular calls to the broker: beats (the lease, progress, cancellations) and sweeps (upkeep)."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from tidewheel.contract import Beat, Broker, Consumer, Progress
from tidewheel.core.job import Token
from tidewheel.errors import BrokerError
from tidewheel.worker.frames import Key

log = logging.getLogger("tidewheel.worker")

SWEEP = 1000


class Keeper:
    """`progress` and `nudge` may be called from any thread."""

    def __init__(
        self,
        broker: Broker,
        consumer: Callable[[], Consumer],
        *,
        worker_id: Callable[[], str],
        held: Callable[[], int],
        cancels: Callable[[tuple[str, ...]], None],
        lost: Callable[[], None],
        differs: Callable[[], None],
        trouble: Callable[[BrokerError | None], None],
    ) -> None:
        self._broker = broker
        self._consumer = consumer
        self._worker_id = worker_id
        self._held = held
        self._cancels = cancels
        self._lost = lost
        self._differs = differs
        self._trouble = trouble
        self._progress: dict[Key, bytes] = {}
        self._news = threading.Event()
        self._stopping = False
        self._different: float | None = None
        self._thread = threading.Thread(target=self._run, name="tidewheel-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._news.set()
        self._thread.join(10)

    def progress(self, key: Key, data: bytes) -> None:
        """Send this with the next beat."""
        self._progress[key] = data

    def nudge(self) -> None:
        """Beat now: there may be a cancellation."""
        self._news.set()

    def _run(self) -> None:
        next_sweep = time.monotonic() + random.random()
        while not self._stopping:
            every = self._consumer().beat_every
            self._beat()
            now = time.monotonic()
            if now >= next_sweep:
                self._sweep()
                next_sweep = now + max(1.0, every) * (0.9 + 0.2 * random.random())
            self._news.wait(every)
            self._news.clear()

    def _beat(self) -> None:
        progress, self._progress = self._progress, {}
        worker = self._worker_id()
        held = self._held()
        try:
            beat = self._consumer().beat([Progress(k[0], Token(worker, k[1]), data) for k, data in progress.items()])
        except BrokerError as error:
            self._progress = {**progress, **self._progress}
            self._trouble(error)
            return
        except Exception:
            log.exception("a beat failed")
            return
        self._heard(beat, max(held, self._held()))

    def _heard(self, beat: Beat, held: int) -> None:
        if beat.lost:
            self._lost()
            return
        if beat.cancels:
            self._cancels(beat.cancels)
        # A claim that is under way makes the two differ for a moment, so only what lasts for a whole beat is a reason to ask.
        now = time.monotonic()
        if beat.owned <= held:
            self._different = None
        elif self._different is None:
            self._different = now
        elif now - self._different >= self._consumer().beat_every:
            self._different = None
            self._differs()

    def _sweep(self) -> None:
        try:
            while True:
                swept = self._broker.sweep(SWEEP)
                for worker in swept.lost_workers:
                    log.warning("worker %s is gone; its jobs are back in their queues", worker)
                if self._stopping or max(swept.recovered, swept.expired, swept.pruned, swept.promoted) < SWEEP:
                    return
        except BrokerError as error:
            self._trouble(error)
        except Exception:
            log.exception("a sweep failed")
