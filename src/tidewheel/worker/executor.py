"""An executor: the child process in which user code runs.

What the worker says is read and handed to the pool; the pool runs jobs; whoever ends one sends its outcome at once, with a `send` of
its own. So an outcome lies in the kernel's buffer the moment it exists, and survives whatever happens to this process. When the worker
is gone, so is the executor: at the end of its socket, and on Linux by `PR_SET_PDEATHSIG`.

Who reads. Where several jobs run at once, a thread of its own. Where one runs at a time, the main thread itself while it has nothing to
do: a job then wakes one thread instead of two (docs/decisions/0002). While it runs a job nobody reads; for what cannot wait until
the job has ended (a `Stop`) the worker also sends the signal POKE, for which a sentry waits.
"""

from __future__ import annotations

import functools
import logging
import operator
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tidewheel.core.job import Delivery
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Counters, Stopped, decide
from tidewheel.errors import ConfigurationError
from tidewheel.events import ALL_EVENTS, ExecutorEnded, ExecutorStarted
from tidewheel.lifeline import hold
from tidewheel.pools.seam import Pool
from tidewheel.pools.waiting import Fetch
from tidewheel.worker.execute import Execution, Kitchen
from tidewheel.worker.frames import (
    CHUNK,
    POKE,
    Bloated,
    Decoder,
    Ended,
    Key,
    Quit,
    Ready,
    Reported,
    Returned,
    Run,
    Setup,
    Started,
    Stop,
    TakeBack,
    Tell,
    ToExecutor,
    frame,
)
from tidewheel.worker.telling import tell

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

log = logging.getLogger("tidewheel.executor")

_events = msgspec.msgpack.Decoder(functools.reduce(operator.or_, ALL_EVENTS))


