"""Which queues there are: the server lists none over AMQP, so whoever makes a queue writes its name into a queue of names beforehand.

Each call has a connection of its own: what was read returns when that ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pika
from pika import exceptions

from tidewheel.backends.rabbitmq import topology
from tidewheel.backends.rabbitmq.address import Address
from tidewheel.backends.rabbitmq.faults import NOT_FOUND, reply_code, translate
from tidewheel.backends.rabbitmq.link import Answer, Channel, Link
from tidewheel.backends.rabbitmq.topology import Names
from tidewheel.errors import BrokerError

log = logging.getLogger("tidewheel.rabbitmq")
R = TypeVar("R")

TRIES = 5
SILENCE = 0.5
"""Seconds without a note after which no more are expected: others may be reading them."""
MOST = 50_000
"""How many notes are read at most. With no limit the server takes it for 2,000."""
WORN = 1000
"""How often a note may have been read; then it is written anew."""


def note(address: Address, queue: str) -> None:
    """Write the name of a queue that is about to be made into the list. If that fails the log says so: only `status` would miss it."""
    name = Names(address.prefix).queues

    def begin(channel: Channel, answer: Answer) -> None:
        def declared(_: Any) -> None:
            channel.confirm_delivery(lambda _: answer.give(), callback=confirming)

        def confirming(_: Any) -> None:
            channel.basic_publish("", name, queue.encode(), pika.BasicProperties(delivery_mode=2))

        channel.queue_declare(name, durable=True, arguments=topology.queue_list(), callback=declared)

    try:
        _ask(address, lambda link: link.command(begin))
    except BrokerError as error:
        log.warning("queue %s is missing in the list of queues, which could not be written: %s", queue, error)


def read(address: Address) -> set[str]:
    """Every queue that was noted. Raises `BrokerError`s."""
    return _ask(address, lambda link: _read(link, address))


def _read(link: Link, address: Address) -> set[str]:
    """Take all notes and acknowledge none: they return when the connection ends. Whoever reads meanwhile gets them then."""
    name, found, worn = Names(address.prefix).queues, set[str](), dict[str, int]()
    try:
        answer = link.command(lambda ch, answer: ch.queue_declare(name, passive=True, callback=answer.give))
    except exceptions.AMQPError as error:
        if reply_code(error) == NOT_FOUND:
            return found
        raise
    count: int = answer.method.message_count

    def begin(channel: Channel, answer: Answer) -> None:
        seen = 0

        def came(_: Channel, method: Any, props: Any, body: bytes) -> None:
            nonlocal seen
            seen += 1
            queue = body.decode(errors="replace")
            found.add(queue)
            if (props.headers or {}).get("x-delivery-count", 0) >= WORN:
                worn[queue] = method.delivery_tag
            if seen == count:
                answer.give()

        def look(before: int) -> None:
            if seen == before:
                answer.give()
            else:
                link.later(SILENCE, partial(look, seen))

        channel.basic_qos(prefetch_count=MOST)
        channel.basic_consume(name, came)
        link.later(SILENCE, partial(look, 0))

    link.command(begin)
    for queue, tag in worn.items():  # before the server takes it for poison
        note(address, queue)
        link.command(partial(_discard, tag))
    return found


def _discard(tag: int, channel: Channel, answer: Answer) -> None:
    channel.basic_ack(tag)
    channel.basic_qos(callback=answer.give)  # its answer says that the other has arrived


def _ask(address: Address, call: Callable[[Link], R]) -> R:
    for tries in range(1, TRIES + 1):
        link = Link(address, "list of queues")
        try:
            return call(link)
        except (BrokerError, exceptions.AMQPError) as error:
            if tries == TRIES:
                raise translate(error, address) from error
        finally:
            link.close()
        time.sleep(0.05 * tries)  # somebody else is making it
    raise AssertionError
