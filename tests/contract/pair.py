"""A carrier and a keeper in memory, as one engine; any call to either can be made to fail."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from carrier import Carrier, Post
from tracked_harness import silence

from tidewheel.backends.memory import wire
from tidewheel.backends.memory.store import Store
from tidewheel.backends.tracked import tracked
from tidewheel.contract import Backend, Consumer
from tidewheel.core.job import Delivery
from tidewheel.errors import BrokerUnavailable
from tidewheel.testing.conformance import Harness, Rig


class Pair:
    """A carrier and a keeper in memory; any call to either can be made to fail."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.post = Post(self.clock)
        self.jobs = Store(clock=self.clock)
        self.carrier, self.keeper = Faults(), Faults()
        self.rig = self.other_app("post")

    def clock(self) -> float:
        return time.time() + self.ahead

    def other_app(self, name: str, post: Post | None = None) -> Rig:
        """Another client; by default of the same carrier."""
        keeper = wire(self.jobs)
        kept = Backend(
            Faulty(keeper.broker, self.keeper), keeper.results, keeper.browse, keeper.control, keeper.archive,
            tracker=Faulty(keeper.tracker, self.keeper),
        )  # fmt: skip
        backend = tracked(Backend(Faulty(Carrier(post or self.post), self.carrier)), kept, name, clock=self.clock)

        class Ready(Harness):
            def connect(self) -> Backend:
                return backend

            def kill(self, consumer: Consumer) -> None:
                silence(consumer)
                consumer._kept.abandon()  # type: ignore[attr-defined]
                consumer._carried.abandon()  # type: ignore[attr-defined]

        return Rig(Ready())

    def taken(self, queue: str = "default") -> list[Delivery]:
        """What a new worker gets."""
        return self.rig.take(self.rig.worker(), queues=(queue,))

    def state(self, id_: str) -> str | None:
        record = self.rig.results.records([id_]).get(id_)
        return None if record is None else record.state

    def until_missed(self) -> None:
        """Long enough for a missing message to be noticed."""
        self.ahead += 31
        self.rig.broker.sweep()


class Faults(list[tuple[str, str, Exception]]):
    """Calls that are to fail: the verb, before or after it took effect, and with what."""

    def fail(self, verb: str, when: str = "before", error: Exception | None = None) -> None:
        self.append((verb, when, error or BrokerUnavailable(f"{verb} failed on purpose, {when} it took effect")))


class Faulty:
    """Anything, with some of its calls failing."""

    def __init__(self, inner: Any, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, name, found) if callable(found) and not name.startswith("_") else found

    def _call(self, name: str, call: Any, *args: Any) -> Any:
        plan = next((plan for plan in self._faults if plan[0] == name), None)
        if plan is not None:
            self._faults.remove(plan)
            if plan[1] == "after":
                call(*args)
            raise plan[2]
        answer = call(*args)
        return Faulty(answer, self._faults) if name == "consumer" else answer
