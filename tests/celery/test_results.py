from __future__ import annotations

import sys
import threading
import types
from typing import Any

import pytest
from celery_rig import TIMEOUT, Working

from tidewheel.celery import Celery, states
from tidewheel.celery.exceptions import NotSupported, TaskRevokedError, TimeoutError
from tidewheel.celery.result import AsyncResult, EagerResult, GroupResult, ResultSet, allow_join_result, result_from_tuple
from tidewheel.celery.states import state
from tidewheel.testing import run_pending


class OwnError(Exception):
    """Known here, and registered nowhere."""


@pytest.fixture
def task(app: Celery) -> Any:
    @app.task(name="double", bind=True)
    def double(self: Any, n: int, error: str = "") -> int:
        if error:
            raise {"own": OwnError("own", 7), "value": ValueError("bad value")}[error]
        return n * 2

    return double


def test_from_pending_to_success(app: Celery, task: Any) -> None:
    result = task.delay(4)
    assert (result.state, result.status, result.result, result.ready(), result.successful(), result.failed()) == (
        "PENDING", "PENDING", None, False, False, False,
    )  # fmt: skip
    assert (result.date_done, result.traceback) == (None, None)
    run_pending(app.native)
    again = app.AsyncResult(result.id)
    assert (again.get(), again.state, again.info, again.ready(), again.successful()) == (8, "SUCCESS", 8, True, True)
    assert again.date_done is not None
    assert again.date_done.tzinfo is not None
    assert again == result
    assert again == result.id
    assert len({again, result}) == 1
    assert (again.name, again.queue, again.retries) == ("double", "celery", 0)
    assert str(again) == again.task_id == again.id
    assert again.get(callback=lambda i, v: None) == 8


def test_failure_is_the_tasks_own_exception(app: Celery, task: Any) -> None:
    own, value = task.delay(1, error="own"), task.delay(1, error="value")
    run_pending(app.native)
    with pytest.raises(OwnError) as raised:
        own.get()
    assert raised.value.args == ("own", 7)
    with pytest.raises(ValueError, match="bad value"):
        value.get()
    assert (own.state, own.failed(), own.successful()) == ("FAILURE", True, False)
    assert isinstance(own.result, OwnError)
    assert 'raise {"own"' in str(own.traceback)
    assert isinstance(own.get(propagate=False), OwnError)
    assert value.maybe_throw(propagate=False) is value.result
    assert own.args == [1]
    assert own.kwargs == {"error": "own"}


def test_looking_for_an_exceptions_class_runs_no_code_of_its_module(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    lazy = types.ModuleType("lazy_module")
    lazy.__getattr__ = lambda name: asked.append(name) or ValueError  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    made = type("Hidden", (Exception,), {"__module__": "lazy_module"})

    @app.task
    def f() -> None:
        raise made("gone")

    result = f.delay()
    run_pending(app.native)
    with pytest.raises(Exception, match="gone") as raised:
        result.get()
    assert type(raised.value).__name__ == "Hidden"
    assert "Hidden" not in asked


def test_an_exception_of_a_module_that_is_not_here_has_its_name(app: Celery) -> None:
    made = type("Elsewhere", (Exception,), {"__module__": "some.module.not.here"})

    @app.task
    def f() -> None:
        raise made("gone")

    result = f.delay()
    run_pending(app.native)
    with pytest.raises(Exception, match="gone") as raised:
        result.get()
    assert type(raised.value).__name__ == "Elsewhere"
    assert type(raised.value).__module__ == "some.module.not.here"


def test_nothing_but_exceptions_is_made_of_an_error(app: Celery) -> None:
    made = type("Popen", (Exception,), {"__module__": "subprocess"})  # the broker says: call subprocess.Popen

    @app.task
    def f() -> None:
        raise made("touch", "x")

    result = f.delay()
    run_pending(app.native)
    assert isinstance(result.result, Exception)
    assert type(result.result).__mro__[1] is Exception


def test_an_unknown_id_is_pending(app: Celery) -> None:
    for unknown in ("nobody-knows-this", "01900000-0000-7000-8000-000000000000"):
        result = app.AsyncResult(unknown)
        assert (result.state, result.info, result.ready()) == ("PENDING", None, False)
        with pytest.raises(TimeoutError):
            result.get(timeout=0.05)
    with pytest.raises(ValueError, match="None"):
        app.AsyncResult(None)  # type: ignore[arg-type]


def test_waiting(app: Celery, task: Any) -> None:
    result = task.delay(1)
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01)
    with pytest.raises(__builtins__["TimeoutError"] if isinstance(__builtins__, dict) else __builtins__.TimeoutError):
        result.wait(timeout=0)
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            run_pending(app.native)

    assert result.get(timeout=TIMEOUT, interval=0.01, on_interval=tick) == 2
    assert len(ticks) >= 3


