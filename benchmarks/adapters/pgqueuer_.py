"""pgqueuer: the fastest of the queues on PostgreSQL. It deletes a job when it is done and stores no results.

Its API is async; each call of the producer runs the loop until it is answered, which costs some 20 µs of what is measured.
"""

from marks import POSTGRES, VARIANT, aio, awork, noop

VENV, PACKAGES = "pgqueuer", ["pgqueuer[asyncpg]", "uvloop"]
VARIANTS = {
    "pgqueuer": {
        "engines": "postgres", "cases": "A B C E F G H", "services": "postgres", "results": False, "setup": True, "patience": 90.0,
        "note": "asyncpg, uvloop; two processes with batches of 1000 in B and H, one with 10 otherwise; has no results",
    },
    "pgqueuer-b100": {
        "engines": "postgres", "cases": "B", "services": "postgres", "results": False, "setup": True,
        "note": "two processes with batches of 100",
    },
    "pgqueuer-io": {
        "engines": "postgres", "cases": "I", "services": "postgres", "results": False, "setup": True, "note": "batches of 50, 100 at once",
    },
}  # fmt: skip


def worker(variant: str, drain: bool) -> list[str]:
    """Its command line cannot tell batches; this is the documented way in Python. The shell waits for both processes."""
    settings = "50 100" if variant == "pgqueuer-io" else "100" if variant == "pgqueuer-b100" else "1000" if drain else "10"
    one = f"python -m adapters.pgqueuer_ {settings}"
    return ["sh", "-c", f"{one} & {one} & wait" if drain else f"exec {one}"]


if VARIANT:
    import asyncio
    import contextlib
    import datetime
    import sys

    import asyncpg
    import pgqueuer
    import uvloop
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    @contextlib.asynccontextmanager
    async def worker_of_all():
        queuer = pgqueuer.PgQueuer(AsyncpgDriver(await asyncpg.connect(POSTGRES)))

        @queuer.entrypoint("noop")
        async def _noop(job):
            noop(int(job.payload))

        @queuer.entrypoint("work")
        async def _work(job):
            await awork(int(job.payload))

        @queuer.entrypoint("io")
        async def _io(job):
            await aio(int(job.payload))

        yield queuer

    loop = uvloop.new_event_loop()
    queries = None

    async def _connect():
        return Queries(AsyncpgDriver(await asyncpg.connect(POSTGRES)))

    def _enqueue(*args):
        global queries
        if queries is None:
            queries = loop.run_until_complete(_connect())
        loop.run_until_complete(queries.enqueue(*args))

    def setup():
        loop.run_until_complete(loop.run_until_complete(_connect()).install())

    def enqueue(kind, i):
        _enqueue(kind, b"%d" % i)

    def enqueue_many(kind, numbers):
        n = len(numbers)
        _enqueue([kind] * n, [b"%d" % i for i in numbers], [0] * n)

    def enqueue_later(kind, numbers, delay):
        n, later = len(numbers), datetime.timedelta(seconds=delay)
        _enqueue([kind] * n, [b"%d" % i for i in numbers], [0] * n, [later] * n)

    if __name__ == "__main__":
        batch, *limit = map(int, sys.argv[1:])
        uvloop.install()
        asyncio.run(pgqueuer.run(worker_of_all, batch_size=batch, max_concurrent_tasks=limit[0] if limit else None))
