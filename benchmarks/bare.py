"""What the engine alone does, for the cases where that can be said."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

from cases import Rows, Size
from services import Service
from stage import HERE

MODES = {
    "redis": {"A": (("A", "enqueue"), ("A-bulk", "fill"), ("A-together", "fill-together")), "B": (("B-results", "drain"),)},
    "postgres": {"A": (("A", "insert"), ("A-bulk", "unnest"), ("A-copy", "copy")), "B": (("B", "drain"),), "C": (("C", "latency"),)},
    "rabbitmq": {"A": (("A", "confirmed"), ("A-bulk", "burst")), "B": (("B", "drain"),), "C": (("C", "latency"),)},
}
"""What each engine_*.py is asked for in a case, and under which name it is told."""


def _answer(*command: object) -> dict[str, Any]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the bare engine failed: {done.stderr[-1500:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
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


def served(case: str, server: Service, venv: pathlib.Path, size: Size) -> Rows:
    """An engine that is a server, with the client that Tidewheel uses, too."""
    for label, mode in MODES[server.name].get(case, ()):
        number = size.enqueue if label == "A" else {"A": size.bulk, "B": size.drain, "C": size.paced}[case]
        url, before = server.fresh(), server.cpu()
        row = _answer(venv / "bin/python", HERE / f"engine_{server.name}.py", url, mode, number)
        used = (server.cpu() - before) / number * 1e6
        yield label, {**row, "broker_all_us" if case == "B" else "broker_us": used}
