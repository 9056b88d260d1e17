"""huey on SQLite with its defaults (SQLite's own default is synchronous=FULL), two worker processes."""

from marks import BODIES, DATA, RESULTS, VARIANT

VENV, PACKAGES = "huey", ["huey"]
VARIANTS = {
    "huey": {"engines": "sqlite", "cases": "A B C D E F G H", "note": "SQLite, -k process -w 2"},
    "huey-threads": {"engines": "sqlite", "cases": "I", "note": "-k thread -w 100"},
}


def worker(variant: str, drain: bool) -> list[str]:
    kind = ["-k", "thread", "-w", "100"] if variant == "huey-threads" else ["-k", "process", "-w", "2"]
    return ["huey_consumer", "adapters.huey_.huey", *kind, "-q", "-n"]


if VARIANT:
    from huey import SqliteHuey

    huey = SqliteHuey("bench", filename=f"{DATA}/huey.db", results=RESULTS)
    TASKS = {name: huey.task(name=name)(body) for name, body in BODIES.items()}

    def enqueue(kind, i):
        TASKS[kind](i)

    def enqueue_many(kind, numbers):
        """There is no bulk call."""
        for i in numbers:
            TASKS[kind](i)

    def enqueue_later(kind, numbers, delay):
        for i in numbers:
            TASKS[kind].schedule(args=(i,), delay=delay)

    def roundtrip(i):
        TASKS["noop"](i).get(blocking=True, timeout=30)
