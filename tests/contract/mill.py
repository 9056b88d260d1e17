"""Jobs, and workers in this process, for the tests of every engine that is a server."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from tidewheel.contract import Backend, Consumer, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.outcome import AnyOutcome, Succeeded
from tidewheel.errors import BrokerError
from tidewheel.ids import incarnation, job_id
from tidewheel.worker.pause import Pause


def job(**fields: Any) -> Envelope:
    return Envelope(**{"id": job_id(), "task": "tests.noop", "body": b"body", **fields})


def worker(backend: Backend) -> Consumer:
    return backend.broker.consumer(WorkerInfo(id=incarnation(), name="tester"))


def settle(consumer: Consumer, deliveries: Sequence[Delivery], outcome: AnyOutcome | None = None) -> list[Verdict]:
    return list(consumer.settle([Settlement(d.id, d.token, outcome or Succeeded(b"v")) for d in deliveries]))


class Mill(threading.Thread):
    """A worker in a thread: claims and settles, after trouble reconciles or takes a new session, until `stop`. It never gives up."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(daemon=True)
        self._backend = backend
        self.consumer = worker(backend)
        self.ended: list[str] = []
        self.troubles = 0
        self.sessions = 1
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        pause = Pause(most=0.3)
        unsettled: list[Delivery] = []
        reconcile = False
        while not self._stopping.is_set() or unsettled or reconcile:
            try:
                if unsettled:
                    verdicts = settle(self.consumer, unsettled)
                    self.ended += [d.id for d, verdict in zip(unsettled, verdicts, strict=True) if verdict == "ok"]
                    unsettled = []
                elif reconcile:
                    if self.consumer.beat().lost:
                        self.consumer = worker(self._backend)
                        self.sessions += 1
                    else:
                        unsettled = list(self.consumer.owned())
                    reconcile = False
                else:
                    unsettled = list(self.consumer.claim(["default"], 20, 0.2))
                pause.over()
            except BrokerError:
                self.troubles += 1
                reconcile = True
                threading.Event().wait(pause.longer())

    def stop(self) -> None:
        self._stopping.set()
        self.consumer.wake()
        self.join(30)
        assert not self.is_alive()
        self.consumer.close()
