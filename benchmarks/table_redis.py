"""The table of Tidewheel on Redis, and what is promised of it.

Targets that were set on another machine (bulk publication, latency) are scaled by what was measured there and is measured beside them here.
"""

from __future__ import annotations

from table import Line, Table, Target, beside

SLEEPS = (Target("≤ 1.15", lambda f: f["ours"] <= 1.15),)
NO_RESULTS = {"wakaq": ("B", "no results")}
"""WakaQ cannot store results; it is measured by its drain without."""

REDIS = Table(
    engine="redis",
    ours="tidewheel-redis",
    peers=("celery", "dramatiq", "wakaq"),
    head=("case", "Tidewheel", "Celery", "dramatiq", "WakaQ", "bare redis-py", "× better than Celery", "× better than the best other",
          "of the bare script", "target"),
    best=True,
    begin="<!-- the table of Redis: python benchmarks/run.py --engine redis --docs -->",
    end="<!-- end of the table of Redis -->",
    lines=(
        Line("A enqueue one by one, µs", "A", "us", engine="A", targets=(Target("≤ 1.4 × bare", lambda f: f["ours"] <= 1.4 * f["bare"]),)),
        Line("A the same, median call, µs", "A", "p50", engine="A"),
        Line("A the same, CPU of Redis a job, µs", "A", "broker_us", engine="A"),
        Line("A in bulk of 1000 (bare: 256, a hash a job), per s", "A-bulk", "per_s", engine="A-bulk", more=True,
             targets=(Target("≥ 40 % of bare", lambda f: f["ours"] >= 0.4 * f["bare"]), Target("≥ 40,000", lambda f: f["ours"] >= 40_000))),
        Line("A the same; bare: all jobs in one hash, as ours are", "A-bulk", "per_s", peers={}, engine="A-together", more=True),
        Line("B drain without results, per s", "B", "per_s", more=True),
        Line("B drain with results, per s", "B-results", "per_s", instead=NO_RESULTS, engine="B-results", more=True,
             targets=(Target("≥ 25 × Celery", lambda f: f["ours"] >= 25 * f["celery"]),
                      Target("≥ 2.5 × the best other", lambda f: f["ours"] >= 2.5 * f["best"]))),
        Line("B CPU of the worker a job, without results, µs", "B", "us"),
        Line("B CPU of the worker a job, with results, µs", "B-results", "us", instead=NO_RESULTS),
        Line("B of this in the main process, with results, µs", "B-results", "main_us", peers={"celery": "celery"}),
        Line("B CPU of Redis a job: claim, settle, result, µs", "B-results", "broker_us", instead=NO_RESULTS),
        Line("B the same and its publication in bulk, µs", "B-results", "broker_all_us", instead=NO_RESULTS, engine="B-results",
             targets=(Target("≤ 40", lambda f: f["ours"] <= 40),)),
        Line("C enqueue → start at 50/s, p50, ms", "C", "p50", 2,
             targets=(Target("≤ 1.2", lambda f: f["ours"] <= 1.2), Target("≤ 1.25 × WakaQ", lambda f: f["ours"] <= 1.25 * f["wakaq"]))),
        Line("C the same, p99, ms", "C", "p99", 2,
             targets=(Target("≤ 4", lambda f: f["ours"] <= 4), Target("≤ 1.6 × WakaQ", lambda f: f["ours"] <= 1.6 * f["wakaq"]))),
        Line("D round trip with result, p50, ms", "D", "p50", 2, targets=(Target("≤ 2", lambda f: f["ours"] <= 2),)),
        Line("D the same, p99, ms", "D", "p99", 2),
        Line("E idle, two at once: PSS, MiB", "E", "pss", 1),
        Line("E idle: CPU, % of one core", "E", "cpu", 3),
        Line("E idle: wake-ups per s", "E", "wakeups", 1),
        Line("E idle: commands to Redis per s", "E", "requests", 2, targets=(Target("≤ 1", lambda f: f["ours"] <= 1),)),
        Line("F start of the worker → first job, s", "F", "s", 3, targets=(Target("≤ 0.5", lambda f: f["ours"] <= 0.5),)),
        Line("G kill -9 in the middle: jobs lost (worst)", "G", "lost", worst=True, targets=(Target("0", lambda f: f["ours"] == 0),)),
        Line("G run twice: running or not yet settled when killed (worst)", "G", "twice", worst=True),
        Line("G restart → what was cut runs again, s", "G", "back_s", 2),
        *beside(
            Line("H delayed by an hour (how many: below): bytes each", "H", "bytes",
                 targets=(Target("≤ 300", lambda f: f["ours"] <= 300),)),
            Line("H enqueue these in bulk, per s", "H", "later_per_s", more=True),
        ),
        Line("I 2000 sleeps of 50 ms, 100 at once, threads, s (ideal 1.0)", "I", "s", 2, targets=SLEEPS,
             ours="tidewheel-redis-threads", peers={"celery": "celery-threads", "dramatiq": "dramatiq-threads"}),
        Line("I the same, gevent, s", "I", "s", 2, targets=SLEEPS, ours="tidewheel-redis-gevent", peers={"celery": "celery-gevent"}),
        Line("I the same, async def on asyncio, s", "I", "s", 2, targets=SLEEPS, ours="tidewheel-redis-asyncio", peers={}),
    ),
)  # fmt: skip
