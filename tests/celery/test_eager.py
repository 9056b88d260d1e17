"""`task_always_eager` and `apply`: tasks that run where they are called."""

from __future__ import annotations

from typing import Any

import pytest

from tidewheel.celery import Celery, current_task
from tidewheel.celery.exceptions import Ignore, MaxRetriesExceededError, Reject
from tidewheel.celery.result import EagerResult


@pytest.fixture
def eager(app: Celery) -> Celery:
    app.conf.task_always_eager = True
    return app


def test_nothing_is_sent(eager: Celery) -> None:
    @eager.task(bind=True)
    def f(self: Any, a: int, b: int = 0) -> Any:
        r = self.request
        return [
            a + b,
            r.is_eager,
            r.called_directly,
            r.id,
            r.root_id,
            r.args,
            r.kwargs,
            r.headers,
            current_task.name,
            r.delivery_info["is_eager"],
        ]

    result = f.apply_async((1,), {"b": 2}, countdown=3, headers={"x": 1}, queue="q")
    assert isinstance(result, EagerResult)
    assert result.get() == [3, True, False, result.id, result.id, [1], {"b": 2}, {"x": 1}, f.name, True]
    assert (result.state, result.successful(), result.name) == ("SUCCESS", True, f.name)
    assert f.delay(1).get()[0] == 1
    assert eager.native.counts() == {}


def test_without_the_setting_apply_does_it(app: Celery) -> None:
    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    assert add.apply((1, 2)).get() == 3
    assert add.apply(args=(1,), kwargs={"b": 4}, task_id="given").id == "given"
    assert add.s(1).apply((2,)).get() == 3


def test_failures_are_kept_or_raised(eager: Celery) -> None:
    @eager.task
    def f() -> None:
        raise KeyError("k")

    result = f.delay()
    assert result.failed()
    assert "KeyError" in result.traceback
    with pytest.raises(KeyError):
        result.get()
    assert isinstance(f.apply(throw=False).result, KeyError)
    with pytest.raises(KeyError):
        f.apply(throw=True)
    eager.conf.task_eager_propagates = True
    with pytest.raises(KeyError):
        f.delay()


def test_arguments_are_checked_here_too(eager: Celery) -> None:
    @eager.task
    def f(a: int) -> None: ...

    with pytest.raises(TypeError):
        f.delay()


def test_retries_are_made_at_once(eager: Celery) -> None:
    seen: list[Any] = []

    @eager.task(bind=True, max_retries=2)
    def f(self: Any, n: int) -> str:
        seen.append((self.request.id, self.request.retries))
        if self.request.retries < n:
            self.retry(exc=ValueError("v"))
        return "done"

    result = f.delay(2)
    assert result.get() == "done"
    assert seen == [(result.id, 0), (result.id, 1), (result.id, 2)]
    with pytest.raises(ValueError, match="v"):
        f.delay(5).get()

    @eager.task(bind=True, max_retries=1)
    def g(self: Any) -> None:
        self.retry()

    assert isinstance(g.delay().result, MaxRetriesExceededError)

    @eager.task(autoretry_for=(KeyError,), retry_kwargs={"max_retries": 3}, retry_backoff=100)
    def h() -> None:
        seen.append("h")
        raise KeyError

    assert h.delay().failed()
    assert seen.count("h") == 4


def test_steering(eager: Celery) -> None:
    @eager.task
    def ignored() -> None:
        raise Ignore()

    @eager.task
    def rejected() -> None:
        raise Reject("no")

    assert (ignored.delay().state, rejected.delay().state) == ("IGNORED", "REJECTED")
    assert ignored.delay().get() is None


def test_callbacks_run_at_once(eager: Celery) -> None:
    seen: list[Any] = []

    @eager.task
    def after(*args: Any) -> None:
        seen.append(args)

    @eager.task
    def f(bad: bool = False) -> int:
        if bad:
            raise KeyError("k")
        return 5

    f.apply_async(link=after.s("x"), link_error=after.si("never"))
    assert seen == [(5, "x")]
    seen.clear()
    f.apply_async((True,), link=after.s("never"), link_error=after.si("failed"))
    assert seen == [("failed",)]


def test_a_task_that_waits_for_an_eager_one(eager: Celery) -> None:
    @eager.task
    def inner() -> int:
        return 3

    @eager.task
    def outer() -> int:
        return int(inner.delay().get())

    assert outer.delay().get() == 3


def test_send_task_is_not_eager(eager: Celery, caplog: pytest.LogCaptureFixture) -> None:
    eager.send_task("by.name")
    assert eager.native.counts()["celery"].ready == 1
    assert "no effect on send_task" in caplog.text
