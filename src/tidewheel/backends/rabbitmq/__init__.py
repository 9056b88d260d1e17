"""The RabbitMQ engine: one server or cluster for any number of hosts; it carries jobs, and a store beside it can look them up.

`address.py` the URL · `topology.py` what lies where · `link.py` a connection and its thread · `publisher.py` confirmed publishing ·
`store.py` declarations · `listing.py` the list of queues · `message.py`, `letters.py` what jobs and dead letters look like · `reading.py` a
look at dead letters · `taps.py`, `session.py`, `errands.py` what a worker is given · `guarantees.py` what survives what · and one module
per role.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from tidewheel.contract import Backend
from tidewheel.errors import MissingExtra

if TYPE_CHECKING:
    from tidewheel.backends.rabbitmq.store import Store

__all__ = ["connect", "wire"]


def connect(url: str) -> Backend:
    """The roles of the server that a URL names; nothing is opened yet. Raises `ConfigurationError`."""
    if importlib.util.find_spec("pika") is None:
        raise MissingExtra('an amqp:// broker needs the package pika: pip install "tidewheel[rabbitmq]"')
    from tidewheel.backends.rabbitmq.address import parse
    from tidewheel.backends.rabbitmq.store import Store

    return wire(Store(parse(url)))


def wire(store: Store) -> Backend:
    """The roles of one store."""
    from tidewheel.backends.rabbitmq.broadcast import Broadcaster
    from tidewheel.backends.rabbitmq.broker import Broker
    from tidewheel.backends.rabbitmq.dead_letters import DeadLetters

    return Backend(
        Broker(store, alone=True), broadcaster=Broadcaster(store), carrier=Broker(store, alone=False), dead_letters=DeadLetters(store)
    )
