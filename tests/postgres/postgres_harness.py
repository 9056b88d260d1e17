"""The PostgreSQL engine for the conformance suite."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from postgres_server import Server

from tidewheel.backends.postgres import wire
from tidewheel.backends.postgres.address import parse
from tidewheel.backends.postgres.consumer import Consumer as PostgresConsumer
from tidewheel.backends.postgres.ears import Ears
from tidewheel.backends.postgres.schema import NOW
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Backend, Consumer, Swept
from tidewheel.testing.conformance import Harness

AHEAD = f"({NOW} + coalesce((SELECT seconds FROM public.ahead), 0))"
"""In the place of the server's clock: its time, and as much more as the test has let pass."""
NARROW = ((math.inf, 1.0),)
"""Partitions of a second, so that a sweep forgets a job as soon as its time is over."""


class RealHarness(Harness):
    """On the server's own clock."""

    tick = 0.3
    virtual = False

    def __init__(self, server: Server, url: str = "") -> None:
        self.server = server
        self.url = url or server.url
        self.client = server.client()
        self.client.execute("DROP SCHEMA IF EXISTS tidewheel CASCADE; DROP TABLE IF EXISTS public.ahead, public.account")
        self._beats_ahead = 0.0

    def connect(self) -> Backend:
        return wire(Store(parse(self.url), monotonic=self.monotonic, widths=NARROW, ahead=()))

    def monotonic(self) -> float:
        return time.monotonic() + self._beats_ahead

    def kill(self, consumer: Consumer) -> None:
        """Its last beat was an hour ago."""
        assert isinstance(consumer, PostgresConsumer)
        self.client.execute("UPDATE tidewheel.worker SET seen = seen - 3600 WHERE id = %s", (consumer._id,))

    def recover(self, backend: Backend) -> Swept:
        """A look, and a beat later another."""
        first = backend.broker.sweep()
        self._beats_ahead += 10.1
        second = backend.broker.sweep()
        return Swept(
            promoted=first.promoted + second.promoted, recovered=first.recovered + second.recovered,
            expired=first.expired + second.expired, pruned=first.pruned + second.pruned,
            lost_workers=(*first.lost_workers, *second.lost_workers),
        )  # fmt: skip

    @contextmanager
    def mute(self) -> Iterator[None]:
        hear = Ears.hear

        def deaf(ears: Ears, timeout: float) -> tuple[list[tuple[str, str]], bool]:
            """Wait as long, and have heard nothing but the alarm."""
            end = time.monotonic() + timeout
            while (left := end - time.monotonic()) > 0:
                _, rang = hear(ears, left)
                if rang:
                    return [], True
            return [], False

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ears, "hear", deaf)
            yield

    def data(self, *, elsewhere: bool = False) -> Any:
        return psycopg.connect(self.server.database() if elsewhere else self.server.url)

    async def adata(self, *, elsewhere: bool = False) -> Any:
        return await psycopg.AsyncConnection.connect(self.server.database() if elsewhere else self.server.url)

    def close(self) -> None:
        self.client.close()


class VirtualHarness(RealHarness):
    """On a clock that the tests can shift, in the server as here."""

    tick = 10.0
    virtual = True

    def __init__(self, server: Server, url: str = "") -> None:
        super().__init__(server, url)
        self.client.execute("CREATE TABLE public.ahead (seconds float8); INSERT INTO public.ahead VALUES (0)")

    def connect(self) -> Backend:
        return wire(Store(parse(self.url), now=AHEAD, monotonic=self.monotonic, widths=NARROW, ahead=()))

    def advance(self, seconds: float) -> None:
        self.client.execute("UPDATE public.ahead SET seconds = seconds + %s", (seconds,))
