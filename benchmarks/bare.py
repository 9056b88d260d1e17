"""What the engine alone does, for the cases where that can be said."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import machine
from cases import Rows, Size
from services import Redis
from stage import HERE


def _answer(*command: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout)
    return answer


def sqlite(case: str, root: pathlib.Path, size: Size) -> Rows:
    def engine(mode: str, level: str, number: int) -> dict[str, Any]:
        return _answer(sys.executable, HERE / "engine_sqlite.py", root, mode, level, number)

    if case == "A":
        yield "A", engine("insert", "FULL", size.enqueue)
        yield "A-bulk", engine("fill", "FULL", size.bulk)
    if case == "B":
        yield "B", engine("drain", "NORMAL", size.drain)
        yield "B-synced", engine("drain-synced", "NORMAL", size.drain)


def redis(case: str, server: Redis, venv: pathlib.Path, size: Size) -> Rows:
    def engine(mode: str, number: int) -> dict[str, Any]:
        server.command("FLUSHALL")
        before = machine.cpu([server.process.pid])
        row = _answer(venv / "bin/python", HERE / "engine_redis.py", server.url, mode, number)
        return {**row, "redis_us": (machine.cpu([server.process.pid]) - before) / number * 1e6}

    if case == "A":
        yield "A", engine("enqueue", size.enqueue)
        yield "A-bulk", engine("fill", size.bulk)
        yield "A-together", engine("fill-together", size.bulk)
    if case == "B":
        drained = engine("drain", size.drain)
        yield "B-results", {**drained, "redis_all_us": drained.pop("redis_us")}
