"""The bare engine: what a PostgreSQL server and psycopg do on this disk with the smallest table that could be called a queue.

`python engine_postgres.py URL MODE COUNT`, one line of JSON. It runs in Tidewheel's environment and stands beside Tidewheel in the same
run: rows of 200 bytes, one table with the one index that a queue cannot do without, one connection, the server's default durability. No due
times, no priorities, no keys, no fence; only the latency wakes anybody: a process that listens.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from typing import Any

import psycopg

BODY = b"x" * 200
TABLE = """
CREATE TABLE job(id bigserial PRIMARY KEY, queue text, state int, body bytea);
CREATE INDEX ready ON job(queue, id) WHERE state = 0;
"""
INSERT = "INSERT INTO job(queue, state, body) VALUES('default', 0, %s)"
UNNEST = "INSERT INTO job(queue, state, body) SELECT 'default', 0, unnest(%s::bytea[])"
COPY = "COPY job(queue, state, body) FROM STDIN (FORMAT BINARY)"
CLAIM = """
UPDATE job SET state = 1 WHERE id IN (
    SELECT id FROM job WHERE queue = 'default' AND state = 0 ORDER BY id FOR UPDATE SKIP LOCKED LIMIT %s
) RETURNING id, body
"""
DELETE = "DELETE FROM job WHERE id = ANY(%s)"
TELL = "WITH new AS (INSERT INTO job(queue, state, body) VALUES('default', 0, %s) RETURNING id) SELECT pg_notify('job', '') FROM new"


def insert(db: psycopg.Connection, count: int) -> dict[str, Any]:
    """One row a commit."""
    clock, times = time.perf_counter, []
    before = clock()
    for _ in range(count):
        db.execute(INSERT, (BODY,))
        now = clock()
        times.append(now - before)
        before = now
    return {"us": statistics.fmean(times) * 1e6, "p50": statistics.median(times) * 1e6}


def unnest(db: psycopg.Connection, count: int) -> dict[str, Any]:
    """1000 rows a commit."""
    started = time.perf_counter()
    for _ in range(count // 1000):
        db.execute(UNNEST, ([BODY] * 1000,))
    return {"per_s": count // 1000 * 1000 / (time.perf_counter() - started)}


def copy(db: psycopg.Connection, count: int) -> dict[str, Any]:
    """All rows in one commit."""
    started = time.perf_counter()
    with db.cursor().copy(COPY) as stream:
        stream.set_types(["text", "int4", "bytea"])
        for _ in range(count):
            stream.write_row(("default", 0, BODY))
    return {"per_s": count / (time.perf_counter() - started)}


def drain(db: psycopg.Connection, count: int) -> dict[str, Any]:
    """Claim 100 in one commit, delete them in another, until nothing is left."""
    unnest(db, count)
    started, done = time.perf_counter(), 0
    while ids := [row[0] for row in db.execute(CLAIM, (100,)).fetchall()]:
        db.execute(DELETE, (ids,))
        done += len(ids)
    return {"per_s": done / (time.perf_counter() - started), "n": done}


def latency(url: str, count: int) -> None:
    """From the call that stores and notifies in one commit, 50 times a second, to the claim by another process that listens."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        _receive(url, count, writer)
        os._exit(0)
    os.read(reader, 1)  # it listens
    with psycopg.connect(url, autocommit=True) as db:
        began = time.monotonic() + 1
        for n in range(count):
            time.sleep(max(0.0, began + n / 50 - time.monotonic()))
            db.execute(TELL, (f"{time.monotonic():.9f}".encode(),))
    os.wait()


def _receive(url: str, count: int, ready: int) -> None:
    """The other process: says the figures."""
    times: list[float] = []
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("LISTEN job")
        os.write(ready, b".")
        while len(times) < count:
            for _ in db.notifies(timeout=10, stop_after=1):
                pass
            found = db.execute(CLAIM, (2,)).fetchall()
            times += [(time.monotonic() - float(body)) * 1e3 for _, body in found]
            db.execute(DELETE, ([row[0] for row in found],))
    times.sort()
    print(json.dumps({"n": count, "p50": times[count // 2], "p99": times[count * 99 // 100]}), flush=True)


if __name__ == "__main__":
    url, mode, number = sys.argv[1:]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
        if mode != "latency":
            print(json.dumps({"insert": insert, "unnest": unnest, "copy": copy, "drain": drain}[mode](connection, int(number))))
    if mode == "latency":
        latency(url, int(number))
