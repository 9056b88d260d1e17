"""Several threads on one connection: what one writes in its own turn, and what is given away in the connection's thread."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from mill import job, settle, worker
from rabbit_field import opened

from tidewheel.backends.rabbitmq.address import parse
from tidewheel.backends.rabbitmq.link import Answer, Channel, Link
from tidewheel.core.job import Delivery
from tidewheel.errors import BrokerError
from tidewheel.testing.conformance.harness import Aside


def test_bodies_larger_than_the_socket_takes_arrive_whole(url: str) -> None:
    """Four threads write at once: frames of one must not get between those of another, whatever is sent in pieces."""
    backend = opened(url)
    rng = random.Random(7)
    jobs = [job(body=bytes([n]) * rng.choice([1, 200, 70_000, 900_000, 6_000_000])) for n in range(32)]
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda e: backend.broker.publish([e])[0], jobs))
    assert [r.id for r in receipts] == [e.id for e in jobs]
    consumer = worker(backend)
    found: dict[str, bytes] = {}
    while len(found) < len(jobs):
        claimed = consumer.claim(["default"], 8, 20)
        assert claimed
        found.update({d.id: d.envelope.body for d in claimed})
        settle(consumer, claimed)
    assert found == {e.id: e.body for e in jobs}
    consumer.close()
    backend.broker.close()


def test_who_waits_need_not_be_woken(url: str) -> None:
    """While it looks how deep its queues are it takes what comes by itself; so now and then, at first."""
    backend = opened(url)
    consumer = worker(backend)
    given: list[Delivery] = []
    for _ in range(200):
        waiting = Aside(consumer.claim, ["default"], 1, 20, given.extend)
        (receipt,) = backend.broker.publish([job()])
        deliveries = [*waiting.answer(), *given]
        assert [d.id for d in deliveries] == [receipt.id]
        assert settle(consumer, deliveries) == ["ok"]
        if given:
            break
    assert given
    consumer.close()
    backend.broker.close()


def test_what_goes_wrong_with_it_is_raised_where_it_was_asked_for(url: str) -> None:
    backend = opened(url)
    consumer = worker(backend)

    def refuse(_: Sequence[Delivery]) -> None:
        raise ValueError("there is no room")

    published: list[str] = []

    def claim() -> None:
        waiting = Aside(consumer.claim, ["default"], 1, 20, refuse)
        published.append(backend.broker.publish([job()])[0].id)
        settle(consumer, waiting.answer())

    with pytest.raises(ValueError, match="there is no room"):
        for _ in range(200):
            claim()
    owned = consumer.owned()
    assert [d.id for d in owned] == published[-1:], "it is found where the worker asks what it owns"
    assert settle(consumer, owned) == ["ok"]
    consumer.close()
    backend.broker.close()


def test_a_callback_that_fails_ends_the_connection_and_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits for it is told, instead of waiting for ever for what was in the same read."""
    ended = threading.Event()
    link = Link(parse(url), "test", lambda _: ended.set())

    def came(*_: object) -> None:
        raise ZeroDivisionError

    def begin(channel: Channel, answer: Answer) -> None:
        channel.queue_declare("fails", exclusive=True)
        channel.basic_consume("fails", came, callback=answer.give)
        channel.basic_publish("", "fails", b"1")

    link.command(begin)
    assert ended.wait(20)
    assert isinstance(link.error, BrokerError)
    assert "reading from a connection to RabbitMQ failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    link.close()
