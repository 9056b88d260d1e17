from __future__ import annotations

import gc
from typing import Any

import pytest
from celery_rig import TIMEOUT, Working

from tidewheel.celery import Celery, signals
from tidewheel.celery.exceptions import Reject
from tidewheel.celery.signals import Signal


def test_connect_send_disconnect() -> None:
    signal, seen = Signal("s"), []

    @signal.connect
    def plain(sender: Any = None, **kwargs: Any) -> str:
        seen.append(("plain", sender, kwargs["x"]))
        return "answer"

    @signal.connect(sender="a")
    def only_a(sender: Any = None, **kwargs: Any) -> None:
        seen.append(("only_a", sender, kwargs["x"]))

    assert signal.send(sender="a", x=1) == [(plain, "answer"), (only_a, None)]
    assert signal.send(sender="b", x=2) == [(plain, "answer")]
    assert seen == [("plain", "a", 1), ("only_a", "a", 1), ("plain", "b", 2)]
    assert signal.disconnect(plain)
    assert not signal.disconnect(plain)
    assert not signal.has_listeners("b")
    assert signal.has_listeners("a")
    assert signal.disconnect(only_a, sender="a")
    assert signal.send(sender="a", x=3) == []


def test_once_for_each_uid() -> None:
    signal, seen = Signal("s"), []
    for n in range(3):
        signal.connect(lambda n=n, **kw: seen.append(n), weak=False, dispatch_uid="one")
    signal.send(sender=None)
    assert seen == [0]
    assert signal.disconnect(dispatch_uid="one")


def test_weak_receivers() -> None:
    class Owner:
        def hear(self, **kwargs: Any) -> None:
            seen.append("method")

    signal, seen, owner = Signal("s"), [], Owner()
    signal.connect(owner.hear)

    def forgotten(**kwargs: Any) -> None:
        seen.append("forgotten")

    def held(**kwargs: Any) -> None:
        seen.append("held")

    signal.connect(forgotten)
    signal.connect(held, weak=False)
    del forgotten, held
    gc.collect()
    signal.send(sender=None)
    assert seen == ["method", "held"]
    del owner
    gc.collect()
    signal.send(sender=None)
    assert seen == ["method", "held", "held"]


def test_a_receiver_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    signal = Signal("s")

    @signal.connect
    def broken(**kwargs: Any) -> None:
        raise ValueError("receiver")

    ((function, answer),) = signal.send(sender=None)
    assert function is broken
    assert isinstance(answer, ValueError)
    assert "the receiver" in caplog.text


def test_those_of_a_task(app: Celery, working: Working) -> None:
    told: list[Any] = []

    def note(name: str, *fields: str) -> Any:
        def hear(sender: Any = None, **kwargs: Any) -> None:
            told.append((name, sender.name, *(kwargs[f] for f in fields)))

        getattr(signals, name).connect(hear, weak=False)

    note("task_received")
    note("task_prerun", "task_id", "args", "kwargs")
    note("task_success", "result")
    note("task_postrun", "task_id", "retval", "state")
    note("task_failure", "task_id", "exception")
    note("task_retry", "reason")
    note("task_rejected", "exc")

    @app.task(name="f", bind=True)
    def f(self: Any, how: str) -> str:
        if how == "retry" and not self.request.retries:
            self.retry(countdown=0, exc=KeyError("r"))
        if how == "fail":
            raise ValueError("v")
        if how == "reject":
            raise Reject("no")
        return how

    def named(*names: str) -> list[Any]:
        found = [t for t in told if t[0] in names]
        told.clear()
        return found

    with working(app):
        a = f.delay(how="well")
        a.get(TIMEOUT)
        assert told == [
            ("task_received", "f"), ("task_prerun", "f", a.id, (), {"how": "well"}), ("task_success", "f", "well"),
            ("task_postrun", "f", a.id, "well", "SUCCESS"),
        ]  # fmt: skip
        told.clear()
        b = f.delay("fail")
        b.get(TIMEOUT, propagate=False)
        (failure,) = named("task_failure")
        assert failure[:3] == ("task_failure", "f", b.id)
        assert isinstance(failure[3], ValueError)
        f.delay("retry").get(TIMEOUT)
        (retry,) = named("task_retry")
        assert isinstance(retry[2].exc, KeyError)
        f.delay("reject").get(TIMEOUT, propagate=False)
        (reject,) = named("task_rejected")
        assert isinstance(reject[2], Reject)


