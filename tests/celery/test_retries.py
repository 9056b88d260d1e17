from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery_rig import TIMEOUT, Working

from tidewheel.celery import Celery
from tidewheel.celery.app.task import backoff_interval
from tidewheel.celery.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry


def test_the_same_id_one_more_retry(app: Celery, working: Working) -> None:
    seen: list[Any] = []

    @app.task(bind=True, default_retry_delay=0)
    def f(self: Any, n: int) -> str:
        seen.append((self.request.id, self.request.retries, self.request.headers))
        if self.request.retries < n:
            raise self.retry()
        return "done"

    with working(app):
        result = f.apply_async((2,), headers={"x": 1})
        assert result.get(TIMEOUT) == "done"
    assert seen == [(result.id, n, {"x": 1}) for n in range(3)]


@pytest.mark.parametrize(("given", "kind"), [(ValueError("mine"), ValueError), (None, MaxRetriesExceededError)])
def test_the_last_one(app: Celery, working: Working, given: Any, kind: type[Exception]) -> None:
    runs: list[int] = []

    @app.task(bind=True, max_retries=2, default_retry_delay=0)
    def f(self: Any) -> None:
        runs.append(self.request.retries)
        self.retry(exc=given)

    with working(app):
        result = f.delay()
        with pytest.raises(kind):
            result.get(TIMEOUT)
    assert runs == [0, 1, 2]
    assert result.state == "FAILURE"


def test_max_retries_of_the_call_and_for_ever(app: Celery, working: Working) -> None:
    runs: list[str] = []

    @app.task(bind=True, max_retries=1)
    def more(self: Any) -> None:
        runs.append("more")
        self.retry(countdown=0, max_retries=4)

    @app.task(bind=True, max_retries=None)
    def ever(self: Any) -> str:
        if self.request.retries < 12:
            self.retry(countdown=0)
        return "at last"

    with working(app):
        with pytest.raises(MaxRetriesExceededError):
            more.delay().get(TIMEOUT)
        assert ever.delay().get(TIMEOUT) == "at last"
    assert len(runs) == 5


def test_a_retry_waits(app: Celery, working: Working) -> None:
    @app.task(bind=True)
    def later(self: Any, how: str) -> None:
        if how == "eta":
            self.retry(eta=datetime.now(timezone.utc) + timedelta(seconds=600), exc=ValueError("busy"))
        if how == "delta":
            self.retry()
        self.retry(countdown=300)

    later.default_retry_delay = 100
    results = {how: later.delay(how) for how in ("eta", "countdown", "delta")}
    from tidewheel.testing import run_pending

    assert run_pending(app.native) == 3
    now = app.native.backend.broker.now()
    due = {how: app.native.browse().job(r.id).due - now for how, r in results.items()}  # type: ignore[union-attr,operator]
    assert due["eta"] == pytest.approx(600, abs=30)
    assert due["countdown"] == pytest.approx(300, abs=30)
    assert due["delta"] == pytest.approx(100, abs=30)
    assert {r.state for r in results.values()} == {"RETRY"}
    assert isinstance(results["eta"].info, Retry)
    assert "busy" in str(results["eta"].info)


def test_called_directly_there_is_no_retry(app: Celery) -> None:
    @app.task(bind=True)
    def f(self: Any, exc: Exception | None, *, inside: bool = False) -> None:
        if inside:
            try:
                1 / 0  # noqa: B018
            except ZeroDivisionError:
                self.retry(exc=exc)
        self.retry(exc=exc)

    with pytest.raises(ValueError, match="v"):
        f(ValueError("v"))
    with pytest.raises(Retry):
        f(None)
    with pytest.raises(ValueError, match="v") as raised:
        f(ValueError("v"), inside=True)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_throw_false_goes_on_and_is_run_again(app: Celery, working: Working) -> None:
    after: list[int] = []

    @app.task(bind=True)
    def f(self: Any) -> str:
        if self.request.retries == 0:
            asked = self.retry(countdown=0, throw=False)
            assert isinstance(asked, Retry)
            after.append(1)
            return "not this"
        return "this"

    with working(app):
        assert f.delay().get(TIMEOUT) == "this"
    assert after == [1]


def test_autoretry(app: Celery, working: Working) -> None:
    runs: list[int] = []

    @app.task(autoretry_for=(KeyError, ValueError), retry_kwargs={"max_retries": 2, "countdown": 0}, dont_autoretry_for=(UnicodeError,))
    def f(error: str) -> None:
        runs.append(1)
        raise {"key": KeyError("k"), "unicode": UnicodeError("u"), "zero": ZeroDivisionError("z")}[error]

    with working(app):
        for name, kind, times in (("key", KeyError, 3), ("unicode", UnicodeError, 1), ("zero", ZeroDivisionError, 1)):
            runs.clear()
            with pytest.raises(kind):
                f.delay(name).get(TIMEOUT)
            assert len(runs) == times, name
    with pytest.raises(KeyError):
        f("key")


