"""The app of the tests of greenlets. Its tasks wait by sleeping: that a patched `sleep` lets others run is what is tested."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

from tidewheel import Tidewheel, current

SEEN = [time.sleep.__module__, socket.socket.__module__, threading.Lock().__class__.__module__]
"""Whose these were when the app was imported."""

app = Tidewheel(os.environ["GREEN_URL"])
_here: set[str] = set()


# The sleeps here are what is tested: each is a moment at which the others must get their turn, in a patched process and in a loop.


def _meet(n: int) -> None:
    """Wait until n different jobs are here."""
    _here.add(current().id)
    while len(_here) < n:
        time.sleep(0.001)


@app.task
def seen() -> list[str]:
    return SEEN


@app.task
def pid() -> int:
    return os.getpid()


@app.task
def meet(n: int) -> str:
    _meet(n)
    return current().id


@app.task
async def ameet(n: int) -> str:
    _here.add(current().id)
    while len(_here) < n:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return current().id


@app.task
def loop_beside(n: int) -> str:
    """Meets jobs of a loop, and sees none itself."""
    _meet(n)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "none"
    return "a loop"


@app.task
async def waits_in_the_loop(n: int) -> str:
    """Lets others run in the middle of a step of the loop, as a client of a database does in a patched process; and goes on in its loop."""
    mine = asyncio.get_running_loop(), asyncio.current_task()
    _meet(n)
    assert mine == (asyncio.get_running_loop(), asyncio.current_task())
    assert await asyncio.to_thread(lambda: time.sleep(0.001) or 3) == 3  # type: ignore[func-returns-value]
    return "done"


@app.task
def own_loop(n: int) -> int:
    async def main() -> int:
        _here.add(job)
        while len(_here) < n:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return n

    job = current().id
    return asyncio.run(main())


@app.task
def calls_another() -> int:
    return pid.delay().get(20)


@app.task(time_limit=0.5)
def never_waits() -> None:
    while True:
        pass


@app.task(context=True)
def tells(context: object) -> None:
    current().progress("half")
    while not current().cancelled:
        time.sleep(0.001)
    current().check_cancelled()
