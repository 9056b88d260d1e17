"""Where many who wait for results share one who listens."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future

from tidewheel.contract import Record, ResultStore
from tidewheel.errors import BrokerError

log = logging.getLogger("tidewheel.results")


class Listener:
    """Waits for results on behalf of everybody in this process. Its thread exists while somebody waits (and a little longer)."""

    LINGER = 5.0

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._watched: dict[str, list[Future[Record]]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, job_id: str) -> Future[Record]:
        """A future of the job's record once it has ended."""
        future: Future[Record] = Future()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="tidewheel-results", daemon=True)
                thread.start()  # may fail, or be interrupted by Ctrl-C: then there is no listener, even if it runs
                self._thread = thread
            self._watched.setdefault(job_id, []).append(future)
            self._news.set()
        self._store.wake_waiters()
        return future

    def unwatch(self, job_id: str, future: Future[Record]) -> None:
        with self._lock:
            waiting = self._watched.get(job_id, [])
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._watched.pop(job_id, None)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            thread = self._thread
        self._news.set()
        self._store.wake_waiters()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _run(self) -> None:
        pause = 0.0
        while True:
            self._news.clear()
            with self._lock:
                if self._thread is not threading.current_thread():
                    return
                ids = list(self._watched)
                if self._closed:
                    self._thread = None
                    self._fail(BrokerError("the app was closed while a result was awaited"))
                    return
            if not ids:
                if not self._news.wait(self.LINGER):
                    with self._lock:
                        if not self._watched:
                            self._thread = None
                            return
                continue
            try:
                ended = self._store.wait(ids, 5.0)
                pause = 0.0
            except BrokerError as error:
                # The engine is away: those who wait have their own time limits; go on asking, ever more slowly.
                pause = min(1.0, pause * 2 + 0.05)
                log.warning("results cannot be read: %s", error)
                time.sleep(pause)
                continue
            except Exception as error:  # a bug of ours must reach those who wait, not hang them
                with self._lock:
                    self._fail(error)
                continue
            with self._lock:
                futures = [(f, record) for id_, record in ended.items() for f in self._watched.pop(id_, [])]
            for future, record in futures:
                if not future.done():
                    future.set_result(record)

    def _fail(self, error: Exception) -> None:
        for futures in self._watched.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)
        self._watched.clear()
