"""The app of the worker tests. Every run appends lines to the file that HISTORY names: `start|end <job id> <argument> <pid>`.

Whatever sleeps here is a task that takes a while, or does not end by itself; what is waited for are files, which other processes make.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
from pathlib import Path

from tidewheel import Context, JobFailed, Retry, RetryIn, Snooze, SoftTimeLimit, Tidewheel, current, events

app = Tidewheel(os.environ["JOBS_URL"])
_fd = os.open(os.environ["HISTORY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(what: str, n: object = "") -> None:
    os.write(_fd, f"{what} {current().id} {n} {os.getpid()}\n".encode())  # one write, so lines of many processes do not mix


def wait_for(path: str) -> None:
    """Until this file exists."""
    while not Path(path).exists():
        time.sleep(0.002)  # nobody tells when


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def work(n: int, seconds: float = 0.0) -> int:
    note("start", n)
    if seconds:
        time.sleep(seconds)
    note("end", n)
    return n


@app.task
def paced(n: int) -> int:
    """Takes as long as the environment of its worker says."""
    note("start", n)
    time.sleep(float(os.environ["PACE"]))
    return n


@app.task(context=True)
def book(job: Context, n: int, seconds: float = 0.0, gate: str = "") -> int:
    """Writes a row in the transaction of its own acknowledgement."""
    note("start", n)
    with job.transaction() as connection:
        connection.execute(f"INSERT INTO effect VALUES ({n})")  # no parameters: their form is the driver's
    note("written", n)
    if gate:
        wait_for(gate)
        with job.transaction() as connection:
            connection.execute("SELECT 1")
    if seconds:
        time.sleep(seconds)
    note("end", n)
    return n


@app.task
async def awork(n: int, seconds: float = 0.0) -> int:
    note("start", n)
    await asyncio.sleep(seconds)
    note("end", n)
    return n


@app.task
def hold(path: str, n: int = 0) -> int:
    """Runs until the file exists."""
    note("start", n)
    wait_for(path)
    note("end", n)
    return n


@app.task(queue="other")
def elsewhere() -> str:
    return "other"


@app.task(retry=Retry(3, on=(ValueError,), delay=0.05))
def flaky(succeed_at: int) -> int:
    note("start", current().attempt)
    if current().attempt < succeed_at:
        raise ValueError(f"attempt {current().attempt}")
    return current().attempt


@app.task
def fail() -> None:
    raise JobFailed("on purpose")


@app.task
def divide() -> float:
    return 1 / 0


@app.task(retry=2)
def later() -> int:
    note("start", current().attempt)
    if current().attempt == 1:
        raise RetryIn(0.1)
    return current().attempt


@app.task
def sleepy(path: str) -> int:
    note("start")
    if not Path(path).exists():
        Path(path).touch()
        raise Snooze(0.1)
    return current().attempt


@app.task
def die(how: str) -> None:
    note("start", how)
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


@app.task
def die_once(path: str) -> str:
    note("start")
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(time_limit=0.5)
def endless() -> None:
    note("start")
    while True:
        time.sleep(0.01)


@app.task(time_limit=0.5)
async def aendless() -> None:
    note("start")
    await asyncio.sleep(100)


@app.task(time_limit=0.5)
def deaf() -> None:
    """Ignores every interruption, as an extension module that does not come back."""
    note("start")
    ctypes.PyDLL(None).sleep(100)  # with the GIL held


@app.task(soft_time_limit=0.3)
def tidy() -> str:
    note("start")
    try:
        time.sleep(50)
    except SoftTimeLimit:
        return "tidied"
    return "not interrupted"


@app.task(context=True)
def patient(context: Context) -> str:
    note("start")
    context.progress({"at": 1})
    while not context.cancelled:
        time.sleep(0.005)
    context.check_cancelled()
    return "not cancelled"


@app.task
def stubborn(path: str) -> str:
    """Runs until cancelled; then cleans up."""
    note("start")
    try:
        while True:
            time.sleep(0.005)
    finally:
        Path(path).touch()


@app.task
def grow(megabytes: int) -> int:
    global _leak
    _leak = bytearray(megabytes << 20)
    for i in range(0, len(_leak), 4096):
        _leak[i] = 1
    return os.getpid()


_leak = bytearray()


@app.task
def pid() -> int:
    return os.getpid()


@app.task
def parents() -> list[int]:
    return [os.getpid(), os.getppid(), threading.active_count()]


@app.task
def spawn_sleeper() -> None:
    note("start")
    wait_for("/nonexistent")


@app.on(events.JobFailed)
def failed(event: events.JobFailed) -> None:
    os.write(_fd, f"failed {event.id} {event.reason.replace(' ', '-')} {os.getpid()}\n".encode())


@app.on(events.JobRetried)
def retried(event: events.JobRetried) -> None:
    os.write(_fd, f"retried {event.id} {event.why.replace(' ', '-')} {os.getpid()}\n".encode())


@app.task
def kill_worker() -> None:
    """Takes the worker, its forkserver and all executors down."""
    note("start")
    forkserver = os.getppid()
    with open(f"/proc/{forkserver}/stat") as file:
        worker = int(file.read().rsplit(")", 1)[1].split()[1])
    os.kill(worker, signal.SIGKILL)
    time.sleep(10)
