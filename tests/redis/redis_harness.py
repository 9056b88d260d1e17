"""The Redis engine for the conformance suite."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct

import pytest
from redis_server import Server

from tidewheel.backends.redis import wire
from tidewheel.backends.redis.address import parse
from tidewheel.backends.redis.consumer import Consumer as RedisConsumer
from tidewheel.backends.redis.ears import Ears
from tidewheel.backends.redis.layout import HANDED
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Backend, Consumer, Swept
from tidewheel.testing.conformance import Harness

CLOCK = """
local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000 + tonumber(redis.call('GET', KEYS[1] .. ':ahead') or 0)
end
"""
"""In the place of lua/shared/clock.lua: the server's time, and as much more as the test has let pass."""
BEAT = Struct(">Iddd")


class OldStore(Store):
    """One that takes the server for a Redis 6: its scripts carry no flags."""

    def open(self) -> None:
        super().open()
        self._flags = False


class RealHarness(Harness):
    """On the server's own clock."""

    tick = 0.3
    virtual = False

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = server.client()
        self.client.flushall()
        self._beats_ahead = 0.0

    def connect(self) -> Backend:
        return wire(Store(parse(self.server.url), monotonic=self.monotonic))

    def monotonic(self) -> float:
        return time.monotonic() + self._beats_ahead

    def kill(self, consumer: Consumer) -> None:
        """Its last beat was an hour ago."""
        assert isinstance(consumer, RedisConsumer)
        beat = self.client.hget("{tidewheel}:worker", consumer._id)
        assert beat is not None
        count, seen, lease, every = BEAT.unpack(beat)
        self.client.hset("{tidewheel}:worker", consumer._id, BEAT.pack(count, seen - 3600, lease, every))

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

        def deaf(ears: Ears, timeout: float) -> tuple[list[bytes], bool]:
            """Wait as long, and have heard nothing but the alarm. (A job that was handed over is no hint: it is the answer to a claim.)"""
            end = time.monotonic() + timeout
            while (left := end - time.monotonic()) > 0:
                said, rang = hear(ears, left)
                said = [message for message in said if message.startswith(HANDED)]
                if said or rang:
                    return said, rang
            return [], False

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ears, "hear", deaf)
            yield

    def close(self) -> None:
        self.client.close()


class VirtualHarness(RealHarness):
    """On a clock that the tests can shift, in the server as here."""

    tick = 10.0
    virtual = True

    def __init__(self, server: Server, kind: type[Store] = Store) -> None:
        super().__init__(server)
        self._kind = kind
        self._ahead = 0.0

    def connect(self) -> Backend:
        return wire(self._kind(parse(self.server.url), clock=CLOCK, monotonic=self.monotonic))

    def advance(self, seconds: float) -> None:
        self._ahead += seconds
        self.client.set("{tidewheel}:ahead", self._ahead)
