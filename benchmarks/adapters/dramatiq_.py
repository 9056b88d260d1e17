"""dramatiq on Redis or RabbitMQ: two processes, with eight threads each (its default on two cores) for what measures throughput."""

from marks import BODIES, RABBITMQ, REDIS, RESULTS, VARIANT

VENV, PACKAGES = "dramatiq", ["dramatiq[redis,rabbitmq]", "hiredis"]
VARIANTS = {
    "dramatiq": {"engines": "redis", "cases": "A B C D E F G H", "services": "redis", "note": "-p 2 -t 8 in B and H, -p 2 -t 1 otherwise"},
    "dramatiq-threads": {"engines": "redis", "cases": "I", "services": "redis", "note": "-p 1 -t 100"},
    "dramatiq-rabbitmq": {
        "engines": "rabbitmq", "cases": "A B C D E F G H", "services": "rabbitmq redis",
        "note": "its default: publications are not confirmed; results in Redis; -p 2 -t 8 in B and H, -p 2 -t 1 otherwise",
    },
    "dramatiq-confirmed": {
        "engines": "rabbitmq", "cases": "A C D", "services": "rabbitmq redis", "note": "the same with confirm_delivery=True",
    },
    "dramatiq-rabbitmq-threads": {"engines": "rabbitmq", "cases": "I", "services": "rabbitmq redis", "note": "-p 1 -t 100"},
}  # fmt: skip


def worker(variant: str, drain: bool) -> list[str]:
    processes, threads = ("1", "100") if variant.endswith("threads") else ("2", "8" if drain else "1")
    return ["dramatiq", "adapters.dramatiq_", "-p", processes, "-t", threads, "--skip-logging"]


if VARIANT:
    import dramatiq
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker = RabbitmqBroker(url=RABBITMQ, confirm_delivery=VARIANT == "dramatiq-confirmed") if RABBITMQ else RedisBroker(url=REDIS)
    if RESULTS:
        broker.add_middleware(Results(backend=RedisBackend(url=REDIS)))
    dramatiq.set_broker(broker)
    TASKS = {name: dramatiq.actor(body, actor_name=name, **({"store_results": True} if RESULTS else {})) for name, body in BODIES.items()}

    def enqueue(kind, i):
        TASKS[kind].send(i)

    def enqueue_many(kind, numbers):
        """There is no bulk call."""
        for i in numbers:
            TASKS[kind].send(i)

    def enqueue_later(kind, numbers, delay):
        for i in numbers:
            TASKS[kind].send_with_options(args=(i,), delay=int(delay * 1000))

    def roundtrip(i):
        TASKS["noop"].send(i).get_result(block=True, timeout=30_000)
