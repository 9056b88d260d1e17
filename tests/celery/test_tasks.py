"""Declaring tasks, and running them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from celery_rig import TIMEOUT, Working

from tidewheel.celery import Celery, Task, current_app, current_task, shared_task
from tidewheel.celery._state import app_or_default, get_current_task
from tidewheel.celery.app.task import Context
from tidewheel.celery.exceptions import ImproperlyConfigured, NotRegistered, NotSupported
from tidewheel.celery.utils.log import get_task_logger


def test_names(app: Celery) -> None:
    @app.task
    def plain() -> None: ...

    @app.task(name="given")
    def named() -> None: ...

    def script() -> None: ...

    script.__module__ = "__main__"
    assert plain.name == f"{__name__}.plain"
    assert (named.name, app.task(script).name) == ("given", "proj.script")
    assert app.tasks["given"] is named
    assert set(app.tasks) == {plain.name, "given", "proj.script"}
    with pytest.raises(NotRegistered, match="nobody"):
        _ = app.tasks["nobody"]
    assert repr(named) == "<@task: given of proj>"
    assert (named.__name__, named.__doc__, named.__wrapped__.__name__) == ("named", None, "named")


def test_the_same_name_again_is_the_first_task(app: Celery) -> None:
    first = app.task(lambda: 1, name="twice")
    assert app.task(lambda: 2, name="twice") is first


def test_options_are_attributes(app: Celery) -> None:
    @app.task(max_retries=None, default_retry_delay=5, acks_late=True, my_own="x", throws=(KeyError,), queue="q", track_started=True)
    def f() -> None: ...

    assert (f.max_retries, f.default_retry_delay, f.acks_late, f.my_own, f.throws, f.queue) == (None, 5, True, "x", (KeyError,), "q")

    @app.task
    def g() -> None: ...

    assert (g.max_retries, g.default_retry_delay, g.acks_late, g.ignore_result, g.send_events, g.trail) == (
        3,
        180,
        False,
        False,
        True,
        True,
    )
    app.conf.task_ignore_result = True
    assert g.ignore_result is True


def test_a_task_is_still_a_function(app: Celery) -> None:
    @app.task(bind=True)
    def f(self: Any, a: int, b: int = 2) -> Any:
        return self.name, a, b, self.request.called_directly, self.request.id, list(self.request.args or ())

    assert f(1, b=3) == (f.name, 1, 3, True, None, [1])
    assert f.run(1) == (f.name, 1, 2, True, None, [])


def test_wrong_arguments_raise_where_they_are_given(app: Celery) -> None:
    @app.task(bind=True)
    def f(self: Any, a: int) -> None: ...

    @app.task(typing=False)
    def loose(a: int) -> None: ...

    for call in (f.delay, lambda: f.delay(1, 2), lambda: f.apply_async((1,), {"b": 2}), lambda: f.apply_async(kwargs={"self": 1})):
        with pytest.raises(TypeError, match=r"f\(\)"):
            call()
    assert app.native.counts() == {}
    loose.delay()
    assert app.native.counts()["celery"].ready == 1


def test_values_that_cannot_be_sent_raise_there_too(app: Celery) -> None:
    @app.task
    def f(a: object) -> None: ...

    with pytest.raises(TypeError, match=r"args\[0\]"):
        f.delay(object())


def test_annotations_convert_nothing(app: Celery, working: Working) -> None:
    @app.task
    def f(n: int) -> Any:
        return [n, type(n).__name__]

    with working(app):
        assert f.delay("5").get(TIMEOUT) == ["5", "str"]


def test_request_in_a_worker(app: Celery, working: Working) -> None:
    seen: dict[str, Any] = {}

    @app.task(bind=True)
    def f(self: Any, *args: Any, **kwargs: Any) -> str:
        r = self.request
        names = "id args kwargs retries root_id parent_id is_eager called_directly headers group chord never_heard_of reply_to shadow"
        seen.update({k: r.get(k) for k in [*names.split(), "correlation_id", "taskset"]})
        with pytest.raises(AttributeError):
            _ = r.never_heard_of
        seen.update(
            delivery=r.delivery_info,
            limits=r.timelimit,
            eta=r.eta[:2],
            expires=r.expires[:2],
            trace=r.trace,
            current=current_task.name,
            same=self.request is r,
            host=r.hostname,
        )
        assert isinstance(r, Context)
        return str(r.id)

    with working(app, queues=("special", "celery")):
        options = {"headers": {"trace": "t1"}, "shadow": "S", "reply_to": "me", "time_limit": 50, "countdown": 0.01, "expires": 100}
        result = f.apply_async((1, "two"), {"k": 3}, queue="special", **options)
        assert result.get(TIMEOUT) == result.id
    assert seen == {
        "id": result.id, "args": [1, "two"], "kwargs": {"k": 3}, "retries": 0, "root_id": result.id, "parent_id": None, "is_eager": False,
        "called_directly": False, "headers": {"trace": "t1"}, "group": None, "chord": None, "never_heard_of": None, "reply_to": "me",
        "shadow": "S", "correlation_id": result.id, "taskset": None, "trace": "t1", "current": f.name, "same": True, "host": seen["host"],
        "limits": [50, None], "eta": "20", "expires": "20",
        "delivery": {"exchange": "", "routing_key": "special", "priority": 0, "redelivered": False},
    }  # fmt: skip
    assert str(seen["host"]).startswith("celery@")
    assert get_current_task() is None
    assert f.request.id is None


def test_children_know_their_parents(app: Celery, working: Working) -> None:
    @app.task(bind=True)
    def child(self: Any) -> Any:
        return [self.request.parent_id, self.request.root_id]

    @app.task(bind=True)
    def parent(self: Any) -> Any:
        result = child.delay()
        assert self.request.children == [result]
        return result.id

    with working(app):
        result = parent.delay()
        assert app.AsyncResult(result.get(TIMEOUT)).get(TIMEOUT) == [result.id, result.id]


def test_a_task_called_by_another_is_the_current_one(app: Celery, working: Working) -> None:
    @app.task(bind=True)
    def inner(self: Any) -> Any:
        return [current_task.name, self.request.called_directly, self.request.id]

    @app.task(bind=True)
    def outer(self: Any) -> Any:
        return [inner(), current_task.name, self.request.called_directly]

    with working(app):
        assert outer.delay().get(TIMEOUT) == [[inner.name, True, None], outer.name, False]


def test_hooks_in_their_order(app: Celery, working: Working) -> None:
    told: list[Any] = []

    class Telling(Task):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            told.append(("before_start", args, kwargs))

        def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
            told.append(("on_success", retval))

        def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            told.append(("on_retry", repr(exc)))

        def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            told.append(("on_failure", repr(exc), "ZeroDivisionError" in einfo.traceback))

        def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            told.append(("after_return", status))

    @app.task(base=Telling, bind=True, default_retry_delay=0)
    def f(self: Any, how: str) -> str:
        if how == "again" and self.request.retries == 0:
            self.retry(exc=KeyError("first"))
        if how == "fail":
            1 / 0  # noqa: B018
        return how

    with working(app):
        assert f.delay(how="well").get(TIMEOUT) == "well"
        assert told == [("before_start", (), {"how": "well"}), ("on_success", "well"), ("after_return", "SUCCESS")]
        told.clear()
        with pytest.raises(ZeroDivisionError):
            f.delay("fail").get(TIMEOUT)
        assert told == [
            ("before_start", ("fail",), {}),
            ("on_failure", "ZeroDivisionError('division by zero')", True),
            ("after_return", "FAILURE"),
        ]
        told.clear()
        assert f.delay("again").get(TIMEOUT) == "again"
    assert [t[:2] for t in told] == [
        ("before_start", ("again",)), ("on_retry", "KeyError('first')"), ("before_start", ("again",)),
        ("on_success", "again"), ("after_return", "SUCCESS"),
    ]  # fmt: skip


def test_a_hook_that_raises_changes_nothing(app: Celery, working: Working, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Task):
        def on_success(self, *args: Any) -> None:
            raise RuntimeError("hook")

    @app.task(base=Broken)
    def f() -> int:
        return 1

    with working(app):
        assert f.delay().get(TIMEOUT) == 1
    assert "on_success raised" in caplog.text


def test_before_start_that_raises_is_a_failure(app: Celery, working: Working) -> None:
    class Refusing(Task):
        def before_start(self, *args: Any) -> None:
            raise ValueError("not today")

    @app.task(base=Refusing)
    def f() -> int:
        return 1

    with working(app):
        with pytest.raises(ValueError, match="not today"):
            f.delay().get(TIMEOUT)


def test_a_base_class_that_wraps_the_call(url: str, working: Working) -> None:
    """As Flask's documentation has it: an application context round each task."""
    around: list[str] = []

    class InContext(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            around.append("in")
            try:
                return super().__call__(*args, **kwargs)
            finally:
                around.append("out")

    with Celery("flask", broker=url, task_cls=InContext) as app:

        @app.task(bind=True)
        def f(self: Any) -> Any:
            return [self.request.id, self.request.called_directly]

        with working(app):
            result = f.delay()
            assert result.get(TIMEOUT) == [result.id, False]
        assert around == ["in", "out"]
        assert isinstance(f, InContext)


def test_tasks_as_classes(app: Celery, working: Working) -> None:
    class Add(app.Task):  # type: ignore[name-defined,misc]
        name = "adder"

        def run(self, a: int, b: int) -> int:
            return a + b

    add = app.register_task(Add())

    class Nameless(Task):
        def run(self) -> str:
            return str(self.name)

    nameless = app.register_task(Nameless)
    with working(app):
        assert add.delay(1, 2).get(TIMEOUT) == 3
        assert nameless.delay().get(TIMEOUT) == nameless.name == f"{__name__}.Nameless"
    with pytest.raises(TypeError):
        add.delay(1)


def test_shared_tasks_belong_to_every_app(app: Celery, url: str, working: Working) -> None:
    @shared_task(name="shared.add", max_retries=9)
    def add(a: int, b: int) -> int:
        return a + b

    @shared_task
    def plain() -> str:
        return str(current_task.app.main)

    assert app.tasks["shared.add"].max_retries == 9
    with Celery("second", broker=url) as second:
        assert add.app is second is app_or_default() is current_app._get_current_object()
        assert add.name in second.tasks
        with working(second):
            assert add.delay(2, 3).get(TIMEOUT) == 5
            assert plain.delay().get(TIMEOUT) == "second"
    assert add(1, 1) == 2


def test_the_current_app_in_another_thread(app: Celery) -> None:
    """The trap of a web server's threads: there, too, it is the app that was made last."""
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append((app_or_default(), current_app.main)))
    thread.start()
    thread.join()
    assert seen == [(app, "proj")]


