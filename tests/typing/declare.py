"""Declaring tasks: what the checker knows of them. Only checked, never run, by mypy --strict and by pyright in strict mode.

A `type: ignore[…]` here is a claim: this line is wrong, and the checker says so. Both are set to complain about an ignore that
nothing needs, so a line that began to pass would fail the check.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from tidewheel import Context, Result, Retry, Task, Tidewheel
from tidewheel.task import AsyncTask

app = Tidewheel()


@app.task
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(queue="mail", retry=Retry(5, on=(OSError,), delay=1), time_limit=timedelta(minutes=1))
def send(to: str, *, subject: str) -> None: ...


@app.task
async def fetch(url: str) -> str:
    return url


@app.task(priority=3)
async def crawl(url: str, depth: int = 1) -> list[str]:
    return [url] * depth


@app.task(context=True)
def rows(job: Context, path: str) -> int:
    return len(path) + job.attempt


@app.task(context=True, retry=3)
async def arows(job: Context, path: str) -> int:
    return len(path) + job.attempt


def declared() -> None:
    assert_type(add.delay(1, 2), Result[int])
    assert_type(send.delay("a@b", subject="x"), Result[None])
    assert_type(fetch.delay("u"), Result[str])
    assert_type(crawl.delay("u", 3), Result[list[str]])
    assert_type(rows.delay("p"), Result[int])
    assert_type(arows.delay("p"), Result[int])


def kinds() -> tuple[Task[..., int], AsyncTask[..., str]]:
    return add, fetch


app.task(queue=3)  # type: ignore[call-overload]
app.task(qeue="mail")  # type: ignore[call-overload]
app.task(context="yes")  # type: ignore[call-overload]


@app.task(context=True)  # type: ignore[arg-type]
def no_context(path: str) -> int:
    return len(path)