class Executor:
    """Serves one worker over `sock` until told to quit. `run` belongs to the main thread (of the process, for `processes`)."""

    def __init__(self, app: Tidewheel, sock: socket.socket, *, inline: bool = False) -> None:
        self._kitchen = Kitchen(app)
        self._sock = sock
        self._sending = threading.Lock()
        self._decoder = Decoder(ToExecutor)
        self._pool: Pool | None = None
        self._announce = False
        self._inline = inline
        self._max_memory: int | None = None
        self._worker = ""
        self._looked = 0.0
        self._reading = threading.Lock()
        self._fetches = False
        self._gone = False

    def run(self) -> None:
        while self._pool is None and not self._gone:
            self._hear()
        if self._pool is not None:
            thread = self._sentry if self._fetches else self._read
            threading.Thread(target=thread, name="tidewheel-reader", daemon=True).start()
            self._kitchen.emitter.emit(ExecutorStarted(worker=self._worker, pid=os.getpid()))
            self._send([Ready(os.getpid())])
            self._pool.run()
            self._kitchen.emitter.emit(ExecutorEnded(worker=self._worker, pid=os.getpid(), why="stopped"))
        self._sock.close()

    # -- what the worker says -----------------------------------------------------------------------------------------

    def _read(self) -> None:
        """A thread of its own."""
        while not self._gone:
            self._hear()

    def _sentry(self) -> None:
        """A thread that reads only when the worker says that it must be now, while the main thread runs a job."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while not self._gone:
            signal.sigwait({POKE})
            # Not all of it may be there yet: what the socket could not hold follows as we read.
            while not self._gone and poll.poll(50):
                with self._reading:  # if the main thread has it, that is waiting for a message, and will get this one
                    self._hear(socket.MSG_DONTWAIT)

    def _fetch(self, come: Callable[[], bool]) -> None:
        """For the main thread: wait until the worker says something, and take it."""
        with self._reading:
            if not come():  # the sentry may have been here while we came
                self._hear()

    def _hear(self, flags: int = 0) -> None:
        """Take what the worker has said. To be called by one thread at a time, so that the pieces of a message stay in order."""
        try:
            if data := self._sock.recv(CHUNK, flags):
                self._take(data)
                return
        except (BlockingIOError, InterruptedError):
            return  # another thread was faster
        except OSError:
            pass  # ECONNRESET means the same as the end
        except Exception:
            log.exception("an executor could not understand its worker")
        # The worker is gone, or has closed our socket because we ended: nothing that still runs may outlive it.
        self._gone = True
        if not self._inline:
            os._exit(0)
        if self._pool is not None:
            self._pool.quit()

    def _take(self, data: bytes) -> None:
        for message in self._decoder.feed(data):
            match message:
                case Run(jobs):
                    self._ready().submit(jobs)
                case Stop(key, why):
                    self._stop(key, why)
                case TakeBack(keys):
                    self._send([Returned(tuple(self._ready().take_back(keys)))])
                case Tell(event):
                    # Listeners are user code and may take their time: this thread has to stay free for Stop.
                    threading.Thread(target=self._kitchen.emitter.emit, args=(_events.decode(event),), daemon=True).start()
                case Setup():
                    self._configure(message)
                case Quit():
                    self._ready().quit()

    def _configure(self, setup: Setup) -> None:
        if setup.lifeline is not None and not self._inline:
            self._lifeline = hold(setup.lifeline)  # kept open, and so locked, for the life of this process
        self._max_memory = setup.max_memory
        self._worker = setup.worker
        self._fetches = setup.pokes
        self._pool = _make_pool(setup, self, self._fetch if self._fetches else None)
        self._announce = self._pool.slots > 1

    def _ready(self) -> Pool:
        assert self._pool is not None, "the first message to an executor is its Setup"
        return self._pool

    def _stop(self, key: Key, why: Any) -> None:
        pool = self._ready()
        if why in ("cancel", "interrupt") and pool.take_back([key]):
            # It had not started: cancelling it is certain, and an interrupted one simply goes back.
            outcome = decide(Stopped(), Counters(), NO_RETRY)
            self._send([Ended(key, outcome, 0.0) if why == "cancel" else Returned((key,))])
        else:
            pool.stop(key, why)

    # -- what the pool says (the Harness) -----------------------------------------------------------------------------

    def begin(self, delivery: Delivery) -> Execution:
        if self._announce:
            self._send([Started((delivery.envelope.id, delivery.token.claim))])
        return Execution(self._kitchen, delivery, self._report)

    def ended(self, execution: Any) -> None:
        outcome = execution.outcome()
        written = execution.written
        self._send([Ended(execution.key, outcome, execution.duration, () if written else execution.follow_ups(outcome), written)])
        tell(self._kitchen.emitter, execution.delivery, outcome, execution.duration)
        if self._max_memory is not None:
            self._watch_memory(self._max_memory)

    def _report(self, key: Key, data: bytes) -> None:
        self._send([Reported(key, data)])

    def _watch_memory(self, limit: int) -> None:
        now = time.monotonic()
        if now - self._looked < 0.05:
            return
        self._looked = now
        rss = resident()
        if rss > limit:
            self._max_memory = None  # say it once
            self._send([Bloated(rss)])

    def _send(self, messages: Sequence[Any]) -> None:
        data = frame(messages)
        try:
            with self._sending:
                self._sock.sendall(data)
        except OSError:
            if not self._gone and not self._inline:
                os._exit(0)


def _make_pool(setup: Setup, harness: Executor, fetch: Fetch | None) -> Pool:
    if setup.pool in ("processes", "inline"):
        from tidewheel.pools.processes import Processes

        return Processes(harness, main_thread=setup.main_thread, fetch=fetch)
    if setup.pool == "threads":
        from tidewheel.pools.threads import Threads

        return Threads(harness, setup.concurrency)
    if setup.pool == "asyncio":
        from tidewheel.pools.aio import Asyncio

        return Asyncio(harness, setup.concurrency)
    if setup.pool == "gevent":
        from tidewheel.pools.gevent import Gevent

        return Gevent(harness, setup.concurrency)
    if setup.pool == "eventlet":
        from tidewheel.pools.eventlet import Eventlet

        return Eventlet(harness, setup.concurrency)
    raise ConfigurationError(f"pool {setup.pool!r} is not known")


def resident() -> int:
    """Bytes of memory that this process has in RAM."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def end_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the thread that made it ends; at once if that has already happened. Linux only."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        return  # elsewhere the end of the socket has to do
    if os.getppid() != parent:
        os._exit(0)


def ignore_terminal() -> None:
    """Ctrl-C and hang-ups are for the worker, which tells its children what to do.

    To be called before the app is imported: POKE must be blocked in every thread, else it ends this process instead of waking the sentry.
    """
    if POKE:
        signal.pthread_sigmask(signal.SIG_BLOCK, {POKE})
    signal.signal(signal.SIGINT, _nothing)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _nothing)


def _nothing(signum: int, frame: object) -> None:
    """A handler and not SIG_IGN: the latter would be inherited by programs that tasks start."""
