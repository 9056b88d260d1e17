"""`processes`: one job at a time in each executor, on its main thread. As many executors as the concurrency says.

`inline` is the same thing inside the worker's own process (for debugging): nothing else has to be different.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.core.job import Delivery
from tidewheel.pools.lane import Lane
from tidewheel.pools.seam import Harness, Key, Why
from tidewheel.pools.waiting import Fed, Fetch, Waiting


class Processes:
    slots = 1

    def __init__(self, harness: Harness, *, main_thread: bool = True, fetch: Fetch | None = None) -> None:
        """`fetch`: with it the pool's own thread reads what the worker says, while it has nothing to do (`Fed`)."""
        self._waiting = Waiting() if fetch is None else Fed(fetch)
        self._lane = Lane(harness, self._waiting, by_signal=main_thread)

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        self._waiting.put(deliveries)

    def take_back(self, keys: Sequence[Key]) -> list[Key]:
        return self._waiting.take(keys)

    def stop(self, key: Key, why: Why) -> None:
        self._lane.stop(key, why)

    def run(self) -> None:
        self._lane.run()

    def quit(self) -> None:
        self._waiting.end()
