"""A lane: one thread that runs jobs one after the other, `def` tasks directly and `async def` tasks in an event loop of its own.

Interrupting a `def` task means raising in its thread. On the main thread a real signal does it, which also ends a blocking system
call; elsewhere CPython's `PyThreadState_SetAsyncExc` does it, which waits until the thread runs Python code again. Both may strike
a moment too late, in our own code: a lane swallows what arrives outside of a run.
"""

from __future__ import annotations

import contextvars
import ctypes
import signal
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tidewheel.pools.seam import STOP_ERRORS, Execution, Harness, Key, Why
from tidewheel.pools.waiting import Waiting

if TYPE_CHECKING:
    import asyncio

    from tidewheel.pools.steered import Steered

# A real-time signal, because tasks are far less likely to use one themselves than SIGUSR1 or SIGALRM.
SIGNAL: int = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1

_STOPS = tuple(set(STOP_ERRORS.values()))


class Loan:
    """One run of a `def` task on a thread that belongs to somebody else's pool; called there, and interrupted from any other thread."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._struck = False

    def __call__(self) -> None:
        try:
            with self._lock:
                self._thread = threading.get_ident()
            try:
                contextvars.copy_context().run(self._execution.call, _no_loop)
            finally:
                with self._lock:
                    thread, self._thread = self._thread, None
                    if self._struck and thread is not None:
                        _raise_in(thread, None)
        except BaseException as error:  # struck between the run's own net and here
            self._execution.escaped(error)

    def interrupt(self, error: BaseException) -> None:
        with self._lock:
            if self._thread is not None:
                self._struck = True
                _raise_in(self._thread, type(error))


def _no_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    coroutine.close()
    raise RuntimeError("a coroutine was handed to a thread without an event loop")


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Make the thread raise `error` when it next runs Python code; None takes a pending one back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error))


class Lane:
    """Runs what it finds in `waiting` until there is a None. `run` belongs to the lane's own thread, `stop` to any other."""

    def __init__(self, harness: Harness, waiting: Waiting, *, by_signal: bool = False) -> None:
        self._harness = harness
        self._waiting = waiting
        self._by_signal = by_signal
        self._lock = threading.Lock()
        self._current: Execution | None = None
        self._steered: Steered | None = None
        self._armed = False
        self._error: type[BaseException] | None = None
        self._runner: asyncio.Runner | None = None
        self._thread = 0

    @property
    def running(self) -> Key | None:
        current = self._current
        return None if current is None else current.key

    def run(self) -> None:
        self._thread = threading.get_ident()
        if self._by_signal:
            signal.signal(SIGNAL, self._on_signal)
        while True:
            try:
                delivery = self._waiting.get()
                if delivery is None:
                    break
                self._one(self._harness.begin(delivery))
            except _STOPS:  # struck after its run had ended
                continue
        if self._runner is not None:
            self._runner.close()

    def _one(self, execution: Execution) -> None:
        try:
            with self._lock:
                self._current = execution
            if not execution.is_async:
                self._armed = True
            contextvars.copy_context().run(execution.call, self._drive)
            self._armed = False
        except BaseException as error:
            self._armed = False
            execution.escaped(error)
        finally:
            with self._lock:
                self._current = None
                if self._error is not None:
                    self._error = None
                    if not self._by_signal:
                        _raise_in(self._thread, None)
            self._harness.ended(execution)

    def stop(self, key: Key, why: Why) -> bool:
        """Interrupt this run. False when it is not this lane's present run."""
        with self._lock:
            execution = self._current
            if execution is None or execution.key != key:
                return False
            execution.why = why
            if why == "cancel":
                execution.cancel.set()
            if execution.is_async:
                if self._steered is not None:
                    self._steered.interrupt(STOP_ERRORS[why]())
            elif self._armed:
                self._error = STOP_ERRORS[why]
                if self._by_signal:
                    signal.pthread_kill(self._thread, SIGNAL)
                else:
                    _raise_in(self._thread, self._error)
            return True

    def _on_signal(self, signum: int, frame: Any) -> None:
        error, self._error = self._error, None
        if error is not None and self._armed:
            raise error

    def _drive(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        import asyncio  # not at the top: who has only `def` tasks never pays for it

        from tidewheel.pools.steered import Steered

        if self._runner is None:
            self._runner = asyncio.Runner()
        self._steered = Steered(coroutine)
        try:
            # The runner would run them all in the context of the first one, where `current()` is the first one's job.
            return self._runner.run(self._steered, context=contextvars.copy_context())
        finally:
            self._steered = None
