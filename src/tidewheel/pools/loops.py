"""An asyncio event loop in a greenlet, beside greenlets that know nothing of it.

In a patched process a loop waits cooperatively, so it needs no thread. But asyncio keeps "the running loop" (and, from Python 3.14 on,
the running task) by OS thread: a `def` task in another greenlet would see it, and asyncio, or Django's guard of its database, would
refuse to work there. `by_greenlet` gives each greenlet its own, by exchanging both at every switch.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import functools
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Literal

import greenlet

from tidewheel.pools.steered import Steered

# Before 3.14 the running task is kept by loop, which is right here as it is. (3.12 has the function too, and fails where there is no task.)
_swap_task: Callable[[Any, Any], Any] | None = getattr(asyncio.tasks, "_swap_current_task", None) if sys.version_info >= (3, 14) else None


@functools.cache  # once: two of these would undo each other
def by_greenlet() -> None:
    """From now on every greenlet of this OS thread has a running loop of its own, or none. Costs about a microsecond a switch."""
    states: weakref.WeakKeyDictionary[greenlet.greenlet, tuple[Any, Any]] = weakref.WeakKeyDictionary()
    before = greenlet.gettrace()
    get, put = asyncio.events._get_running_loop, asyncio.events._set_running_loop

    def exchange(event: Literal["switch", "throw"], switch: tuple[greenlet.greenlet, greenlet.greenlet]) -> None:
        origin, target = switch
        loop = get()
        if loop is not None:
            states[origin] = loop, None if _swap_task is None else _swap_task(loop, None)
            put(None)
        found = states.pop(target, None) if states else None
        if found is not None:
            put(found[0])
            if _swap_task is not None and found[1] is not None:
                _swap_task(*found)
        if before is not None:
            before(event, switch)

    greenlet.settrace(exchange)


class LoopGreenlet:
    """One loop for all `async def` jobs of an executor."""

    def __init__(self, spawn: Callable[[Callable[[], None]], None]) -> None:
        by_greenlet()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()  # the loop itself only holds weak references
        spawn(self._loop.run_forever)

    def run(self, steered: Steered) -> None:
        """Run it in the loop, in the caller's context, and wait; raises what it raises. Called in a greenlet."""
        done = threading.Event()
        ended: list[asyncio.Task[Any]] = []

        def begin() -> None:
            task = self._loop.create_task(steered)
            self._tasks.add(task)
            task.add_done_callback(end)

        def end(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            ended.append(task)
            done.set()

        self._loop.call_soon_threadsafe(begin)
        done.wait()
        ended[0].result()

    def close(self) -> None:
        """End the loop. Called when nothing runs in it any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