def test_a_sender_of_ones_own(app: Celery, working: Working) -> None:
    told: list[Any] = []

    @app.task(name="a")
    def a() -> None: ...

    @app.task(name="b")
    def b() -> None: ...

    @signals.task_success.connect(sender=a)
    def hear(sender: Any = None, **kwargs: Any) -> None:
        told.append(sender.name)

    with working(app):
        b.delay().get(TIMEOUT)
        a.delay().get(TIMEOUT)
    assert told == ["a"]


def test_publishing(app: Celery, working: Working) -> None:
    told: list[Any] = []

    @app.task(name="f", bind=True)
    def f(self: Any, a: int) -> Any:
        return [self.request.headers, self.request.tenant]

    @signals.before_task_publish.connect(sender="f")
    def before(sender: Any = None, headers: Any = None, body: Any = None, routing_key: str = "", properties: Any = None, **kw: Any) -> None:
        told.append((sender, headers["task"], headers["id"], list(body[0]), body[1], routing_key, properties["correlation_id"]))
        headers["tenant"] = "t1"

    @signals.after_task_publish.connect
    def after(sender: Any = None, headers: Any = None, routing_key: str = "", **kw: Any) -> None:
        told.append((sender, headers["id"], routing_key, app.native.browse().job(headers["id"]) is not None))

    with working(app):
        result = f.apply_async((1,), headers={"own": "h"}, queue="celery")
        assert result.get(TIMEOUT) == [{"own": "h", "tenant": "t1"}, "t1"]
    assert told == [("f", "f", result.id, [1], {}, "celery", result.id), ("f", result.id, "celery", True)]


def test_internal_errors(app: Celery, working: Working) -> None:
    told: list[Any] = []

    class Broken(app.Task):  # type: ignore[name-defined,misc]
        def on_success(self, *args: Any) -> None:
            raise RuntimeError("hook")

    @signals.task_internal_error.connect
    def hear(sender: Any = None, exception: Any = None, **kwargs: Any) -> None:
        told.append((sender.name, str(exception)))

    @app.task(base=Broken, name="f")
    def f() -> None: ...

    with working(app):
        f.delay().get(TIMEOUT)
    assert told == [("f", "hook")]


def test_of_the_app(url: str) -> None:
    told: list[str] = []
    with Celery("p", broker=url) as app:
        app.on_after_configure.connect(lambda sender, **kw: told.append("configured"), weak=False)
        app.on_after_finalize.connect(lambda sender, **kw: told.append("finalized"), weak=False)
        signals.import_modules.connect(lambda sender, **kw: told.append("imported"), weak=False)
        app.config_from_object({"timezone": "UTC"})
        assert told == []
        app.__tidewheel__()
        app.__tidewheel__()
    assert told == ["configured", "imported", "finalized"]


def test_setup_of_periodic_tasks(url: str) -> None:
    """The way of Celery's documentation: entries are added when the app is configured."""
    with Celery("p", broker=url) as app:

        @app.task(name="hello")
        def hello(who: str) -> None: ...

        @app.on_after_configure.connect
        def setup(sender: Any, **kwargs: Any) -> None:
            sender.add_periodic_task(10.0, hello.s("world"), name="every ten")

        app.config_from_object({"timezone": "UTC"})
        app.__tidewheel__()
        entry = app.beat_entries()["every ten"]
        assert (entry["task"], entry["args"], entry["schedule"].seconds) == ("hello", ("world",), 10)


def test_a_signal_that_is_never_sent_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        signals.beat_init.connect(lambda **kw: None, weak=False)
    assert "beat_init is never sent here" in caplog.text
