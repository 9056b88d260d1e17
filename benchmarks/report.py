"""From measurements to one table with ratios: `page`. Figures are medians of the repeats, with the range where it is ours."""

from __future__ import annotations

import datetime
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import machine
import venvs
from stage import HERE, Variant

Rows = list[dict[str, Any]]
DOCS = HERE.parent / "docs/explanation/benchmarks.md"
HEAD = ["case", "Tidewheel, SQLite", "Celery, Redis", "huey, SQLite", "bare SQLite", "× better than Celery", "of the bare engine", "target"]
BEGIN, END = "<!-- the table: python benchmarks/run.py --docs -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure of a case, and what is promised of it. Peers stand in the columns."""

    what: str
    case: str
    figure: str
    digits: int = 0
    ours: str = "tidewheel"
    celery: str = "celery"
    huey: str = "huey"
    engine: str | None = None
    """The bare engine's case with the same meaning."""
    more: bool = False
    """More is better."""
    worst: bool = False
    """Tell the worst repeat, not the median."""
    target: str = ""
    met: Callable[[dict[str, float | None]], bool] | None = None
    """From ours, celery, bare and without (the same figure without delayed jobs)."""


LINES = [
    Line("A enqueue one by one, µs", "A", "us", engine="A", target="≤ 1.5 × bare", met=lambda f: f["ours"] <= 1.5 * f["bare"]),
    Line("A the same, median call, µs", "A", "p50", engine="A"),
    Line("A in bulk of 1000, per s", "A-bulk", "per_s", engine="A-bulk", more=True),
    Line("B drain without results, per s", "B", "per_s", engine="B", more=True),
    Line("B drain with results, per s", "B-results", "per_s", engine="B", more=True, target="≥ 20 × Celery, ≥ 15 % of bare",
         met=lambda f: f["ours"] >= 20 * f["celery"] and f["ours"] >= 0.15 * f["bare"]),
    Line("B the same; bare SQLite syncs what it settles, too", "B-results", "per_s", celery="", huey="", engine="B-synced", more=True),
    Line("B without results, -c 1, per s", "B", "per_s", ours="tidewheel-c1", celery="", huey="", engine="B", more=True),
    Line("B with results, -c 1, per s", "B-results", "per_s", ours="tidewheel-c1", celery="", huey="", engine="B", more=True),
    Line("B CPU of the worker a job, without results, µs", "B", "us"),
    Line("B CPU of the worker a job, with results, µs", "B-results", "us"),
    Line("B of this in the main process, with results, µs", "B-results", "main_us"),
    Line("C enqueue → start at 50/s, p50, ms", "C", "p50", 2, target="≤ 2", met=lambda f: f["ours"] <= 2),
    Line("C the same, p99, ms", "C", "p99", 2, target="≤ 8", met=lambda f: f["ours"] <= 8),
    Line("D round trip with result, p50, ms", "D", "p50", 2),
    Line("D the same, p99, ms", "D", "p99", 2),
    Line("E idle, two executors: PSS, MiB", "E", "pss", 1, target="≤ 60", met=lambda f: f["ours"] <= 60),
    Line("E idle: CPU, % of one core", "E", "cpu", 3, target="< 0.3", met=lambda f: f["ours"] < 0.3),
    Line("E idle: wake-ups per s", "E", "wakeups", 1),
    Line("F start of the worker → first job, s", "F", "s", 3, target="≤ 0.5", met=lambda f: f["ours"] <= 0.5),
    Line("G kill -9 in the middle: jobs lost (worst)", "G", "lost", worst=True, target="0", met=lambda f: f["ours"] == 0),
    Line("G run twice: running or not yet settled when killed (worst)", "G", "twice", worst=True),
    Line("G restart → what was cut runs again, s", "G", "back_s", 2),
    Line("H 100,000 delayed by an hour: bytes each", "H", "bytes"),
    *[
        Line(f"H {what}, beside them", "H", figure, digits, more=more, target=target, met=met)
        for what, figure, digits, more, target, met in [
            ("drain without results, per s", "per_s", 0, True, "no effect", lambda f: f["ours"] >= 0.85 * f["without"]),
            ("enqueue → start, p50, ms", "p50", 2, False, "no effect", lambda f: f["ours"] <= 1.25 * f["without"] + 0.1),
            ("PSS of the worker, MiB", "pss", 1, False, "no effect", lambda f: f["ours"] <= 1.05 * f["without"] + 1),
            ("start → first job, s", "first_s", 3, False, "no effect", lambda f: f["ours"] <= 1.25 * f["without"] + 0.02),
        ]
    ],
    Line("I 2000 sleeps of 50 ms, 100 at once, threads, s (ideal 1.0)", "I", "s", 2,
         ours="tidewheel-threads", celery="celery-threads", huey="huey-threads"),
    Line("I the same, async def on asyncio, s", "I", "s", 2, ours="tidewheel-asyncio", celery="", huey=""),
]  # fmt: skip


