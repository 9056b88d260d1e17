"""Clients of a RabbitMQ server: ours, and an operator's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika

from tidewheel.backends.rabbitmq import wire
from tidewheel.backends.rabbitmq.address import parse
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.contract import Backend


def opened(url: str) -> Backend:
    """A client."""
    backend = wire(Store(parse(url)))
    backend.broker.open()
    return backend


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """pika's own channel, to do to the server what operators do. What it publishes is confirmed, so that it is there afterwards."""
    connection = pika.BlockingConnection(pika.URLParameters(url.split("?")[0] + "%2F"))
    try:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened
    finally:
        if connection.is_open:
            connection.close()
