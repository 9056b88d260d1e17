"""What every process of one measurement shares: its settings (from the environment) and one memory-mapped file of marks.

Each job has a number `i` below N. Its body writes CLOCK_MONOTONIC stamps into slot `i`, which costs well under a microsecond, the same for
every peer, and needs no connection:

    sent[i], start[i], end[i]   float64        runs[i], done[i]   uint8
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time

VARIANT = os.environ.get("BENCH_VARIANT", "")
"""Empty in the process that orchestrates."""
RESULTS = os.environ.get("BENCH_RESULTS") == "1"
DATA = os.environ.get("BENCH_DATA", "")
"""A private folder of this measurement."""
REDIS = os.environ.get("BENCH_REDIS", "")
POSTGRES = os.environ.get("BENCH_POSTGRES", "")
RABBITMQ = os.environ.get("BENCH_RABBITMQ", "")
"""URLs of the servers that this variant has; empty otherwise."""

monotonic = time.monotonic


class Marks:
    def __init__(self, path: str, n: int, *, create: bool = False) -> None:
        if create:
            with open(path, "wb") as file:
                file.truncate(n * 26)
        with open(path, "r+b") as file:
            view = memoryview(mmap.mmap(file.fileno(), n * 26))
        self.n = n
        self.sent = view[: 8 * n].cast("d")
        self.start = view[8 * n : 16 * n].cast("d")
        self.end = view[16 * n : 24 * n].cast("d")
        self.runs = view[24 * n : 25 * n]
        self.done = view[25 * n :]

    def n_done(self) -> int:
        return self.n - bytes(self.done).count(0)


if VARIANT:
    M = Marks(os.environ["BENCH_MARKS"], int(os.environ["BENCH_N"]))
    _start, _end, _runs, _done = M.start, M.end, M.runs, M.done


# The bodies. `noop` is written out, not built from the others: it is what the drain measures.


def noop(i: int) -> int | None:
    _start[i] = monotonic()
    _runs[i] += 1
    _end[i] = monotonic()
    _done[i] = 1
    return i if RESULTS else None


def _sleep(i: int, seconds: float) -> None:
    _start[i] = monotonic()
    _runs[i] += 1
    time.sleep(seconds)
    _end[i] = monotonic()
    _done[i] = 1


def work(i: int) -> None:
    _sleep(i, 0.020)


def io(i: int) -> None:
    _sleep(i, 0.050)


async def _asleep(i: int, seconds: float) -> None:
    _start[i] = monotonic()
    _runs[i] += 1
    await asyncio.sleep(seconds)
    _end[i] = monotonic()
    _done[i] = 1


async def awork(i: int) -> None:
    await _asleep(i, 0.020)


async def aio(i: int) -> None:
    await _asleep(i, 0.050)


BODIES = {"noop": noop, "work": work, "io": io}
