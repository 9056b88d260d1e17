"""Clients of a Redis server, and what the server knows of our scripts."""

from __future__ import annotations

from redis_harness import OldStore
from redis_server import Server

from tidewheel.backends.redis import wire
from tidewheel.backends.redis.address import parse
from tidewheel.backends.redis.store import Store
from tidewheel.backends.redis.verbs import verb
from tidewheel.contract import Backend


def opened(url: str, *, flags: bool = True) -> Backend:
    """A client. `flags` False: one that takes the server for a Redis 6."""
    store = (Store if flags else OldStore)(parse(url))
    store.open()
    return wire(store)


def loaded(server: Server, *names: str) -> None:
    """Let the server know these scripts already, so that a verb is a single question."""
    with server.client() as client:
        for name in names:
            client.script_load(verb(name).text)


def sha(name: str) -> bytes:
    """What is to be seen on the wire when this verb is run."""
    return verb(name).sha.encode()
