"""The snippets of the documentation that need a PostgreSQL server; the other ones run in tests/docs."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import psycopg
import pytest
from pages import PAGES, Block, blocks

from tidewheel import Tidewheel
from tidewheel.testing import run_pending

NEEDS = "it needs a PostgreSQL server"
WHERE = "postgresql://localhost/site"
FOUND = [(page, block) for page in PAGES for block in blocks(page.read_text()) if block.why_not == NEEDS]


def test_there_are_some() -> None:
    assert {page.name for page, _ in FOUND} == {"transactions.md"}


@pytest.mark.parametrize("block", [pytest.param(block, id=f"{page.name}:{block.line}") for page, block in FOUND])
def test_it_runs(block: Block, url: str) -> None:
    with psycopg.connect(url) as data:
        data.execute("CREATE TABLE account (name text PRIMARY KEY)")
    with Tidewheel(url) as app:
        greeted: list[str] = []
        space: dict[str, Any] = {"app": app, "welcome": app.task(name="welcome")(greeted.append)}
        assert WHERE in block.text
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block.text.replace(WHERE, url), "page", "exec"), space)  # noqa: S102 our own page
        assert run_pending(app) == len(greeted) > 0
    with psycopg.connect(url) as data:
        assert {name for (name,) in data.execute("SELECT name FROM account")} == set(greeted)