def test_backoff() -> None:
    assert [backoff_interval(2, n, 60) for n in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert {backoff_interval(1, 1, 60, full_jitter=True) for _ in range(200)} == {0, 1, 2}
    assert backoff_interval(1, 10_000, 600) == 600


def test_autoretry_backs_off(app: Celery) -> None:
    @app.task(autoretry_for=(KeyError,), retry_backoff=100, retry_backoff_max=1000, retry_jitter=False, max_retries=5)
    def f() -> None:
        raise KeyError("k")

    from tidewheel.testing import run_pending

    result = f.delay()
    assert run_pending(app.native) == 1
    view = app.native.browse().job(result.id)
    assert view is not None
    assert view.due is not None
    assert view.due - app.native.backend.broker.now() == pytest.approx(100, abs=20)


def test_autoretry_of_a_class(app: Celery, working: Working) -> None:
    class F(app.Task):  # type: ignore[name-defined,misc]
        name = "F"
        autoretry_for = (KeyError,)
        retry_kwargs = {"countdown": 0}

        def run(self) -> int:
            if self.request.retries < 2:
                raise KeyError
            return int(self.request.retries)

    with working(app):
        assert app.register_task(F()).delay().get(TIMEOUT) == 2


def test_the_same_arguments_may_be_given(app: Celery, working: Working) -> None:
    """As it was written for Celery 3: `send.retry(args=[x], kwargs=kwargs, exc=exc)`."""

    @app.task(bind=True)
    def f(self: Any, a: int, b: int = 0) -> Any:
        if self.request.retries == 0:
            self.retry(args=[a], kwargs={"b": b}, countdown=0, queue="celery")
        return [a, b]

    with working(app):
        assert f.delay(1, b=2).get(TIMEOUT) == [1, 2]


def test_other_arguments(app: Celery, working: Working) -> None:
    seen: list[Any] = []

    @app.task(bind=True, max_retries=3)
    def pages(self: Any, page: int, total: int = 0) -> Any:
        r = self.request
        seen.append((r.id, r.retries, page, r.headers, r.root_id))
        if page < 3:
            raise self.retry(args=[page + 1], kwargs={"total": total + page}, countdown=0)
        return total + page

    @app.task
    def after(value: int) -> None:
        seen.append(("after", value))

    from rig import until

    with working(app):
        result = pages.apply_async((1,), headers={"h": 1}, link=after.s(), priority=7)
        assert result.get(TIMEOUT) == 6
        until("the callback", lambda: ("after", 6) in seen)
    assert seen == [(result.id, n, n + 1, {"h": 1}, result.id) for n in range(3)] + [("after", 6)]
    again = app.AsyncResult(result.id)
    assert (again.state, again.result, again.ready()) == ("SUCCESS", 6, True)
    view = app.native.browse().job(again._job)
    assert view is not None
    assert view.priority == 7


def test_other_arguments_count_as_retries(app: Celery, working: Working) -> None:
    @app.task(bind=True, max_retries=2)
    def f(self: Any, n: int) -> None:
        self.retry(args=[n + 1], countdown=0)

    with working(app):
        with pytest.raises(MaxRetriesExceededError, match=r"args:\[2\]"):
            f.delay(0).get(TIMEOUT)


def test_another_queue_and_waiting_there(app: Celery) -> None:
    from tidewheel.testing import run_pending

    @app.task(bind=True)
    def f(self: Any) -> str:
        if self.request.retries == 0:
            self.retry(queue="slow", countdown=100, time_limit=77, priority=3)
        return "done"

    result = f.apply_async(soft_time_limit=50)
    assert run_pending(app.native) == 1
    assert (result.state, result.ready(), result.queue) == ("RETRY", False, "slow")
    view = app.native.browse().job(result._job)
    assert view is not None
    assert view.due is not None
    assert view.priority == 3
    assert "77" in view.headers["tidewheel-options"]
    assert view.due - app.native.backend.broker.now() == pytest.approx(100, abs=20)
    app.AsyncResult(result.id).revoke()
    assert app.AsyncResult(result.id).state == "REVOKED"


def test_other_arguments_eagerly(app: Celery) -> None:
    @app.task(bind=True)
    def f(self: Any, n: int) -> Any:
        if n < 2:
            self.retry(args=[n + 1])
        return [n, self.request.retries]

    assert f.apply((0,)).get() == [2, 2]


def test_then_follows_too(app: Celery, working: Working) -> None:
    said: list[Any] = []
    told = threading.Event()

    @app.task(bind=True)
    def f(self: Any, n: int) -> int:
        if n < 2:
            self.retry(args=[n + 1], countdown=0)
        return n

    result = f.delay(0)
    result.then(lambda r: (said.append(r.result), told.set()))
    with working(app):
        assert told.wait(TIMEOUT)
    assert said == [2]


def test_ignore(app: Celery, working: Working) -> None:
    @app.task(bind=True)
    def f(self: Any, said: bool) -> None:
        if said:
            self.update_state(state="CUSTOM", meta={"why": 1})
        raise Ignore()

    @app.task(bind=True)
    def failed(self: Any) -> None:
        self.update_state(state="FAILURE", meta={"exc_type": "Own"})
        raise Ignore()

    with working(app):
        said, plain, bad = f.delay(True), f.delay(False), failed.delay()
        assert said.get(TIMEOUT) == {"why": 1}
        assert (said.state, said.info) == ("CUSTOM", {"why": 1})
        assert plain.get(TIMEOUT) is None
        assert plain.state == "IGNORED"
        with pytest.raises(Exception, match="Own"):
            bad.get(TIMEOUT)
        assert bad.state == "FAILURE"


def test_reject(app: Celery, working: Working) -> None:
    runs: list[int] = []

    @app.task
    def away() -> None:
        raise Reject("no use", requeue=False)

    @app.task
    def back() -> str:
        runs.append(1)
        if len(runs) == 1:
            raise Reject("later", requeue=True)
        return "done"

    with working(app):
        result, second = away.delay(), back.delay()
        with pytest.raises(Exception, match="no use"):
            result.get(TIMEOUT)
        assert second.get(TIMEOUT) == "done"
    view = app.native.browse().job(result.id)
    assert view is not None
    assert (view.state, view.reason) == ("dead", "aborted")
