"""WakaQ: the fastest of the queues on Redis. It neither acknowledges nor stores results, so what a worker held when it died is gone."""

from marks import BODIES, REDIS, VARIANT

VENV, PACKAGES = "wakaq", ["wakaq", "hiredis"]
VARIANTS = {
    "wakaq": {
        "engines": "redis", "cases": "A B C E F G H", "services": "redis", "results": False,
        "note": "concurrency 2 (processes); has no results",
    },
}  # fmt: skip


def worker(variant: str, drain: bool) -> list[str]:
    return ["wakaq-worker", "--app", "adapters.wakaq_.app"]


if VARIANT:
    import logging
    from datetime import timedelta
    from urllib.parse import urlsplit

    from wakaq import WakaQ

    app = WakaQ(queues=["default"], host="127.0.0.1", port=urlsplit(REDIS).port, concurrency=2, worker_log_level=logging.WARNING)
    TASKS = {name: app.task(body) for name, body in BODIES.items()}

    def enqueue(kind, i):
        TASKS[kind].delay(i)

    def enqueue_many(kind, numbers):
        """There is no bulk call."""
        for i in numbers:
            TASKS[kind].delay(i)

    def enqueue_later(kind, numbers, delay):
        eta = timedelta(seconds=delay)
        for i in numbers:
            TASKS[kind].delay(i, eta=eta)
