"""The Redis engine (also Valkey and others that speak its protocol and run its scripts): one server for any number of hosts.

`address.py` the URL · `lua/` one script a verb, `shared/` what several of them need · `layout.py` what lies where · `connections.py` and
`store.py` the way there · `ears.py` being woken · `durability.py` what survives what · and one module per role.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from tidewheel.contract import Backend
from tidewheel.errors import MissingExtra

if TYPE_CHECKING:
    from tidewheel.backends.redis.store import Store

__all__ = ["connect", "wire"]


def connect(url: str) -> Backend:
    """The roles of the server that a URL names; nothing is opened yet. Raises `ConfigurationError`."""
    if importlib.util.find_spec("redis") is None or importlib.util.find_spec("hiredis") is None:
        raise MissingExtra('a redis:// broker needs the packages redis and hiredis: pip install "tidewheel[redis]"')
    from tidewheel.backends.redis.address import parse
    from tidewheel.backends.redis.store import Store

    return wire(Store(parse(url)))


def wire(store: Store) -> Backend:
    """The roles of one store."""
    from tidewheel.backends.redis.archive import Archive
    from tidewheel.backends.redis.broadcast import Broadcaster
    from tidewheel.backends.redis.broker import Broker
    from tidewheel.backends.redis.browse import Browse
    from tidewheel.backends.redis.control import Control
    from tidewheel.backends.redis.results import ResultStore
    from tidewheel.backends.redis.tracker import Tracker

    return Backend(
        Broker(store), ResultStore(store), Browse(store), Control(store), Archive(store), Broadcaster(store), tracker=Tracker(store)
    )
