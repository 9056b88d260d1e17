"""What the tests of the RabbitMQ engine work with: clients of a server, jobs, and workers in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pika

from tidewheel.backends.rabbitmq import wire
from tidewheel.backends.rabbitmq.address import parse
from tidewheel.backends.rabbitmq.consumer import Consumer
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.contract import Backend, Settlement, Verdict, WorkerInfo
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.outcome import AnyOutcome, Succeeded
from tidewheel.errors import BrokerError
from tidewheel.ids import incarnation, job_id
from tidewheel.worker.pause import Pause


def opened(url: str) -> Backend:
    """A client."""
    backend = wire(Store(parse(url)))
    backend.broker.open()
    return backend


def job(**fields: Any) -> Envelope:
    return Envelope(**{"id": job_id(), "task": "tests.noop", "body": b"body", **fields})


def worker(backend: Backend) -> Consumer:
    consumer = backend.broker.consumer(WorkerInfo(id=incarnation(), name="tester"))
    assert isinstance(consumer, Consumer)
    return consumer


def settle(consumer: Consumer, deliveries: Sequence[Delivery], outcome: AnyOutcome | None = None) -> list[Verdict]:
    return list(consumer.settle([Settlement(d.id, d.token, outcome or Succeeded(b"v")) for d in deliveries]))


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """pika's own channel, to do to the server what operators do."""
    connection = pika.BlockingConnection(pika.URLParameters(url.split("?")[0] + "%2F"))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


class Mill(threading.Thread):
    """A worker in a thread: claims, settles, takes a new session when its own is over, until `stop`. It never gives up."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(daemon=True)
        self._backend = backend
        self.consumer = worker(backend)
        self.ended: list[str] = []
        self.sessions = 1
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        pause = Pause(most=0.3)
        while not self._stopping.is_set():
            try:
                if self.consumer.beat().lost:
                    self.consumer = worker(self._backend)
                    self.sessions += 1
                claimed = list(self.consumer.claim(["default"], 20, 0.2))
                verdicts = settle(self.consumer, claimed)
                self.ended += [d.id for d, verdict in zip(claimed, verdicts, strict=True) if verdict == "ok"]
                pause.over()
            except BrokerError:
                threading.Event().wait(pause.longer())

    def stop(self) -> None:
        self._stopping.set()
        self.consumer.wake()
        self.join(30)
        assert not self.is_alive()
        self.consumer.close()
