"""The table of Tidewheel on PostgreSQL, and what is promised of it."""

from __future__ import annotations

from table import Line, Table, Target, beside

NO_RESULTS = {"pgqueuer": ("B", "no results"), "pgqueuer-b100": ("B", "no results")}
"""pgqueuer cannot store results; it is measured by its drain without."""

POSTGRES = Table(
    engine="postgres",
    ours="tidewheel-postgres",
    peers=("celery-redis", "pgqueuer", "pgqueuer-b100"),
    head=("case", "Tidewheel", "Celery on Redis", "pgqueuer", "pgqueuer, batches of 100", "bare psycopg", "× better than Celery",
          "× better than the best pgqueuer", "of the bare engine", "target"),
    best=True,
    begin="<!-- the table of PostgreSQL: python benchmarks/run.py --engine postgres --docs -->",
    end="<!-- end of the table of PostgreSQL -->",
    lines=(
        Line("A enqueue one by one, µs", "A", "us", engine="A", targets=(Target("≤ 1.3 × bare", lambda f: f["ours"] <= 1.3 * f["bare"]),)),
        Line("A the same, median call, µs", "A", "p50", engine="A"),
        Line("A the same, CPU of PostgreSQL a job, µs", "A", "broker_us", peers={"pgqueuer": "pgqueuer"}, engine="A"),
        Line("A in bulk of 1000 (bare: `unnest`), per s", "A-bulk", "per_s", engine="A-bulk", more=True,
             targets=(Target("≥ pgqueuer", lambda f: f["ours"] >= f["pgqueuer"]),)),
        Line("A the same; bare: `COPY`, all in one commit", "A-bulk", "per_s", peers={}, engine="A-copy", more=True),
        Line("B drain without results (bare: claim 100, delete 100), per s", "B", "per_s", engine="B", more=True),
        Line("B drain with results, per s", "B-results", "per_s", instead=NO_RESULTS, engine="B", more=True,
             targets=(Target("≥ 0.8 × the best pgqueuer without", lambda f: f["ours"] >= 0.8 * f["best"]),)),
        Line("B CPU of the worker a job, without results, µs", "B", "us"),
        Line("B CPU of the worker a job, with results, µs", "B-results", "us", instead=NO_RESULTS),
        Line("B of this in the main process, with results, µs", "B-results", "main_us", peers={"celery-redis": "celery-redis"}),
        Line("B CPU of PostgreSQL a job: claim, settle, result, µs", "B-results", "broker_us", instead=NO_RESULTS,
             peers={"pgqueuer": "pgqueuer", "pgqueuer-b100": "pgqueuer-b100"}),
        Line("B the same and its publication in bulk, µs", "B-results", "broker_all_us", instead=NO_RESULTS, engine="B",
             peers={"pgqueuer": "pgqueuer", "pgqueuer-b100": "pgqueuer-b100"}),
        Line("C enqueue → start (bare: insert, notify → claim) at 50/s, p50, ms", "C", "p50", 2, engine="C",
             targets=(Target("≤ 3", lambda f: f["ours"] <= 3),)),
        Line("C the same, p99, ms", "C", "p99", 2, engine="C"),
        Line("D round trip with result, p50, ms", "D", "p50", 2),
        Line("D the same, p99, ms", "D", "p99", 2),
        Line("E idle, two at once (pgqueuer: one process): PSS, MiB", "E", "pss", 1),
        Line("E idle: CPU, % of one core", "E", "cpu", 3),
        Line("E idle: wake-ups per s", "E", "wakeups", 1),
        Line("E idle: transactions of PostgreSQL per s", "E", "requests", 2),
        Line("F start of the worker → first job, s", "F", "s", 3),
        Line("G kill -9 in the middle: jobs lost (worst)", "G", "lost", worst=True, targets=(Target("0", lambda f: f["ours"] == 0),)),
        Line("G run twice: running or not yet settled when killed (worst)", "G", "twice", worst=True),
        Line("G restart → what was cut runs again, s", "G", "back_s", 2),
        *beside(
            Line("H delayed by an hour (how many: below): bytes each in the database", "H", "bytes"),
            Line("H enqueue these in bulk, per s", "H", "later_per_s", more=True),
        ),
        Line("I 2000 sleeps of 50 ms, 100 at once, threads, s (ideal 1.0)", "I", "s", 2, ours="tidewheel-postgres-threads", peers={}),
        Line("I the same, async def on asyncio, s", "I", "s", 2, ours="tidewheel-postgres-asyncio", peers={"pgqueuer": "pgqueuer-io"}),
    ),
)  # fmt: skip
