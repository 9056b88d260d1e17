"""Publishing after a commit, and in one: arguments are checked as those of `delay` are. See declare.py for how these files work."""

from __future__ import annotations

import sqlite3
from typing import Any, assert_type

import psycopg
from declare import add, app, fetch, rows, send

from tidewheel import Result
from tidewheel.django import on_commit


def publishing() -> None:
    assert_type(on_commit(add, 1, y=2), str)
    on_commit(fetch, "u")
    on_commit(rows.using(countdown=3), "p")
    on_commit(send, "a@b", subject="s")


def wrong() -> None:
    on_commit(add, "1")  # type: ignore[arg-type]
    on_commit(add)  # type: ignore[call-arg]
    on_commit(send, "a@b")  # type: ignore[call-arg]
    on_commit(add.delay, 1)  # type: ignore[arg-type]


def in_one_commit(blocking: psycopg.Connection[Any], file: sqlite3.Connection, anything: Any) -> None:
    with app.transaction(blocking) as same:
        assert_type(same, psycopg.Connection[Any])
        add.using(tx=blocking).delay(1)
    with app.transaction(file) as there:
        assert_type(there, sqlite3.Connection)
    with app.transaction(anything):
        add.delay(1)


async def in_one_commit_that_is_awaited(awaited: psycopg.AsyncConnection[Any], blocking: psycopg.Connection[Any], anything: Any) -> None:
    async with app.transaction(awaited) as same:
        assert_type(same, psycopg.AsyncConnection[Any])
        assert_type(await add.using(tx=awaited).adelay(1), Result[int])
    async with app.transaction(anything):
        await add.adelay(1)
    # Only pyright looks at the bound of a `self`; who uses mypy is told when it runs.
    with app.transaction(awaited):  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with app.transaction(blocking):  # pyright: ignore[reportGeneralTypeIssues]
        pass
