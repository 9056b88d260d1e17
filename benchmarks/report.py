"""From measurements to a page with one table: `page`; and into the documentation."""

from __future__ import annotations

import datetime
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Sequence

import machine
import summary
import venvs
from stage import HERE, Variant
from table import Rows, Table, cells, values

DOCS = HERE.parent / "docs/explanation/benchmarks.md"


def page(table: Table, rows: Rows, chosen: Sequence[Variant], servers: Sequence[str], *, minutes: float) -> str:
    """The table in Markdown, with what is needed to read it. `servers`: the versions of those that took part."""
    lines = [c for c in (cells(table, line, rows) for line in table.lines) if c is not None]
    repeats = max((len(values(rows, v.name, c, "took")) for v in chosen for c in "ABCDEGHI"), default=0)
    noise = [r["others"] for r in rows if "others" in r]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip() or "no commit"
    dirty = subprocess.run(["git", "status", "--porcelain", "src"], cwd=HERE.parent, capture_output=True, text=True).stdout.strip()
    peers = list(dict.fromkeys(v.adapter.VENV for v in chosen))
    engine = f", SQLite {sqlite3.sqlite_version}" if table.engine == "sqlite" else ""
    versions = ", ".join([*venvs.versions(peers), *servers])
    out = [
        f"{datetime.date.today()}, {machine.describe()}{engine}. Tidewheel at {commit}{' with changes' if dirty else ''}; {versions}.",
        f"`python benchmarks/run.py {' '.join(sys.argv[1:])}`{': small sizes' if '--quick' in sys.argv else ''}. "
        f"Medians of {repeats} interleaved repeats (range in brackets) in {minutes:.0f} minutes; other programs used "
        f"{statistics.median(noise) if noise else 0:.2f} of the cores (median; at most {max(noise, default=0):.2f}).",
        "",
        "| " + " | ".join(table.head) + " |", "|---" * len(table.head) + "|",
        *("| " + " | ".join(c) + " |" for c in lines),
        "",
        *(f"- `{v.name}`: {v.note}" for v in chosen),
    ]  # fmt: skip
    out += [f"- **failed**: {r['variant']}: {r['error'].strip().splitlines()[-1][:200]}" for r in rows if r["case"] == "error"]
    cut = {(r["variant"], r["case"]): r["n"] for r in rows if r.get("complete") is False}
    out += [f"- {v} did {n:,} jobs of case {c} in the time given; its rate is that of these." for (v, c), n in cut.items()]
    later = {r["variant"]: r["later"] for r in rows if r.get("later")}
    out += [f"- {v} held {n:,} delayed jobs in case H." for v, n in later.items()]
    return "\n".join(out) + "\n"


def into_docs(table: Table, text: str) -> None:
    """Put the table between its two marks of the documentation's page, and what is made of it into the other one."""
    before, found, rest = DOCS.read_text().partition(table.begin)
    _, ended, after = rest.partition(table.end)
    if not (found and ended):
        raise SystemExit(f"{DOCS} has no place for the table: it needs the lines {table.begin} and {table.end}")
    DOCS.write_text(f"{before}{table.begin}\n\n{text}\n{table.end}{after}")
    summary.into_docs()
