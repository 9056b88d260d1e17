"""The PostgreSQL engine: jobs in a schema of a database that is there anyway.

`address.py` the URL · `migrations/` the schema, numbered steps · `sql/` one statement a verb · `connections.py` and `store.py` the way
there · `procedure.py` several statements in turn · `guests.py` users' connections · `arrays.py` and `rows.py` values · `bells.py` who is
told, `ears.py` being told · `partitions.py` how what is over goes · `durability.py` what survives what · and one module per role.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from tidewheel.contract import Backend
from tidewheel.errors import MissingExtra

if TYPE_CHECKING:
    from tidewheel.backends.postgres.store import Store

__all__ = ["connect", "wire"]


def connect(url: str) -> Backend:
    """The roles of the database that a URL names; nothing is opened yet. Raises `ConfigurationError`."""
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtra('a postgresql:// broker needs the package psycopg: pip install "tidewheel[postgres]"')
    try:
        from tidewheel.backends.postgres.address import parse
        from tidewheel.backends.postgres.store import Store
    except ImportError as error:  # psycopg without its C half and without libpq
        raise MissingExtra(f'psycopg cannot be used ({error}): pip install "tidewheel[postgres]"') from error
    return wire(Store(parse(url)))


def wire(store: Store) -> Backend:
    """The roles of one store."""
    from tidewheel.backends.postgres.archive import Archive
    from tidewheel.backends.postgres.async_transactions import AsyncTransactions
    from tidewheel.backends.postgres.broadcast import Broadcaster
    from tidewheel.backends.postgres.broker import Broker
    from tidewheel.backends.postgres.browse import Browse
    from tidewheel.backends.postgres.control import Control
    from tidewheel.backends.postgres.migrating import Migrations
    from tidewheel.backends.postgres.results import ResultStore
    from tidewheel.backends.postgres.tracker import Tracker
    from tidewheel.backends.postgres.transactions import Transactions

    return Backend(
        Broker(store), ResultStore(store), Browse(store), Control(store), Archive(store), Broadcaster(store), Transactions(store),
        Migrations(store), Tracker(store), async_transactions=AsyncTransactions(store),
    )  # fmt: skip
