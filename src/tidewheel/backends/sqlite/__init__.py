"""The SQLite engine: one file, for all processes of one host. No server.

`schema.py` and `migrations/` the tables · `sql/` the statements · `store.py` connections and transactions · `mutex.py` one writer at a
time · `liveness.py` who is alive · `bells.py` who is woken · and one module per role.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from tidewheel.contract import Backend
from tidewheel.errors import ConfigurationError

if TYPE_CHECKING:
    from tidewheel.backends.sqlite.store import Store

__all__ = ["connect"]


def connect(url: str) -> Backend:
    """The roles of the file that a URL names; nothing is opened yet. Raises `ConfigurationError`."""
    if importlib.util.find_spec("fcntl") is None:
        raise ConfigurationError("sqlite:// needs a system with flock (Linux, macOS, WSL); here, use another engine")
    from tidewheel.backends.sqlite.place import parse
    from tidewheel.backends.sqlite.store import Store

    return wire(Store(parse(url)))


def wire(store: Store) -> Backend:
    """The roles of one store."""
    from tidewheel.backends.sqlite.archive import Archive
    from tidewheel.backends.sqlite.broker import Broker
    from tidewheel.backends.sqlite.browse import Browse
    from tidewheel.backends.sqlite.control import Control
    from tidewheel.backends.sqlite.results import ResultStore
    from tidewheel.backends.sqlite.tracker import Tracker
    from tidewheel.backends.sqlite.transactions import Transactions

    return Backend(
        Broker(store), ResultStore(store), Browse(store), Control(store), Archive(store), transactions=Transactions(store),
        tracker=Tracker(store),
    )  # fmt: skip
