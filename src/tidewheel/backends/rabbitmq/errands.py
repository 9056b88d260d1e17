"""What a worker's session has to publish although nobody waits for it: jobs that it gives back, jobs of lost workers that must wait, dead
letters. A thread of its own, for publishing blocks, and the connection's thread must not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tidewheel.errors import BrokerError

log = logging.getLogger("tidewheel.rabbitmq")
T = TypeVar("T")


class Errands(Generic[T]):
    """Does what it is given in batches, until that succeeds or `stop`."""

    def __init__(self, do: Callable[[Sequence[T]], None]) -> None:
        self._do = do
        self._todo: list[T] = []
        self._news = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def add(self, errands: Sequence[T]) -> None:
        with self._news:
            self._todo += errands
            self._news.notify()
            if self._thread is None and not self._stopped:
                thread = threading.Thread(target=self._run, name="tidewheel-rabbitmq-errands", daemon=True)
                thread.start()  # may fail; the next errand tries again
                self._thread = thread

    def stop(self, *, wait: bool = True) -> None:
        """What has not been done stays undone. Returns when nothing is under way, unless it is not to wait."""
        with self._news:
            self._stopped = True
            self._news.notify()
            thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join(15)

    def _run(self) -> None:
        pause = 0.1
        while True:
            with self._news:
                while not self._todo and not self._stopped:
                    self._news.wait()
                if self._stopped:
                    return
                some, self._todo = self._todo, []
            try:
                self._do(some)
                pause = 0.1
            except BrokerError as error:
                log.debug("%d jobs could not be put back yet: %s", len(some), error)
            except Exception:
                log.exception("putting %d jobs back failed", len(some))
            else:
                continue
            with self._news:
                self._todo = some + self._todo
                if not self._stopped:
                    self._news.wait(pause)
                pause = min(5.0, 2 * pause)