def test_without_any_app() -> None:
    assert current_app.main == "default"
    assert current_app.conf.task_default_queue == "celery"


def test_async_tasks(app: Celery, working: Working) -> None:
    @app.task(bind=True, default_retry_delay=0)
    async def f(self: Any, n: int) -> Any:
        if self.request.retries < n:
            raise self.retry(exc=ValueError("again"))
        return [self.request.retries, current_task.name]

    with working(app):
        assert f.delay(2).get(TIMEOUT) == [2, f.name]
    assert f.apply((1,)).get() == [1, f.name]


def test_annotations_of_the_settings(app: Celery) -> None:
    @app.task(name="a.b")
    def f() -> None: ...

    app.conf.task_annotations = {"*": {"time_limit": 7}, "a.b": {"max_retries": 1}}
    assert app.tasks["a.b"] is f
    assert (f.time_limit, f.max_retries) == (7, 1)
    assert app.native.tasks["a.b"].declared.time_limit == 7
    assert app.task(lambda: None, name="later").time_limit == 7


@pytest.mark.parametrize(("options", "said"), [({"rate_limit": "10/m"}, "rate limits are not there yet"), ({"pydantic": True}, "pydantic")])
def test_options_that_are_not_there(app: Celery, options: dict[str, Any], said: str) -> None:
    @app.task(**options)
    def f() -> None: ...

    with pytest.raises(ImproperlyConfigured, match=said):
        f.delay()


