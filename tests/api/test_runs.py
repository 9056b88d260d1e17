"""What a running job, and whoever listens in its process, can know and do. On a worker inside of the test's process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tidewheel import ConfigurationError, Context, JobFailed, RetryIn, Tidewheel, current
from tidewheel.core.options import Options, Retry
from tidewheel.events import ExecutorEnded, ExecutorStarted, WorkerEvent, WorkerStarted
from tidewheel.locate import locate
from tidewheel.testing import run_pending, running
from tidewheel.worker.forkserver import manifest
from tidewheel.worker.frames import Manifest
from tidewheel.worker.options import WorkerOptions
from tidewheel.worker.worker import queues_of


def test_each_async_job_has_its_own_context(app: Tidewheel) -> None:
    """They share an event loop, which would keep the context of the first one."""

    @app.task(context=True, name="mine")
    async def mine(job: Context) -> list[str]:
        return [job.id, current().id]

    with running(app):
        for _ in range(3):
            result = mine.delay()
            assert result.get(10) == [result.id, result.id]


def test_jobs_that_follow_a_success(app: Tidewheel) -> None:
    seen: list[Any] = []

    @app.task(name="after")
    def after(what: str) -> None:
        seen.append(what)

    @app.task(context=True, name="first", retry=Retry(2))
    def first(job: Context, how: str) -> None:
        job.follow(after.call(f"{how}, success {job.attempt}"), after.call("and one more"))
        job.follow(after.call(f"{how}, failure {job.attempt}"), after="failure")
        if how == "again" and job.attempt == 1:
            raise RetryIn(0)
        if how == "bad":
            raise ValueError(how)

    first.delay("well")
    run_pending(app)
    assert sorted(seen) == ["and one more", "well, success 1"]
    seen.clear()
    first.using(retry=None).delay("bad")
    run_pending(app)
    assert seen == ["bad, failure 1"]
    seen.clear()
    first.delay("again")
    run_pending(app)
    assert sorted(seen) == ["again, success 2", "and one more"]


def test_without_a_worker_nothing_follows(app: Tidewheel) -> None:
    @app.task(context=True, name="f")
    def f(job: Context) -> None:
        job.follow(f.call())

    f()
    assert app.counts() == {}


def test_the_apps_own_listeners_hear_of_their_worker(app: Tidewheel) -> None:
    told: list[WorkerEvent] = []
    ready = threading.Event()
    app.on(ExecutorStarted)(told.append)
    app.on(ExecutorEnded)(told.append)

    @app.on(WorkerStarted)
    def started(event: WorkerStarted) -> None:
        told.append(event)
        ready.set()

    with running(app):
        assert ready.wait(10)
    assert [type(e) for e in told] == [ExecutorStarted, WorkerStarted, ExecutorEnded]
    assert {e.worker for e in told} == {"testing"}


def test_what_the_app_says_of_its_workers() -> None:
    app = Tidewheel("memory://workers", queues=["mail", "low"], workers={"concurrency": 3, "max_tasks_per_child": 9})
    told = manifest(app)
    assert (told.queues, told.workers) == (("mail", "low"), {"concurrency": 3, "max_tasks_per_child": 9})
    with pytest.raises(ConfigurationError, match="not a valid name"):
        Tidewheel(queues=["no good"])
    for wrong in ({"concurency": 3}, {"concurrency": 0}, {"concurrency": "3"}):
        with pytest.raises(ConfigurationError, match="expected whole numbers"):
            Tidewheel(workers=wrong)  # type: ignore[arg-type]


def test_the_queues_of_a_worker() -> None:
    tasks = {"t": Options(queue="of-task")}
    plain = Manifest(name="", url="", tasks=tasks, listens=frozenset())
    said = Manifest(name="", url="", tasks=tasks, listens=frozenset(), queues=("mail",))
    assert queues_of(WorkerOptions(app=""), plain) == ("default", "of-task")
    assert queues_of(WorkerOptions(app=""), said) == ("mail",)
    assert queues_of(WorkerOptions(app="", queues=("other",)), said) == ("other",)


def test_an_object_that_offers_an_app_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "offering_app.py").write_text(
        "from tidewheel import Tidewheel\n"
        "class Offering:\n"
        "    def __init__(self): self.inner = Tidewheel('memory://offered')\n"
        "    def __tidewheel__(self): return self.inner\n"
        "class Anything:\n"
        "    def __getattr__(self, name): return self\n"
        "anything = Anything()\n"
        "holder = Offering()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert locate("offering_app") is locate("offering_app:holder")
    assert locate("offering_app").url == "memory://offered"
    with pytest.raises(ConfigurationError, match="not a Tidewheel app"):
        locate("offering_app:anything")


def test_a_failure_is_still_a_failure(app: Tidewheel) -> None:
    @app.task(context=True, name="f")
    def f(job: Context) -> None:
        job.follow(f.call(), after="success")
        raise LookupError("x")

    result = f.delay()
    run_pending(app)
    with pytest.raises((LookupError, JobFailed)):
        result.get(1)
    assert app.counts()["default"].ready == 0
