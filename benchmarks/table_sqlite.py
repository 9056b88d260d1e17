"""The table of Tidewheel on SQLite, and what is promised of it."""

from __future__ import annotations

from table import Line, Table, Target, beside

NONE: dict[str, str] = {}
"""No peer has anything that compares."""

SQLITE = Table(
    engine="sqlite",
    ours="tidewheel",
    peers=("celery", "huey"),
    head=("case", "Tidewheel, SQLite", "Celery, Redis", "huey, SQLite", "bare SQLite", "× better than Celery",
          "of the bare engine", "target"),
    begin="<!-- the table: python benchmarks/run.py --docs -->",
    end="<!-- end of the table -->",
    lines=(
        Line("A enqueue one by one, µs", "A", "us", engine="A", targets=(Target("≤ 1.5 × bare", lambda f: f["ours"] <= 1.5 * f["bare"]),)),
        Line("A the same, median call, µs", "A", "p50", engine="A"),
        Line("A in bulk of 1000, per s", "A-bulk", "per_s", engine="A-bulk", more=True),
        Line("B drain without results, per s", "B", "per_s", engine="B", more=True),
        Line("B drain with results, per s", "B-results", "per_s", engine="B", more=True,
             targets=(Target("≥ 20 × Celery, ≥ 15 % of bare", lambda f: f["ours"] >= 20 * f["celery"] and f["ours"] >= 0.15 * f["bare"]),)),
        Line("B the same; bare SQLite syncs what it settles, too", "B-results", "per_s", peers=NONE, engine="B-synced", more=True),
        Line("B without results, -c 1, per s", "B", "per_s", ours="tidewheel-c1", peers=NONE, engine="B", more=True),
        Line("B with results, -c 1, per s", "B-results", "per_s", ours="tidewheel-c1", peers=NONE, engine="B", more=True),
        Line("B CPU of the worker a job, without results, µs", "B", "us"),
        Line("B CPU of the worker a job, with results, µs", "B-results", "us"),
        Line("B of this in the main process, with results, µs", "B-results", "main_us"),
        Line("C enqueue → start at 50/s, p50, ms", "C", "p50", 2, targets=(Target("≤ 2", lambda f: f["ours"] <= 2),)),
        Line("C the same, p99, ms", "C", "p99", 2, targets=(Target("≤ 8", lambda f: f["ours"] <= 8),)),
        Line("D round trip with result, p50, ms", "D", "p50", 2),
        Line("D the same, p99, ms", "D", "p99", 2),
        Line("E idle, two executors: PSS, MiB", "E", "pss", 1, targets=(Target("≤ 60", lambda f: f["ours"] <= 60),)),
        Line("E idle: CPU, % of one core", "E", "cpu", 3, targets=(Target("< 0.3", lambda f: f["ours"] < 0.3),)),
        Line("E idle: wake-ups per s", "E", "wakeups", 1),
        Line("F start of the worker → first job, s", "F", "s", 3, targets=(Target("≤ 0.5", lambda f: f["ours"] <= 0.5),)),
        Line("G kill -9 in the middle: jobs lost (worst)", "G", "lost", worst=True, targets=(Target("0", lambda f: f["ours"] == 0),)),
        Line("G run twice: running or not yet settled when killed (worst)", "G", "twice", worst=True),
        Line("G restart → what was cut runs again, s", "G", "back_s", 2),
        *beside(Line("H 100,000 delayed by an hour: bytes each", "H", "bytes")),
        Line("I 2000 sleeps of 50 ms, 100 at once, threads, s (ideal 1.0)", "I", "s", 2,
             ours="tidewheel-threads", peers={"celery": "celery-threads", "huey": "huey-threads"}),
        Line("I the same, async def on asyncio, s", "I", "s", 2, ours="tidewheel-asyncio", peers=NONE),
    ),
)  # fmt: skip
