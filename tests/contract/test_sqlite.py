"""The contract, kept by the SQLite engine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidewheel.backends.sqlite import bells, wire
from tidewheel.backends.sqlite.consumer import Consumer as SQLiteConsumer
from tidewheel.backends.sqlite.place import parse
from tidewheel.backends.sqlite.store import Store
from tidewheel.contract import Backend, Consumer
from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness


class SQLiteHarness(Harness):
    def __init__(self, path: Path) -> None:
        self._ahead = 0.0
        self._path = path
        self._url = f"sqlite:///{path}/jobs.db"

    def connect(self) -> Backend:
        return wire(Store(parse(self._url), clock=lambda: time.time() + self._ahead))

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def kill(self, consumer: Consumer) -> None:
        assert isinstance(consumer, SQLiteConsumer)
        consumer.abandon()

    def data(self, *, elsewhere: bool = False) -> sqlite3.Connection:
        return sqlite3.connect(self._path / ("other.db" if elsewhere else "jobs.db"), timeout=10)

    @contextmanager
    def mute(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bells, "ring", lambda path: True)
            yield


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return SQLiteHarness(tmp_path)
