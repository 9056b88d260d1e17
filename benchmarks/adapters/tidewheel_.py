"""Tidewheel on each engine with its defaults; on SQLite and PostgreSQL every publication and every outcome is synced to disk."""

from marks import BODIES, DATA, POSTGRES, RABBITMQ, REDIS, RESULTS, VARIANT, aio

VENV = "tidewheel"
PACKAGES: list[str] = []  # those of pyproject.toml; the code itself is a copy of this checkout's src (see venvs.py)
VARIANTS = {
    "tidewheel": {"engines": "sqlite", "cases": "A B C D E F G H", "note": "SQLite, defaults, -c 2"},
    "tidewheel-c1": {"engines": "sqlite", "cases": "B", "note": "the same, -c 1"},
    "tidewheel-threads": {"engines": "sqlite", "cases": "I", "note": "-P threads -c 100"},
    "tidewheel-asyncio": {"engines": "sqlite", "cases": "I", "note": "-P asyncio -c 100, async def"},
    # Only its lease tells that a worker on Redis or PostgreSQL is dead: 30 seconds, then two sweeps that are a beat of 10 seconds apart.
    "tidewheel-redis": {
        "engines": "redis", "cases": "A B C D E F G H", "services": "redis", "patience": 90.0,
        "note": "results in the same Redis, defaults, -c 2",
    },
    "tidewheel-redis-threads": {"engines": "redis", "cases": "I", "services": "redis", "note": "-P threads -c 100"},
    "tidewheel-redis-asyncio": {"engines": "redis", "cases": "I", "services": "redis", "note": "-P asyncio -c 100, async def"},
    "tidewheel-redis-gevent": {"engines": "redis", "cases": "I", "services": "redis", "note": "-P gevent -c 100"},
    "tidewheel-postgres": {
        "engines": "postgres", "cases": "A B C D E F G H", "services": "postgres", "patience": 90.0,
        "note": "results in the same database, defaults, -c 2",
    },
    "tidewheel-postgres-threads": {"engines": "postgres", "cases": "I", "services": "postgres", "note": "-P threads -c 100"},
    "tidewheel-postgres-asyncio": {"engines": "postgres", "cases": "I", "services": "postgres", "note": "-P asyncio -c 100, async def"},
    "tidewheel-rabbitmq": {
        "engines": "rabbitmq", "cases": "A B C E F G H", "services": "rabbitmq", "results": False,
        "note": "publications are confirmed, quorum queues, no store, defaults, -c 2",
    },
    "tidewheel-rabbitmq-redis": {
        "engines": "rabbitmq", "cases": "B D G", "services": "rabbitmq redis", "patience": 60.0, "note": "the same with results=redis://…",
    },
    "tidewheel-rabbitmq-threads": {"engines": "rabbitmq", "cases": "I", "services": "rabbitmq", "note": "-P threads -c 100"},
    "tidewheel-rabbitmq-asyncio": {"engines": "rabbitmq", "cases": "I", "services": "rabbitmq", "note": "-P asyncio -c 100, async def"},
}  # fmt: skip
POOLS = ("threads", "asyncio", "gevent")


def worker(variant: str, drain: bool) -> list[str]:
    command = ["python", "-m", "tidewheel", "-A", "adapters.tidewheel_:app", "worker", "-l", "warning"]
    pool = variant.rpartition("-")[2]
    return [*command, *(["-P", pool, "-c", "100"] if pool in POOLS else ["-c", "1" if pool == "c1" else "2"])]


if VARIANT:
    from tidewheel import Tidewheel

    BROKER = RABBITMQ or POSTGRES or REDIS or f"sqlite:///{DATA}/tidewheel.db"
    app = Tidewheel(BROKER, results=REDIS if REDIS and BROKER != REDIS else None, result_ttl=3600 if RESULTS else 0)
    TASKS = {name: app.task(name=name)(aio if name == "io" and VARIANT.endswith("asyncio") else body) for name, body in BODIES.items()}

    def enqueue(kind, i):
        TASKS[kind].delay(i)

    def enqueue_many(kind, numbers):
        TASKS[kind].map(numbers)

    def enqueue_later(kind, numbers, delay):
        TASKS[kind].using(countdown=delay).map(numbers)

    def roundtrip(i):
        TASKS["noop"].delay(i).get(timeout=30)
