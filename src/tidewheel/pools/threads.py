"""`threads`: several jobs at once in one executor, each on a thread of its own. For tasks that wait for something."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tidewheel.core.job import Delivery
from tidewheel.pools.lane import Lane
from tidewheel.pools.seam import Harness, Key, Why
from tidewheel.pools.waiting import Waiting


class Threads:
    def __init__(self, harness: Harness, concurrency: int) -> None:
        self.slots = concurrency
        self._waiting = Waiting()
        self._lanes = [Lane(harness, self._waiting) for _ in range(concurrency)]
        self._threads: list[threading.Thread] = []
        self._accepted = 0
        self._done = threading.Event()

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        # Threads are started as they are first needed: an idle pool of 100 costs nothing.
        self._waiting.put(deliveries)
        self._accepted += len(deliveries)
        while len(self._threads) < min(len(self._lanes), self._accepted):
            lane = self._lanes[len(self._threads)]
            thread = threading.Thread(target=lane.run, name=f"tidewheel-job-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take_back(self, keys: Sequence[Key]) -> list[Key]:
        return self._waiting.take(keys)

    def stop(self, key: Key, why: Why) -> None:
        for lane in self._lanes:
            if lane.running == key and lane.stop(key, why):
                return

    def run(self) -> None:
        self._done.wait()
        for thread in self._threads:
            thread.join()

    def quit(self) -> None:
        self._waiting.end(len(self._lanes))
        self._done.set()
