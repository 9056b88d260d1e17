"""The table of Tidewheel on RabbitMQ, and what is promised of it."""

from __future__ import annotations

from table import Line, Table, Target, beside

ONE = {"celery-rabbitmq": "celery-rabbitmq", "dramatiq-rabbitmq": "dramatiq-rabbitmq"}
WITH = "tidewheel-rabbitmq-redis"
"""With results, in Redis, as the peers have them."""

RABBITMQ = Table(
    engine="rabbitmq",
    ours="tidewheel-rabbitmq",
    peers=("celery-rabbitmq", "dramatiq-rabbitmq", "dramatiq-confirmed"),
    head=("case", "Tidewheel", "Celery", "dramatiq", "dramatiq, confirmed", "bare client", "× better than Celery",
          "× better than the best dramatiq", "of the bare client", "target"),
    best=True,
    begin="<!-- the table of RabbitMQ: python benchmarks/run.py --engine rabbitmq --docs -->",
    end="<!-- end of the table of RabbitMQ -->",
    lines=(
        Line("A enqueue one by one, µs", "A", "us", engine="A"),
        Line("A the same, median call, µs", "A", "p50", engine="A"),
        Line("A the same, CPU of RabbitMQ a job, µs", "A", "broker_us", engine="A"),
        Line("A in bulk of 1000 (bare: confirmed 1000 at a time), per s", "A-bulk", "per_s", engine="A-bulk", more=True),
        Line("B drain without results (bare: consume, ack), per s", "B", "per_s", engine="B", more=True,
             targets=(Target("≥ 1.5 × dramatiq", lambda f: f["ours"] >= 1.5 * f["dramatiq-rabbitmq"]),)),
        Line("B drain with results in Redis, per s", "B-results", "per_s", more=True, ours=WITH, peers=ONE),
        Line("B CPU of the worker a job, without results, µs", "B", "us"),
        Line("B CPU of the worker a job, with results in Redis, µs", "B-results", "us", ours=WITH, peers=ONE),
        Line("B CPU of RabbitMQ a job, without results, µs", "B", "broker_us"),
        Line("B the same and its publication in bulk, µs", "B", "broker_all_us", engine="B"),
        Line("C enqueue → start (bare: arrival) at 50/s, p50, ms", "C", "p50", 2, engine="C",
             targets=(Target("≤ 2.5", lambda f: f["ours"] <= 2.5),)),
        Line("C the same, p99, ms", "C", "p99", 2, engine="C"),
        Line("D round trip with result in Redis, p50, ms", "D", "p50", 2, ours=WITH),
        Line("D the same, p99, ms", "D", "p99", 2, ours=WITH),
        Line("E idle, two at once: PSS, MiB", "E", "pss", 1),
        Line("E idle: CPU, % of one core", "E", "cpu", 3),
        Line("E idle: wake-ups per s", "E", "wakeups", 1),
        Line("F start of the worker → first job, s", "F", "s", 3),
        Line("G kill -9 in the middle: jobs lost (worst)", "G", "lost", worst=True, targets=(Target("0", lambda f: f["ours"] == 0),)),
        Line("G run twice: running or not yet settled when killed (worst)", "G", "twice", worst=True),
        Line("G restart → what was cut runs again, s", "G", "back_s", 2),
        Line("G with results in Redis: jobs lost (worst)", "G", "lost", worst=True, ours=WITH, peers={},
             targets=(Target("0", lambda f: f["ours"] == 0),)),
        Line("G with results in Redis: restart → what was cut runs again, s", "G", "back_s", 2, ours=WITH, peers={}),
        *beside(
            Line("H delayed by an hour (how many: below): bytes each in the node's memory", "H", "bytes"),
            Line("H enqueue these in bulk, per s", "H", "later_per_s", more=True),
        ),
        Line("I 2000 sleeps of 50 ms, 100 at once, threads, s (ideal 1.0)", "I", "s", 2, ours="tidewheel-rabbitmq-threads",
             peers={"celery-rabbitmq": "celery-rabbitmq-threads", "dramatiq-rabbitmq": "dramatiq-rabbitmq-threads"}),
        Line("I the same, async def on asyncio, s", "I", "s", 2, ours="tidewheel-rabbitmq-asyncio", peers={}),
    ),
)  # fmt: skip
