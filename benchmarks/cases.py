"""The cases A to I. Each is a generator: it gets a function that makes stages, and yields `(label, figures)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import machine
from stage import Stage, percentiles

Rows = Iterator[tuple[str, dict[str, Any]]]
NewStage = Callable[..., Stage]


@dataclass(frozen=True)
class Size:
    """How much to do; `cap` is the seconds after which a slow peer's enqueueing is cut (its rate is told all the same), `patience`
    those for which it is waited after a kill (a variant may need more)."""

    enqueue: int = 3000
    bulk: int = 20_000
    drain: int = 20_000
    paced: int = 500
    trips: int = 500
    idle: float = 20.0
    starts: int = 5
    work: int = 1000
    later: int = 100_000
    beside: int = 10_000
    sleeps: int = 2000
    cap: float = 15.0
    patience: float = 30.0


QUICK = Size(
    enqueue=1000, bulk=5000, drain=5000, paced=300, trips=100, idle=3, starts=1, work=200, later=20_000, beside=3000, cap=2, patience=4
)
REDIS = Size(bulk=50_000, drain=50_000, later=1_000_000, beside=20_000, patience=90.0)
"""A drain of 20,000 would be over in half a second; dramatiq takes a worker for dead after 60 seconds."""
REDIS_QUICK = replace(QUICK, bulk=20_000, drain=20_000, later=50_000, beside=10_000, idle=5.0)
POSTGRES = REDIS
POSTGRES_QUICK = replace(REDIS_QUICK, bulk=10_000, drain=10_000)
"""50,000 delayed jobs, too: more than pages of a small table, so that a scan would show."""
RABBITMQ = replace(Size(), bulk=30_000, drain=30_000, later=100_000, beside=20_000)
"""A connection that ends tells the server at once that its worker is dead."""
RABBITMQ_QUICK = replace(QUICK, bulk=10_000, drain=10_000, beside=5000, idle=5.0, patience=10.0)
SIZES = {
    "sqlite": (Size(), QUICK),
    "redis": (REDIS, REDIS_QUICK),
    "postgres": (POSTGRES, POSTGRES_QUICK),
    "rabbitmq": (RABBITMQ, RABBITMQ_QUICK),
}


def case_a(new: NewStage, size: Size) -> Rows:
    """Enqueue one by one, then in bulk."""
    with new(size.enqueue) as s:
        yield "A", published(s, "enqueue", 0, size.enqueue, size.cap)
    with new(size.bulk) as s:
        yield "A-bulk", published(s, "bulk", "noop", 0, size.bulk, size.cap)


def published(s: Stage, *args: object) -> dict[str, Any]:
    """What the producer answers, and the CPU of the broker's server for each job."""
    before = s.broker_cpu()
    row = s.produce(*args)
    return row if before is None else {**row, "broker_us": ((s.broker_cpu() or 0.0) - before) / row["n"] * 1e6}


def case_b(new: NewStage, size: Size) -> Rows:
    """Drain preloaded no-ops, from the start of the first to the end of the last; without results, then with."""
    for results in (False, True):
        with new(size.drain, results=results, drain=True) as s:
            if results and not s.variant.results:
                return
            loaded = published(s, "bulk", "noop", 0, size.drain, size.cap)
            s.work()
            row = drained(s, loaded["n"], size)
            if "broker_us" in row:
                row["broker_all_us"] = row["broker_us"] + loaded["broker_us"]
            yield "B-results" if results else "B", row


def drained(s: Stage, loaded: int, size: Size) -> dict[str, Any]:
    """Wait for a drain; its rate, and the CPU for each job from the first one on: of the worker, of its main process, of the broker."""
    s.wait(1, 60)
    n0, noise, began = s.marks.n_done(), machine.others(), time.monotonic()
    used, broker0 = machine.Use(s.roots), s.broker_cpu()
    complete = s.wait(loaded, size.cap * 1.5 + 2, stall=10)
    time.sleep(0.1)  # the last outcomes are still being written
    n = s.marks.n_done() - n0 or 1
    broker = {} if broker0 is None else {"broker_us": ((s.broker_cpu() or 0.0) - broker0) / n * 1e6}
    return {
        **broker, "us": used.tree() / n * 1e6, "main_us": used.main() / n * 1e6,
        "per_s": s.marks.n_done() / (max(s.marks.end) - s.first_start()), "n": s.marks.n_done(), "complete": complete,
        "twice": sum(r > 1 for r in s.marks.runs), "others": (machine.others() - noise) / (time.monotonic() - began),
    }  # fmt: skip