def test_ignored_results(app: Celery) -> None:
    @app.task(ignore_result=True)
    def f() -> int:
        return 5

    @app.task
    def g() -> int:
        return 5

    assert f.delay().get() is None, "there is nothing to wait for"
    ignored, kept = g.apply_async(ignore_result=True), f.apply_async(ignore_result=False)
    assert (ignored.ignored, kept.ignored) == (True, False)
    run_pending(app.native)
    assert kept.get(TIMEOUT) == 5
    assert app.AsyncResult(ignored.id).result is None


def test_progress(app: Celery, working: Working) -> None:
    went, go = threading.Event(), threading.Event()

    @app.task(bind=True)
    def f(self: Any) -> str:
        self.update_state(state="PROGRESS", meta={"done": 1, "of": 2})
        went.set()
        assert go.wait(TIMEOUT)
        return "done"

    from rig import until

    with working(app):
        result = f.delay()
        assert went.wait(TIMEOUT)
        until("progress", lambda: result.state == "PROGRESS")
        assert result.info == {"done": 1, "of": 2}
        assert not result.ready()
        go.set()
        assert result.get(TIMEOUT) == "done"


def test_progress_of_another_task(app: Celery, working: Working) -> None:
    @app.task(bind=True)
    def f(self: Any) -> None:
        self.update_state(task_id="other", state="X")

    with working(app):
        with pytest.raises(NotSupported, match="another task's id"):
            f.delay().get(TIMEOUT)


def test_revoked(app: Celery, task: Any) -> None:
    result = task.apply_async((1,), countdown=100)
    result.revoke()
    assert (result.state, result.ready()) == ("REVOKED", True)
    with pytest.raises(TaskRevokedError, match="revoked"):
        result.get()


def test_forget(app: Celery, task: Any) -> None:
    result = task.delay(1)
    run_pending(app.native)
    assert result.get() == 2
    result.forget()
    assert result.state == "PENDING"


def test_then(app: Celery, task: Any) -> None:
    called = threading.Event()
    said: list[Any] = []
    result = task.delay(3)
    result.then(lambda r: (said.append(r.result), called.set()))
    run_pending(app.native)
    assert called.wait(TIMEOUT)
    assert said == [6]


def test_waiting_inside_of_a_task(app: Celery, task: Any, working: Working) -> None:
    @app.task
    def outer(how: str) -> Any:
        inner = app.AsyncResult(done.id)
        if how == "plain":
            return inner.get(timeout=1)
        if how == "set":
            return app.ResultSet([inner]).join(timeout=1)
        if how == "said":
            return inner.get(timeout=TIMEOUT, disable_sync_subtasks=False)
        with allow_join_result():
            return inner.get(timeout=TIMEOUT)

    done = task.delay(1)
    run_pending(app.native)
    with working(app):
        for how in ("plain", "set"):
            with pytest.raises(RuntimeError, match="inside of a task"):
                outer.delay(how).get(TIMEOUT)
        assert outer.delay("said").get(TIMEOUT) == 2
        assert outer.delay("allowed").get(TIMEOUT) == 2
    assert outer("plain") == 2, "called as a function it is no task"


def test_result_sets(app: Celery, task: Any) -> None:
    results = [task.delay(n) for n in range(3)]
    group = ResultSet(results, app=app)
    assert (len(group), group.ready(), group.completed_count(), group.waiting()) == (3, False, 0, True)
    with pytest.raises(TimeoutError):
        group.join(timeout=0.01)
    run_pending(app.native)
    assert group.get(timeout=TIMEOUT) == group.join() == group.join_native() == [0, 2, 4]
    assert (group.ready(), group.successful(), group.failed(), group.completed_count()) == (True, True, False, 3)
    assert [r for r, _ in group.iter_native()] == [r.id for r in results]
    seen: list[Any] = []
    assert group.join(callback=lambda i, v: seen.append((i, v))) == []
    assert seen == [(r.id, v) for r, v in zip(results, [0, 2, 4], strict=True)]
    bad = task.delay(1, error="value")
    run_pending(app.native)
    group.add(bad)
    group.add(bad)
    assert len(group) == 4
    with pytest.raises(ValueError, match="bad value"):
        group.join()
    assert isinstance(group.join(propagate=False)[3], ValueError)
    group.remove(bad.id)
    assert bad not in group
    with pytest.raises(KeyError):
        group.remove("nobody")


