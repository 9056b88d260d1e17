"""The side that enqueues; runs in a peer's own environment: `python producer.py MODE ARGUMENTS`, answers one line of JSON."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import time
from typing import Any

from marks import M, monotonic

adapter = importlib.import_module("adapters." + os.environ["BENCH_ADAPTER"])


def enqueue(first: str, count: str, cap: str) -> dict[str, Any]:
    """One by one, for at most `cap` seconds. The first call, which connects, is not timed."""
    call, clock = adapter.enqueue, time.perf_counter
    call("noop", int(first))
    times = []
    end = before = clock()
    end += float(cap)
    for i in range(int(first) + 1, int(first) + int(count)):
        call("noop", i)
        now = clock()
        times.append(now - before)
        before = now
        if now > end:
            break
    return {"n": len(times) + 1, "us": statistics.fmean(times) * 1e6, "p50": statistics.median(times) * 1e6}


def bulk(kind: str, first: str, count: str, cap: str) -> dict[str, Any]:
    """With the peer's bulk call, 1000 at a time."""
    begin, number, n = int(first), int(count), 1
    adapter.enqueue(kind, begin)
    started = time.perf_counter()
    while n < number and time.perf_counter() - started < float(cap):
        step = min(1000, number - n)
        adapter.enqueue_many(kind, range(begin + n, begin + n + step))
        n += step
    return {"n": n, "per_s": (n - 1) / (time.perf_counter() - started) if n > 1 else 0.0}


def paced(first: str, count: str, rate: str) -> dict[str, Any]:
    """One job (until it ran: the worker is ready), one second's rest, then `count` jobs, `rate` in a second."""
    warm = int(first) + int(count)
    adapter.enqueue("noop", warm)
    patience = monotonic() + 60
    while not M.done[warm]:
        if monotonic() > patience:
            raise TimeoutError("the worker never ran the first job")
        time.sleep(0.01)
    time.sleep(1)
    begin = monotonic()
    for i in range(int(count)):
        time.sleep(max(0.0, begin + i / float(rate) - monotonic()))
        M.sent[int(first) + i] = monotonic()
        adapter.enqueue("noop", int(first) + i)
    return {}


def roundtrip(count: str) -> dict[str, Any]:
    adapter.roundtrip(int(count))
    times, end = [], monotonic() + 20
    for i in range(int(count)):
        before = monotonic()
        adapter.roundtrip(i)
        times.append(monotonic() - before)
        if monotonic() > end:
            break
    return {"ms": [t * 1e3 for t in times]}


def later(count: str, delay: str, cap: str) -> dict[str, Any]:
    """Jobs that are due after `delay` seconds; all have the number 0."""
    n, started = 0, time.perf_counter()
    while n < int(count) and time.perf_counter() - started < float(cap):
        adapter.enqueue_later("noop", [0] * 1000, float(delay))
        n += 1000
    return {"n": n, "per_s": n / max(1e-9, time.perf_counter() - started)}


def setup() -> dict[str, Any]:
    adapter.setup()
    return {}


MODES = {"setup": setup, "enqueue": enqueue, "bulk": bulk, "paced": paced, "roundtrip": roundtrip, "later": later}

if __name__ == "__main__":
    print("\n" + json.dumps(MODES[sys.argv[1]](*sys.argv[2:])), flush=True)
    os._exit(0)  # no peer's exit handlers in the way