def case_c(new: NewStage, size: Size) -> Rows:
    """Latency of a ready, idle worker at 50 jobs a second."""
    with new(size.paced + 1) as s:
        s.work()
        noise, began = machine.others(), time.monotonic()
        s.produce("paced", 0, size.paced, 50)
        s.wait(size.paced + 1, 5)
        yield "C", {**s.latencies(0, size.paced), "others": (machine.others() - noise) / (time.monotonic() - began)}


def case_d(new: NewStage, size: Size) -> Rows:
    """Enqueue and wait for the result, one after the other."""
    with new(size.trips + 1, results=True) as s:
        s.work()
        yield "D", percentiles(s.produce("roundtrip", size.trips)["ms"])


def case_e(new: NewStage, size: Size) -> Rows:
    """A worker that has run one job and has nothing to do."""
    with new(1) as s:
        s.produce("bulk", "noop", 0, 1, 5)
        s.work()
        s.wait(1, 30)
        time.sleep(5)
        pids = s.pids()
        counted = None if s.broker is None else s.broker.counting()
        cpu, woken, began = machine.cpu(pids), machine.wakeups(pids), time.monotonic()
        time.sleep(size.idle)
        took = time.monotonic() - began
        cpu, woken = machine.cpu(pids) - cpu, machine.wakeups(pids) - woken
        requests = {} if counted is None else {"requests": counted() / took}
        yield "E", {
            **requests, "pss": machine.pss(pids), "processes": len(pids), "cpu": cpu / took * 100, "wakeups": woken / took,
        }  # fmt: skip


def case_f(new: NewStage, size: Size) -> Rows:
    """From the exec of the worker's command to the start of a job that waits for it."""
    with new(size.starts) as s:
        for i in range(size.starts):
            s.produce("bulk", "noop", i, 1, 5)
            s.work()
            s.wait(i + 1, 30)
            yield "F", {"s": s.marks.start[i] - s.started, "stop_s": s.stop()}


def case_g(new: NewStage, size: Size) -> Rows:
    """SIGKILL to the whole worker in the middle of jobs of 20 ms; a second later a new one is started."""
    n = size.work
    with new(n) as s:
        s.produce("bulk", "work", 0, n, 60)
        s.work()
        s.wait(n // 2, 60)
        time.sleep(0.009)  # into the middle of jobs, also where they run in step
        s.kill()
        m = s.marks
        held = [i for i in range(n) if m.runs[i] and not m.done[i]]
        left, twice = n - m.n_done(), sum(r > 1 for r in m.runs)
        time.sleep(1)
        s.work()
        patience = max(size.patience, s.variant.patience) + left * 0.01
        s.wait(n, patience, stall=patience)
        back = [m.start[i] - s.started for i in held if m.runs[i] > 1]
        yield "G", {
            "lost": n - m.n_done(), "twice": sum(r > 1 for r in m.runs) - twice, "held": len(held),
            "back_s": max(back) if len(back) == len(held) and back else None, "all_s": max(m.end) - s.started, "ideal_s": left * 0.01,
        }  # fmt: skip


def case_h(new: NewStage, size: Size) -> Rows:
    """Start, drain, latency and memory with a great many jobs due in an hour, and without them."""
    for count in (0, size.later):
        n = size.beside
        with new(n + size.paced + 1, drain=True) as s:
            before = s.stored()
            out = s.produce("later", count, 3600, size.cap * (10 if s.variant.ours else 2))
            held = s.stored() - before
            n = s.produce("bulk", "noop", 0, n, size.cap)["n"]
            s.work()
            row = drained(s, n, size)
            row["first_s"] = s.first_start() - s.started
            if row["complete"]:
                s.produce("paced", n, size.paced, 50)
                s.wait(n + size.paced + 1, 5)
                row |= {**s.latencies(n, size.paced), "n": row["n"]}
            row["pss"] = machine.pss(s.pids())
            if out["n"]:
                row |= {"later": out["n"], "bytes": held / out["n"], "later_per_s": out["per_s"]}
            yield "H" if count else "H-without", row


def case_i(new: NewStage, size: Size) -> Rows:
    """Sleeps of 50 ms, a hundred at once."""
    n = size.sleeps
    with new(n) as s:
        s.produce("bulk", "io", 0, n, 30)
        s.work()
        s.wait(n, 60, stall=10)
        yield "I", {"s": max(s.marks.end) - s.first_start(), "ideal": n * 0.0005, "n": s.marks.n_done()}


CASES = {"A": case_a, "B": case_b, "C": case_c, "D": case_d, "E": case_e, "F": case_f, "G": case_g, "H": case_h, "I": case_i}
