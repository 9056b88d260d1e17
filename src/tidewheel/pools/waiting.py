"""Jobs that an executor has accepted and not started: first in, first out, and they can be taken back."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence

from tidewheel.core.job import Delivery
from tidewheel.pools.seam import Key

Fetch = Callable[[Callable[[], bool]], None]


class Waiting:
    """A queue from which single jobs can be removed. Any thread may use any method."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Delivery] = {}
        self._keys: queue.SimpleQueue[Key | None] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            key = (delivery.envelope.id, delivery.token.claim)
            self._jobs[key] = delivery
            self._keys.put(key)

    def get(self) -> Delivery | None:
        """The next job, blocking until there is one; None once `end` was called and nothing is left for this caller."""
        while True:
            key = self._keys.get()
            if key is None:
                return None
            delivery = self._jobs.pop(key, None)  # one dict operation decides between starting it and taking it back
            if delivery is not None:
                return delivery

    def get_nowait(self) -> Delivery | None:
        """The next job, or None when there is none now."""
        while True:
            try:
                key = self._keys.get_nowait()
            except queue.Empty:
                return None
            if key is not None and (delivery := self._jobs.pop(key, None)) is not None:
                return delivery

    def take(self, keys: Sequence[Key]) -> list[Key]:
        """Remove those that still wait; answers which."""
        return [key for key in keys if self._jobs.pop(key, None) is not None]

    def end(self, callers: int = 1) -> None:
        """Let this many blocked or future `get` calls answer None, after everything that was put before."""
        for _ in range(callers):
            self._keys.put(None)


class Fed(Waiting):
    """As `Waiting`, for one caller of `get` that fetches jobs itself when there are none: a job then wakes one thread and not two.

    `fetch` blocks until something came. It is given a question, and must not begin to block when the answer is yes: others may `put`, too.
    """

    def __init__(self, fetch: Fetch) -> None:
        super().__init__()
        self._fetch = fetch
        self._ended = False

    def get(self) -> Delivery | None:
        while (delivery := self.get_nowait()) is None:
            if self._ended:
                return None
            self._fetch(self._come)
        return delivery

    def _come(self) -> bool:
        return self._ended or bool(self._jobs)

    def end(self, callers: int = 1) -> None:
        self._ended = True
