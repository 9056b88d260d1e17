"""How the server looks for live jobs. A plan of ours is kept as long as the session, whatever the tables were like when it was made."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files

import psycopg
import pytest
from postgres_field import opened
from postgres_server import Server

from tidewheel.backends.postgres.store import Store

FILL = """
INSERT INTO tidewheel.job (id, published, due, state, rank, queue, task, body, worker, claim)
SELECT gen_random_uuid(), 0, 4e9, {state}, 0, 'default', 'tests.noop', 'x', {worker}, 1 FROM generate_series(1, {many})
"""
WHOLE = {"counts", "purge"}
"""Statements that are about all jobs, and the only ones that may read the table from end to end."""
ORDERED = {
    "look": {"job_due", "job_expires"},
    "promote": {"job_due"},
    "expire": {"job_expires"},
    "orphans": {"job_held"},
    "jobs": {"job_id"},
    "jobs_held": {"job_held", "job_id"},
    "jobs_named": {"job_id"},
}
"""Those that take the first few of an index and stop."""
BY_ID = {"succeed", "settle", "progress", "cancel", "take", "withdraw"}
"""Those that are given ids: any other index than that of ids goes through jobs that are somebody else's."""
SCAN = re.compile(r"(?:Seq Scan|Bitmap Heap Scan|(?:Index Scan|Index Only Scan)(?: Backward)? using (\w+)) on job\b")


def empty(server: Server) -> None:
    server.sql("TRUNCATE tidewheel.job")


def nearly_empty(server: Server) -> None:
    server.sql(FILL.format(state=1, worker="NULL", many=1) + "; ANALYZE tidewheel.job")


def scheduled(server: Server) -> None:
    """Nothing runs, and the planner knows: an index of what runs looks cheap to it."""
    server.sql(FILL.format(state=0, worker="NULL", many=20_000) + "; ANALYZE tidewheel.job")


def running(server: Server) -> None:
    server.sql(FILL.format(state=2, worker="'w' || generate_series % 7", many=20_000) + "; ANALYZE tidewheel.job")


@pytest.mark.parametrize("tables", [empty, nearly_empty, scheduled, running])
def test_no_statement_about_some_jobs_goes_through_all(server: Server, tables: Callable[[Server], None]) -> None:
    store: Store = opened(server.url).broker._store  # type: ignore[attr-defined]
    tables(server)
    names = sorted(f.name.removesuffix(".sql") for f in files("tidewheel.backends.postgres").joinpath("sql").iterdir())
    assert set(names) >= BY_ID | WHOLE | set(ORDERED)

    def plans(connection: psycopg.Connection) -> dict[str, list[str]]:
        with psycopg.RawCursor(connection) as cursor:
            found = {}
            for name in names:
                text = store.sql(name)
                many = max((int(n) for n in re.findall(rb"\$(\d+)", text)), default=0)
                cursor.execute(b"PREPARE look AS " + text)
                cursor.execute(b"EXPLAIN EXECUTE look" + (b"(" + b", ".join([b"NULL"] * many) + b")" if many else b""))
                found[name] = [line for (line,) in cursor.fetchall()]
                cursor.execute(b"DEALLOCATE look")
            return found

    bad = []
    for name, lines in store.step(plans).items():
        for line, below in zip(lines, [*lines[1:], ""], strict=True):
            scan = SCAN.search(line)
            if scan is None or name in WHOLE or scan[1] in ORDERED.get(name, set()):
                continue
            if "Index Cond" not in below or (name in BY_ID and scan[1] != "job_id"):
                bad.append(f"{name}: {line.strip()}")
    assert bad == []