def values(rows: Rows, variant: str, case: str | None, figure: str) -> list[float]:
    return [r[figure] for r in rows if r["variant"] == variant and r["case"] == case and r.get(figure) is not None]


def number(x: float | None, digits: int) -> str:
    return "" if x is None else f"{x:,.{digits}f}"


def ratio(x: float) -> str:
    return f"{x:,.0f}" if x >= 10 else f"{x:.1f}" if x >= 2 else f"{x:.2f}"


def cells(line: Line, rows: Rows) -> list[str] | None:
    """One line of the table; None when it was not measured."""

    def one(variant: str, case: str | None = line.case) -> float | None:
        found = values(rows, variant, case, line.figure)
        return None if not found else max(found) if line.worst else statistics.median(found)

    found = {"ours": one(line.ours), "celery": one(line.celery), "huey": one(line.huey), "bare": one("engine", line.engine)}
    without = one(line.ours, "H-without") if line.case == "H" else None
    ours, celery, bare = found["ours"], found["celery"], found["bare"]
    if ours is None and celery is None and found["huey"] is None:
        return None
    mine = values(rows, line.ours, line.case, line.figure)
    text = number(ours, line.digits)
    if len(mine) > 1 and not line.worst:
        text += f" ({number(min(mine), line.digits)}–{number(max(mine), line.digits)})"
    if without is not None:
        text += f"; without them {number(without, line.digits)}"
    better = of_bare = verdict = ""
    if ours and celery and not line.worst:
        better = ratio(ours / celery if line.more else celery / ours)
    if ours and bare:
        of_bare = f"{ours / bare:.0%}" if line.more else f"{ours / bare:.2f} ×"
    if line.target and ours is not None and line.met is not None:
        try:
            verdict = line.target + (" ✓" if line.met({**found, "without": without}) else " **missed**")
        except TypeError:  # what it is compared with was not measured
            verdict = line.target
    peers = [number(found[k], line.digits) for k in ("celery", "huey", "bare")]
    return [line.what, text, *peers, better, of_bare, verdict]


def page(rows: Rows, chosen: Sequence[Variant], *, minutes: float) -> str:
    """The table in Markdown, with what is needed to read it."""
    lines = [c for c in (cells(line, rows) for line in LINES) if c is not None]
    repeats = max((len(values(rows, v.name, c, "took")) for v in chosen for c in ("A", "B", "C", "D", "E", "G", "I")), default=0)
    noise = [r["others"] for r in rows if "others" in r]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip() or "no commit"
    dirty = subprocess.run(["git", "status", "--porcelain", "src"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    peers = list(dict.fromkeys(v.adapter.VENV for v in chosen))
    out = [
        f"{datetime.date.today()}, {machine.describe()}. Tidewheel at {commit}{' with changes' if dirty else ''}; {venvs.versions(peers)}.",
        f"Medians of {repeats} interleaved repeats (range in brackets) in {minutes:.0f} minutes; other programs used "
        f"{statistics.median(noise) if noise else 0:.2f} of the cores (median; at most {max(noise, default=0):.2f}).",
        "",
        "| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|",
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


def into_docs(text: str) -> None:
    """Put the table between the two marks of the documentation's page."""
    before, found, rest = DOCS.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{DOCS} has no place for the table: it needs the lines {BEGIN} and {END}")
    DOCS.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
