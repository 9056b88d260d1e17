"""The memory engine: everything in this process, gone with it. It is the reference model of the contract, and for tests.

`memory://name` names a store that all of this process shares; `memory://` is the one with the empty name. `drop` forgets them.
"""

from __future__ import annotations

import os
import re
import threading

from tidewheel.backends.memory.archive import Archive
from tidewheel.backends.memory.broadcast import Broadcaster
from tidewheel.backends.memory.broker import Broker
from tidewheel.backends.memory.browse import Browse
from tidewheel.backends.memory.control import Control
from tidewheel.backends.memory.results import ResultStore
from tidewheel.backends.memory.store import Store
from tidewheel.backends.memory.tracker import Tracker
from tidewheel.contract import Backend
from tidewheel.errors import ConfigurationError

__all__ = ["connect", "drop", "wire"]

_stores: dict[str, Store] = {}
_lock = threading.Lock()


def connect(url: str) -> Backend:
    """The roles of a process-wide store, made at its first use. Raises `ConfigurationError` for a URL that is not `memory://name`."""
    match = re.fullmatch(r"memory://([A-Za-z0-9_.\-]*)", url)
    if match is None:
        raise ConfigurationError(f"broker URL {url!r}: expected memory:// or memory://name, a name of letters, digits and any of _ . -")
    with _lock:
        store = _stores.get(match[1])
        if store is None:
            store = _stores[match[1]] = Store(match[1])
    return wire(store)


def wire(store: Store) -> Backend:
    """The roles of one store."""
    return Backend(
        Broker(store), ResultStore(store), Browse(store), Control(store), Archive(store), Broadcaster(store), tracker=Tracker(store)
    )


def drop(name: str | None = None) -> None:
    """Forget a store and all of its jobs; every store when no name is given. For tests: whoever is still connected keeps the old one."""
    with _lock:
        if name is None:
            _stores.clear()
        else:
            _stores.pop(name, None)


def _after_fork() -> None:
    """A child starts empty: it could not tell its parent of anything that it changed."""
    global _lock
    _lock = threading.Lock()
    _stores.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
