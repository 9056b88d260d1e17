"""Calling tasks: wrong arguments are the checker's business, not the worker's. See declare.py for how these files work."""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine
from typing import Any, assert_type

from declare import add, app, arows, crawl, fetch, rows, send

from tidewheel import Result, Retry
from tidewheel.core.job import State
from tidewheel.errors import ErrorRecord
from tidewheel.task import Call


def wrong_arguments() -> None:
    add.delay("1")  # type: ignore[arg-type]
    add.delay()  # type: ignore[call-arg]
    add.delay(1, 2, 3)  # type: ignore[call-arg]
    add.delay(1, z=2)  # type: ignore[call-arg]
    send.delay("a@b")  # type: ignore[call-arg]
    send.delay("a@b", "subject")  # type: ignore[call-arg]
    fetch.delay(b"u")  # type: ignore[arg-type]
    crawl.delay("u", depth="3")  # type: ignore[arg-type]
    rows.delay(3)  # type: ignore[arg-type]
    rows.delay()  # type: ignore[call-arg]
    arows.delay(None)  # type: ignore[arg-type]
    add("1")  # type: ignore[arg-type]


def calling_directly() -> None:
    assert_type(add(1), int)
    assert_type(rows("p"), int)


async def in_async_code() -> None:
    assert_type(await add.adelay(1, y=2), Result[int])
    assert_type(await fetch.adelay("u"), Result[str])
    coroutine: Coroutine[Any, Any, str] = fetch("u")
    assert_type(await coroutine, str)
    assert_type(await (await crawl.adelay("u")), list[str])
    result = await add.adelay(1)
    assert_type(await result, int)
    assert_type(await result.aget(), int)
    await add.adelay("1")  # type: ignore[arg-type]
    await fetch.adelay()  # type: ignore[call-arg]


def using_keeps_the_types() -> None:
    urgent = add.using(priority=100, countdown=3, retry=Retry(2), key="k", expires=None)
    assert_type(urgent.delay(1), Result[int])
    urgent.delay("1")  # type: ignore[arg-type]
    assert_type(fetch.using(queue="web").delay("u"), Result[str])
    assert_type(arows.using(queue="web").delay("p"), Result[int])
    add.using(priority="high")  # type: ignore[arg-type]
    add.using(qeue="mail")  # type: ignore[call-arg]
    add.using(eta=30)  # type: ignore[arg-type]


def many() -> None:
    assert_type(add.map([1, 2]), list[Result[int]])
    assert_type(add.starmap([(1, 2), (3, 4)]), list[Result[int]])
    assert_type(add.call(1), Call[int])
    add.call("1")  # type: ignore[arg-type]
    app.publish_many([add.call(1), send.call("a@b", subject="x")])
    app.publish_many([add])  # type: ignore[list-item]


def results() -> None:
    result = add.delay(1)
    assert_type(result.get(), int)
    assert_type(result.get(timeout=3), int)
    assert_type(result.state, State)
    assert_type(result.error, ErrorRecord | None)
    assert_type(result.id, str)
    text: str = result.get()  # type: ignore[assignment]
    wider: Result[object] = result
    assert text != wider


def in_a_transaction(connection: sqlite3.Connection) -> None:
    with app.transaction(connection) as same:
        assert_type(same, sqlite3.Connection)
        assert_type(add.using(tx=connection).delay(1), Result[int])
