"""Clients of a PostgreSQL database."""

from __future__ import annotations

from typing import Any

from tidewheel.backends.postgres import wire
from tidewheel.backends.postgres.address import parse
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Backend


def opened(url: str, **options: Any) -> Backend:
    """A client."""
    backend = wire(Store(parse(url), **options))
    backend.broker.open()
    return backend