def test_rate_limits_can_be_switched_off(app: Celery) -> None:
    @app.task(rate_limit="10/m")
    def f() -> None: ...

    app.conf.worker_disable_rate_limits = True
    f.delay()
    assert app.native.counts()["celery"].ready == 1


@pytest.mark.parametrize("method", ["chunks", "map", "starmap", "replace", "add_to_chord"])
def test_methods_that_are_not_there_say_so(app: Celery, method: str) -> None:
    task = app.task(lambda: None, name="f")
    with pytest.raises(NotSupported, match="not there yet"):
        getattr(task, method)(*([1, 2] if method == "chunks" else [1]))


def test_loggers() -> None:
    assert get_task_logger("proj.tasks").parent is not None
    assert get_task_logger("proj.tasks").parent.name == "celery.task"  # type: ignore[union-attr]


def test_task_names_from_settings_of_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, url: str) -> None:
    for package in ("shop", "crm"):
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "tasks.py").write_text(
            "from tidewheel.celery import shared_task\n@shared_task\ndef hello():\n    return 1\n" if package == "shop" else ""
        )
    (tmp_path / "extra.py").write_text("from tidewheel.celery import shared_task\n@shared_task\ndef more():\n    return 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    app = Celery("proj", broker=url, include=["extra"])
    app.autodiscover_tasks(["shop", "crm"])
    app.autodiscover_tasks(lambda: ["shop"], related_name="nothing")
    assert "shop.tasks.hello" not in app.tasks
    native = app.__tidewheel__()
    assert {"shop.tasks.hello", "extra.more"} <= set(native.tasks)
    app.close()


def test_autodiscovery_of_a_package_that_is_not_there(app: Celery) -> None:
    app.autodiscover_tasks(["no_such_package"])
    with pytest.raises(ImproperlyConfigured, match="no_such_package"):
        app.__tidewheel__()
