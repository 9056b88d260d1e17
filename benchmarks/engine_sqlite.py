"""The bare engine: what SQLite alone does on this disk, with the standard library and no queue around it.

`python engine_sqlite.py FOLDER MODE …`, one line of JSON. It stands beside Tidewheel in the same run, so that its ratio can be told: a row
as small as a job's, the same journal mode, one table with the one index that a queue cannot do without.
"""

from __future__ import annotations

import functools
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from typing import Any

BODY = b"x" * 200
INSERT = "INSERT INTO job(queue, state, due, body) VALUES('default', 0, 0.0, ?)"
CLAIM = (
    "UPDATE job SET state = 1 WHERE id IN (SELECT id FROM job WHERE queue = 'default' AND state = 0 ORDER BY id LIMIT ?) RETURNING id, body"
)


def database(folder: str, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(folder + "/bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={synchronous}")
    db.execute("CREATE TABLE job(id INTEGER PRIMARY KEY, queue TEXT, state INTEGER, due REAL, body BLOB)")
    db.execute("CREATE INDEX ready ON job(queue, id) WHERE state = 0")
    return db


def insert(db: sqlite3.Connection, count: int) -> dict[str, Any]:
    """One row a commit."""
    clock, times = time.perf_counter, []
    before = clock()
    for _ in range(count):
        db.execute(INSERT, (BODY,))
        now = clock()
        times.append(now - before)
        before = now
    return {"us": statistics.fmean(times) * 1e6, "p50": statistics.median(times) * 1e6}


def fill(db: sqlite3.Connection, count: int) -> dict[str, Any]:
    """1000 rows a commit."""
    started = time.perf_counter()
    for _ in range(count // 1000):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(INSERT, [(BODY,)] * 1000)
        db.execute("COMMIT")
    return {"per_s": count // 1000 * 1000 / (time.perf_counter() - started)}


def drain(db: sqlite3.Connection, count: int, *, synced: bool = False) -> dict[str, Any]:
    """Claim 100 in one commit, delete them in another, until nothing is left. `synced`: the second commit reaches the disk."""
    fill(db, count)
    started, done = time.perf_counter(), 0
    while ids := [(row[0],) for row in db.execute(CLAIM, (100,)).fetchall()]:
        if synced:
            db.executescript("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        db.executemany("DELETE FROM job WHERE id = ?", ids)
        db.execute("COMMIT")
        if synced:
            db.executescript("PRAGMA synchronous=NORMAL")
        done += len(ids)
    return {"per_s": done / (time.perf_counter() - started), "n": done}


if __name__ == "__main__":
    root, mode, level, number = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=root) as inside:
        modes = {"insert": insert, "fill": fill, "drain": drain, "drain-synced": functools.partial(drain, synced=True)}
        print(json.dumps(modes[mode](database(inside, level), int(number))))
