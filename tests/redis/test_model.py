"""The engine against the model of the state machine that tests/sqlite/test_machine.py has, by random steps.

Where this engine is free to differ, the model is told: a delayed job gets its place in the queue when it becomes due.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from redis_server import Server
from test_machine import WORKERS, Machine

from tidewheel.backends.redis import wire
from tidewheel.backends.redis.address import parse
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Backend

pytestmark = pytest.mark.slow

CLOCK = """
local function clock() return tonumber(redis.call('GET', KEYS[1] .. ':clock')) end
"""
BEAT = Struct(">Iddd")


class ToldStore(Store):
    """Tells the server the time before each question."""

    moment: Callable[[], float]
    told = 0.0

    def _exchange(self, connection: Any, words: Any, script: Any, limit: float) -> Any:
        if script is not None:
            connection.send_command("SET", f"{self.slot}:clock", self.moment())
            connection.read_response()
        return super()._exchange(connection, words, script, limit)


class RedisMachine(Machine):
    """Leases instead of locks: a dead worker is one that does not beat."""

    server: ClassVar[Server]

    def __init__(self) -> None:
        super().__init__()
        self.delayed: set[str] = set()
        self.ahead = 0.0

    @staticmethod
    def connect(folder: Path, clock: Callable[[], float]) -> Callable[[], Backend]:
        machine: RedisMachine = clock.__closure__[0].cell_contents  # type: ignore[index]

        def client() -> Backend:
            url = f"{RedisMachine.server.url}?prefix={folder.name}"
            store = ToldStore(parse(url), clock=CLOCK, monotonic=lambda: machine.ahead)
            store.moment = clock
            return wire(store)

        return client

    def _promote(self) -> None:
        due = [j for i in self.delayed if (j := self.model.get(i)) is not None and j.state == "waiting" and j.due <= self.now]
        for job in sorted(due, key=lambda j: (j.due, j.envelope.id)):
            self.seq += 1
            job.seq = self.seq
        self.delayed -= {j.envelope.id for j in due}

    def _bury(self) -> None:
        """Two looks, a beat apart; between them everybody who lives beats."""
        self.backend.broker.sweep()
        for worker in self.workers:
            worker.beat()
        self.ahead += 11.0
        self._expire()
        self._promote()
        super()._bury()

    @rule(seconds=st.sampled_from([1.0, 10.0, 61.0, 3601.0, 15 * 86_400.0]))
    def pass_time(self, seconds: float) -> None:
        self.delayed |= {i for i, job in self.model.items() if job.state == "waiting" and job.due > self.now}
        self.now += seconds

    @rule(
        target=Machine.held, index=st.integers(0, WORKERS - 1), limit=st.integers(1, 4), lose=st.sampled_from([False, False, False, True])
    )
    def claim(self, index: int, limit: int, lose: bool) -> object:
        self._expire()
        self._promote()
        return Machine.claim.__wrapped__(self, index, limit, lose)  # type: ignore[attr-defined]

    @rule(index=st.integers(0, WORKERS - 1))
    def kill(self, index: int) -> None:
        self._retire(index, lambda: self._stop_beating(index))
        self.dead.append((self._left, self.workers[index]))

    def _stop_beating(self, index: int) -> None:
        with self.server.client() as client:
            key, name = f"{{{self.folder.name}}}:worker", self.names[index]
            beat = client.hget(key, name)
            assert beat is not None
            count, seen, lease, every = BEAT.unpack(beat)
            client.hset(key, name, BEAT.pack(count, seen - 3600, lease, every))


def test_the_engine_does_what_the_model_does(shared: Server) -> None:
    RedisMachine.server = shared
    run_state_machine_as_test(
        RedisMachine,
        settings=settings(
            max_examples=80, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
        ),
    )
