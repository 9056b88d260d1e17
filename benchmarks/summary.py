"""The figures of "Which broker?": our own column of the four tables in benchmarks.md, side by side. `python benchmarks/summary.py`."""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Mapping

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from table import Table
from table_postgres import POSTGRES
from table_rabbitmq import RABBITMQ
from table_redis import REDIS
from table_sqlite import SQLITE

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs/explanation"
BEGIN = "<!-- figures: made of the tables in benchmarks.md by python benchmarks/summary.py -->"
END = "<!-- end of figures -->"
COLUMNS: Mapping[str, Table] = {"SQLite": SQLITE, "Redis": REDIS, "RabbitMQ": RABBITMQ, "PostgreSQL": POSTGRES}
LINES: Mapping[str, str] = {
    "one call of `delay()`, µs": "A enqueue one by one",
    "jobs stored in bulk, a second": "A in bulk",
    "no-ops run by one worker on two cores, a second": "B drain without results",
    "the same, their results kept (RabbitMQ: in Redis), a second": "B drain with results",
    "from the call to the start of the job, p50, ms": "C enqueue → start",
    "from the call to its result (RabbitMQ: from Redis), p50, ms": "D round trip",
    "from the start of a worker to its first job, s": "F start of the worker",
}
"""What it is called there, and how the line of the tables begins; the first that does."""


def ours(page: str, table: Table) -> dict[str, str]:
    """Our figure of each line of one table, without its range: `{what: figure}`."""
    inside = page.partition(table.begin)[2].partition(table.end)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in inside.splitlines() if line.startswith("| ")]
    return {row[0]: re.split(r"[ ;]", row[1])[0] for row in rows[1:] if len(row) > 1}


def summary(page: str) -> str:
    """The table, from the text of benchmarks.md. An engine that was not measured, or not in that, has a dash."""
    figures = {name: ours(page, table) for name, table in COLUMNS.items()}
    out = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for what, begins in LINES.items():
        cells = [next((figure for line, figure in found.items() if line.startswith(begins) and figure), "–") for found in figures.values()]
        out.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def into_docs() -> None:
    page = FOLDER / "which-broker.md"
    before, found, rest = page.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{page} has no place for the figures: it needs the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{summary((FOLDER / 'benchmarks.md').read_text())}\n\n{END}{after}")


if __name__ == "__main__":
    into_docs()
