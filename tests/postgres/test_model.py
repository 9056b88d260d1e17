"""The engine against the model of the state machine that tests/sqlite/test_machine.py has, by random steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from postgres_server import Server
from test_machine import WORKERS, Machine

from tidewheel.backends.postgres import wire
from tidewheel.backends.postgres.address import parse
from tidewheel.backends.postgres.connections import Connection
from tidewheel.backends.postgres.store import Store, T
from tidewheel.contract import Backend

pytestmark = pytest.mark.slow

TOLD = "(SELECT moment FROM public.told)"


class ToldStore(Store):
    """Tells the server the time before each step."""

    moment: Callable[[], float]
    told = 0.0

    def on(self, connection: Connection, work: Callable[[Connection], T], limit: float) -> T:
        if self.told != self.moment():
            self.told = self.moment()
            PostgresMachine.sql.execute("UPDATE public.told SET moment = %s", (self.told,))
        return super().on(connection, work, limit)


class PostgresMachine(Machine):
    """Leases instead of locks: a dead worker is one that does not beat."""

    server: ClassVar[Server]
    sql: ClassVar[psycopg.Connection]
    schemas: ClassVar[itertools.count] = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    @staticmethod
    def connect(folder: Path, clock: Callable[[], float]) -> Callable[[], Backend]:
        machine: PostgresMachine = clock.__closure__[0].cell_contents  # type: ignore[index]
        machine.schema = f"model{next(PostgresMachine.schemas)}"  # type: ignore[attr-defined]
        PostgresMachine.sql.execute("UPDATE public.told SET moment = %s", (clock(),))

        def client() -> Backend:
            url = f"{PostgresMachine.server.url}?schema={machine.schema}"  # type: ignore[attr-defined]
            store = ToldStore(parse(url), now=TOLD, monotonic=lambda: machine.ahead, ahead=())
            store.moment = clock
            return wire(store)

        return client

    def _bury(self) -> None:
        """Two looks, a beat apart; between them everybody who lives beats."""
        self.backend.broker.sweep()
        for worker in self.workers:
            worker.beat()
        self.ahead += 11.0
        self._expire()
        super()._bury()

    @rule(index=st.integers(0, WORKERS - 1))
    def kill(self, index: int) -> None:
        self._retire(index, lambda: self._stop_beating(index))
        self.dead.append((self._left, self.workers[index]))

    def _stop_beating(self, index: int) -> None:
        table = f"{self.schema}.worker"  # type: ignore[attr-defined]
        self.sql.execute(f"UPDATE {table} SET seen = seen - 3600 WHERE id = %s", (self.names[index],))


def test_the_engine_does_what_the_model_does(shared: Server) -> None:
    PostgresMachine.server = shared
    with shared.client() as PostgresMachine.sql:
        PostgresMachine.sql.execute("CREATE TABLE public.told (moment float8); INSERT INTO public.told VALUES (0)")
        run_state_machine_as_test(
            PostgresMachine,
            settings=settings(
                max_examples=10, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
            ),
        )
