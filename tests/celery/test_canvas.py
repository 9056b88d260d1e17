from __future__ import annotations

from typing import Any

import pytest
from celery_rig import TIMEOUT, Working

from tidewheel.celery import Celery, Signature, chain, chord, chunks, group, maybe_signature, signature, subtask, xmap
from tidewheel.celery.exceptions import NotSupported
from tidewheel.testing import run_pending


@pytest.fixture
def add(app: Celery) -> Any:
    @app.task(name="add")
    def add(*args: int, **kwargs: Any) -> Any:
        return sum(args) + sum(kwargs.values())

    return add


def test_a_signature_is_a_dict(add: Any, app: Celery) -> None:
    s = add.s(1, z=2)
    assert dict(s) == {"task": "add", "args": (1,), "kwargs": {"z": 2}, "options": {}, "subtask_type": None, "immutable": False}
    assert (s.task, s.name, s.args, s.kwargs, s.options, s.immutable, s.type) == ("add", "add", (1,), {"z": 2}, {}, False, add)
    assert repr(s) == "add(1, z=2)"
    assert (
        signature("add", args=(1,), kwargs={"z": 2})
        == s
        == app.signature("add", (1,), {"z": 2})
        == subtask(s)
        == Signature.from_dict(dict(s))
    )
    assert maybe_signature(dict(s), app) == s
    assert maybe_signature(None) is None
    assert maybe_signature(s) is s


def test_more_arguments(add: Any) -> None:
    s = add.s(2, z=1)
    assert (s.clone((1,), {"y": 5}).args, s.clone((1,), {"y": 5}).kwargs) == ((1, 2), {"z": 1, "y": 5})
    assert s.set(countdown=10, queue="q") is s
    assert s.clone(countdown=5).options == {"countdown": 5, "queue": "q"}
    assert s.options == {"countdown": 10, "queue": "q"}
    assert s.replace(args=(9,)).args == (9,)
    frozen = add.si(3)
    assert frozen.clone((1,), {"x": 1}).args == (3,)
    assert (s(10), frozen(10)) == (13, 3)
    assert add.signature((1,), countdown=3).options["countdown"] == 3
    assert add.subtask((1,), immutable=True).immutable


def test_sending(app: Celery, add: Any, working: Working) -> None:
    with working(app):
        assert add.s(1, 2).delay().get(TIMEOUT) == 3
        assert add.s(1).apply_async((2,), {"z": 3}).get(TIMEOUT) == 6
        assert add.s(1).delay(2, z=3).get(TIMEOUT) == 6
        assert add.si(1).delay(2).get(TIMEOUT) == 1
        assert ~add.s(2, 2) == 4
        s = add.s(5)
        result = s.freeze()
        assert s.id == result.id == s.apply_async().id
        assert result.get(TIMEOUT) == 5
        assert signature("add", (1, 1), app=app).apply_async().get(TIMEOUT) == 2
    assert app.signature("elsewhere", (1,)).apply_async(queue="far").id


def test_a_link_is_published_when_the_task_has_succeeded(app: Celery, working: Working) -> None:
    seen: list[Any] = []

    @app.task(name="after", bind=True)
    def after(self: Any, *args: Any) -> None:
        seen.append((args, self.request.parent_id, self.request.root_id))

    @app.task(name="first")
    def first(n: int) -> int:
        return n + 1

    result = first.apply_async((1,), link=[after.s("a"), after.si("b")], link_error=after.si("never"))
    assert run_pending(app.native) == 3
    assert sorted(seen, key=repr) == [(("b",), result.id, result.id), ((2, "a"), result.id, result.id)]
    seen.clear()
    s = first.s(5)
    s.link(after.s())
    s.link(after.s())
    assert len(s.options["link"]) == 1
    assert [x.task for x in s.flatten_links()] == ["first", "after"]
    s.delay()
    run_pending(app.native)
    assert [x[0] for x in seen] == [(6,)]


def test_a_link_with_links_of_its_own(app: Celery) -> None:
    seen: list[Any] = []

    @app.task(name="add")
    def add(a: int, b: int) -> int:
        seen.append(a + b)
        return a + b

    add.apply_async((1, 1), link=add.signature((10,), options={"link": [add.s(100)]}))
    assert run_pending(app.native) == 3
    assert seen == [2, 12, 112]


def test_links_keep_values_and_options(app: Celery) -> None:
    from datetime import datetime, timezone

    when = datetime(2030, 1, 2, tzinfo=timezone.utc)
    seen: list[Any] = []

    @app.task(name="after")
    def after(*args: Any) -> None:
        seen.append(args)

    @app.task(name="first")
    def first() -> bytes:
        return b"\x00raw"

    first.apply_async(link=after.s(when, b"bytes").set(queue="special", countdown=0))
    run_pending(app.native, queues=("celery", "special"))
    assert seen == [(b"\x00raw", when, b"bytes")]


def test_a_retried_task_links_once(app: Celery) -> None:
    seen: list[Any] = []

    @app.task(name="after")
    def after(value: Any) -> None:
        seen.append(value)

    @app.task(name="first", bind=True)
    def first(self: Any) -> int:
        if self.request.retries < 2:
            self.retry(countdown=0)
        return int(self.request.retries)

    first.apply_async(link=after.s())
    assert run_pending(app.native) == 4
    assert seen == [2]


def test_link_error(app: Celery) -> None:
    seen: list[Any] = []

    @app.task(name="by_id")
    def by_id(task_id: str) -> None:
        seen.append(("by_id", task_id, app.AsyncResult(task_id).state))

    @app.task(name="inline")
    def inline(request: Any, exc: Any, traceback: Any, extra: str = "") -> None:
        seen.append(("inline", request.id, repr(exc), "ZeroDivisionError" in traceback, extra))

    @app.task(name="bad")
    def bad() -> None:
        1 / 0  # noqa: B018

    result = bad.apply_async(link_error=[by_id.s(), inline.s("more")], link=by_id.s())
    assert run_pending(app.native) == 2
    assert seen == [("inline", result.id, "ZeroDivisionError('division by zero')", True, "more"), ("by_id", result.id, "FAILURE")]
    seen.clear()
    bad.s().on_error(by_id.si("given")).delay()
    run_pending(app.native)
    assert seen == [("by_id", "given", "PENDING")]


def test_a_callback_that_cannot_be_sent_is_logged(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(name="after")
    def after(value: Any) -> None: ...

    @app.task(name="first")
    def first() -> object:
        return object()

    result = first.apply_async(link=after.s())
    run_pending(app.native)
    assert result.state == "SUCCESS"
    assert "callback after()" in caplog.text


@pytest.mark.parametrize("make", [chain, group, chord, chunks, xmap])
def test_what_is_not_there_yet_says_so(make: Any) -> None:
    with pytest.raises(NotSupported, match=rf"{make.__name__} is not there yet: \w+"):
        make([1, 2])
    assert issubclass(NotSupported, NotImplementedError)


def test_the_pipe_is_not_there_yet(add: Any) -> None:
    with pytest.raises(NotSupported, match="chain"):
        _ = add.s(1) | add.s(2)


def test_a_stored_chain_is_refused_by_name() -> None:
    with pytest.raises(NotSupported, match="chain is not there yet"):
        signature({"task": "celery.chain", "args": [], "kwargs": {}, "options": {}, "subtask_type": "chain", "immutable": False})