def test_groups_are_not_stored(app: Celery, task: Any) -> None:
    group = app.GroupResult("g1", [task.delay(1)])
    assert isinstance(group, GroupResult)
    assert isinstance(group, app.GroupResult)
    assert isinstance(group[0], app.AsyncResult)
    assert group.app is group[0].app is app
    for what in (group.save, group.delete, lambda: GroupResult.restore("g1"), lambda: app.GroupResult.restore("g1")):
        with pytest.raises(NotSupported, match="not there yet"):
            what()
    again = result_from_tuple(group.as_tuple(), app)
    assert (again.id, [r.id for r in again]) == ("g1", [r.id for r in group])


def test_as_tuple_and_back(app: Celery) -> None:
    result = AsyncResult("a", app=app, parent=AsyncResult("b", app=app))
    again = result_from_tuple(result.as_tuple(), app)
    assert (again.id, again.parent.id, again.as_list()) == ("a", "b", ["a", "b"])


def test_parents_errors_come_first(app: Celery, task: Any) -> None:
    bad, good = task.delay(1, error="value"), task.delay(2)
    run_pending(app.native)
    child = AsyncResult(good.id, app=app, parent=bad)
    with pytest.raises(ValueError, match="bad value"):
        child.get()
    assert child.get(follow_parents=False) == 4


def test_what_is_not_recorded(app: Celery, task: Any) -> None:
    result = task.delay(1)
    assert result.children is None
    with pytest.raises(NotSupported, match="graph"):
        _ = result.graph
    run_pending(app.native)
    assert list(result.collect()) == [(result, 2)]
    assert result.get_leaf() == 2


def test_a_time_limit_and_poison_in_celerys_words(app: Celery) -> None:
    from tidewheel.celery.exceptions import NotRegistered, TimeLimitExceeded, WorkerLostError
    from tidewheel.celery.failures import exception_of
    from tidewheel.contract import Record
    from tidewheel.errors import ErrorRecord

    def made(reason: str, **error: Any) -> BaseException:
        return exception_of(Record(id="1", state="dead", reason=reason), ErrorRecord(type="x", message="m", **error), {})

    kinds = {
        "time limit": TimeLimitExceeded,
        "poison": WorkerLostError,
        "unknown task": NotRegistered,
        "bad arguments": TypeError,
        "undecodable": ValueError,
    }
    assert {reason: type(made(reason)) for reason in kinds} == kinds


def test_eager_results() -> None:
    good, bad = EagerResult("1", 5, states.SUCCESS), EagerResult("2", ValueError("v"), states.FAILURE, "tb")
    assert (good.get(), good.state, good.ready(), good.successful(), good.result, good.id) == (5, "SUCCESS", True, True, 5, "1")
    with pytest.raises(ValueError, match="v"):
        bad.get()
    assert isinstance(bad.get(propagate=False), ValueError)
    assert (bad.failed(), bad.traceback) == (True, "tb")
    bad.revoke()
    assert bad.state == "REVOKED"
    said: list[Any] = []
    good.then(said.append)
    assert said == [good]
    good.forget()


def test_states() -> None:
    assert {"SUCCESS", "FAILURE", "REVOKED"} == states.READY_STATES
    assert {"FAILURE", "REVOKED"} == states.PROPAGATE_STATES
    assert {"RETRY", "FAILURE", "REVOKED"} == states.EXCEPTION_STATES
    assert state("PENDING") < state("STARTED") < state("PROGRESS") < state("SUCCESS")
    assert state("SUCCESS") >= state("FAILURE") >= state("FAILURE")
    assert not state("RETRY") > state("STARTED")
    assert state("PENDING") <= state("RETRY")


def test_backend_and_connection(app: Celery, task: Any) -> None:
    result = task.delay(1)
    run_pending(app.native)
    assert (app.backend.get_state(result.id), app.backend.get_result(result.id)) == ("SUCCESS", 2)
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=3)
        assert connection.connected
        assert connection.as_uri().startswith("memory://")
    with pytest.raises(NotSupported, match="store_result"):
        app.backend.store_result(result.id, 1, "SUCCESS")
