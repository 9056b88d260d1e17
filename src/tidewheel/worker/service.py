"""A worker as a process: import the app (in a child), open the broker, run until a signal, drain, and answer an exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from tidewheel import events
from tidewheel.contract import Backend, Description
from tidewheel.errors import ConfigurationError
from tidewheel.pools.patches import REMARKS, check
from tidewheel.worker.admission import admitted
from tidewheel.worker.crew import ForkCrew, InlineCrew, SpawnCrew
from tidewheel.worker.frames import Manifest
from tidewheel.worker.options import WorkerOptions

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.worker.worker import Worker

log = logging.getLogger("tidewheel.worker")

OK, CUT = 0, 1

Announce = Callable[[Manifest, Description, "Worker"], None]


def run(
    options: WorkerOptions,
    *,
    connect: Callable[[str, str | None], Backend],
    entry: Sequence[str],
    emitter: events.Emitter | None = None,
    announce: Announce | None = None,
    app: Callable[[], Tidewheel] | None = None,
) -> int:
    """Run a worker until SIGTERM or SIGINT; a second signal ends it at once.

    `entry` is the command line that starts a child (forkserver or executor); `announce` is called once everything is open; `app`
    imports the app in this process, for the inline pool only. Returns 0, or 1 when runs were cut short. Raises `AppBroken`,
    `ConfigurationError` and `BrokerError`s before any job is claimed.
    """
    crew = _crew(options, entry, app)
    signals = _Signals()
    try:
        crew.begin()
        # The child is importing the app meanwhile, on another processor.
        from tidewheel.worker.worker import Worker

        manifest = crew.start()
        url = options.url or manifest.url
        if any(u.startswith("memory:") for u in (url, options.results or manifest.results or "")):
            raise ConfigurationError(
                "memory:// lives inside one process, so a worker process cannot share it: use sqlite:///tidewheel.db, or run the worker in "
                "the same process with tidewheel.testing.running(app)"
            )
        if manifest.threads and options.forks:
            log.warning("importing the app has started %d threads, which executors will not have: start them in the task, or use "
                        "--start-method spawn", manifest.threads)  # fmt: skip
        if options.pool in REMARKS:
            log.warning(REMARKS[options.pool])
        backend = connect(url, options.results or manifest.results)
        backend.broker.open()
        described = backend.broker.describe()
        options = admitted(options, manifest, described.run_limit)
    except BaseException:
        crew.close()
        signals.restore()
        raise
    try:
        worker = Worker(options, backend, crew, manifest, emitter or events.Emitter())
        if announce is not None:
            announce(manifest, described, worker)
        worker.start()
        if isinstance(crew, InlineCrew):
            threading.Thread(target=_stop_when, args=(worker, signals), name="tidewheel-stop", daemon=True).start()
            crew.run()
            signals.stopped.wait()
        else:
            _stop_when(worker, signals)
        return CUT if signals.cut else OK
    finally:
        backend.broker.close()
        signals.restore()


def _stop_when(worker: Worker, signals: _Signals) -> None:
    """Wait for a reason to stop, then stop."""
    while not signals.stop.wait(0.2 if worker.options.burst else 3600.0):
        if worker.idle.is_set():
            break
    signals.cut = worker.stop(hurry=signals.hurry)
    signals.stopped.set()


def _crew(options: WorkerOptions, entry: Sequence[str], app: Callable[[], Tidewheel] | None) -> ForkCrew | SpawnCrew | InlineCrew:
    if options.pool == "inline":
        if app is None:
            raise ConfigurationError("the inline pool runs jobs in this process and needs the app here")
        return InlineCrew(app())
    check(options.pool)
    if not options.forks:
        return SpawnCrew(options.app, entry)
    if sys.platform == "win32":
        raise ConfigurationError("there is no fork on this system: use --start-method spawn")
    return ForkCrew(options.app, entry)


class _Signals:
    """SIGTERM and SIGINT: the first asks to stop, the second to hurry.

    They are heard by a thread of their own, on a pipe. The kernel may give a signal to any thread (it does when the process was stopped and
    goes on), and Python runs handlers in the main thread only, which may sleep for long.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.hurry = threading.Event()
        self.stopped = threading.Event()
        self.cut = 0
        self._old: dict[int, Any] = {}
        self._old_fd = -1
        if threading.current_thread() is threading.main_thread():
            self._bell, self._ring = os.pipe()
            os.set_blocking(self._ring, False)
            self._old_fd = signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)
            self._old = {s: signal.signal(s, _nothing) for s in (signal.SIGTERM, signal.SIGINT)}
            threading.Thread(target=self._listen, name="tidewheel-signals", daemon=True).start()

    def _listen(self) -> None:
        while heard := os.read(self._bell, 64):
            for signum in heard:
                if signum in self._old:
                    if self.stop.is_set():
                        self.hurry.set()
                    self.stop.set()
        os.close(self._bell)

    def restore(self) -> None:
        if not self._old:
            return
        for signum, old in self._old.items():
            signal.signal(signum, old)
        signal.set_wakeup_fd(self._old_fd)
        os.close(self._ring)
        self._old = {}


def _nothing(signum: int, frame: FrameType | None) -> None:
    """The bytes on the pipe say it all; but without a handler there would be none."""
