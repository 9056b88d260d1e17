"""Celery on Redis or RabbitMQ, set for throughput: prefork, a large prefetch for the drain, no gossip, mingle or heartbeat."""

from marks import BODIES, RABBITMQ, REDIS, RESULTS, VARIANT

VENV, PACKAGES = "celery", ["celery[redis]", "hiredis", "gevent"]
VARIANTS = {
    "celery": {
        "engines": "sqlite redis", "cases": "A B C D E F G H", "services": "redis",
        "note": "Redis, prefork -c 2, prefetch multiplier 64 in B and H"
    },
    "celery-threads": {"engines": "sqlite redis", "cases": "I", "services": "redis", "note": "-P threads -c 100"},
    "celery-gevent": {"engines": "redis", "cases": "I", "services": "redis", "note": "-P gevent -c 100"},
    "celery-redis": {  # as a measure for tables in which it does not compete
        "engines": "postgres", "cases": "A B C D", "services": "redis",
        "note": "Redis, as a measure: prefork -c 2, prefetch multiplier 64 in B",
    },
    "celery-rabbitmq": {
        "engines": "rabbitmq", "cases": "A B C D E F G H", "services": "rabbitmq redis",
        "note": "publications are not confirmed (its default); results in Redis; prefork -c 2, prefetch multiplier 64 in B and H",
    },
    "celery-rabbitmq-threads": {"engines": "rabbitmq", "cases": "I", "services": "rabbitmq redis", "note": "-P threads -c 100"},
}  # fmt: skip


def worker(variant: str, drain: bool) -> list[str]:
    command = ["celery", "-A", "adapters.celery_", "worker", "-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    pool = variant.rpartition("-")[2]
    if pool in ("threads", "gevent"):
        return [*command, "-P", pool, "-c", "100"]
    return [*command, "-P", "prefork", "-c", "2", *(["--prefetch-multiplier", "64"] if drain else [])]


if VARIANT:
    from celery import Celery

    app = Celery("bench", broker=RABBITMQ or REDIS, backend=REDIS if RESULTS else None)
    app.conf.update(task_ignore_result=not RESULTS, broker_connection_retry_on_startup=True)
    TASKS = {name: app.task(name=name)(body) for name, body in BODIES.items()}

    def enqueue(kind, i):
        TASKS[kind].delay(i)

    def _many(kind, numbers, **options):
        """There is no bulk call; one producer kept open for the whole batch is the documented fast way."""
        with app.producer_or_acquire() as producer:
            for i in numbers:
                TASKS[kind].apply_async((i,), producer=producer, **options)

    def enqueue_many(kind, numbers):
        _many(kind, numbers)

    def enqueue_later(kind, numbers, delay):
        _many(kind, numbers, countdown=delay)

    def roundtrip(i):
        TASKS["noop"].delay(i).get(timeout=30)
