"""What a table is made of: columns, lines, targets; and how measurements fill a line.

Figures are medians of the repeats, with the range where it is ours.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Rows = Sequence[Mapping[str, Any]]
Figures = Mapping[str, float | None]
"""`ours`, each peer by its name, `best` (of these), `bare`, and `without` (ours without delayed jobs). None: not measured."""


@dataclass(frozen=True)
class Target:
    text: str
    met: Callable[[Any], bool]
    """From the figures; a TypeError, because one is None, says that it cannot be told."""

    def verdict(self, figures: Figures) -> str:
        try:
            return self.text + (" ✓" if self.met(figures) else " **missed**")
        except TypeError:
            return self.text


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure of a case, and what is promised of it. Peers stand in the columns."""

    what: str
    case: str
    figure: str
    digits: int = 0
    ours: str | None = None
    """The variant of ours, if not the table's."""
    peers: Mapping[str, str] | None = None
    """The variants in the peers' columns, if not those that bear their names."""
    instead: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """A peer that has no such case: which one it is measured by, and what to say of that."""
    engine: str | None = None
    """The bare engine's case with the same meaning."""
    more: bool = False
    """More is better."""
    worst: bool = False
    """Tell the worst repeat, not the median."""
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Table:
    """One engine's table."""

    engine: str
    ours: str
    peers: tuple[str, ...]
    """Besides the first, which is Celery, `best` looks at the others."""
    head: tuple[str, ...]
    lines: tuple[Line, ...]
    begin: str
    end: str
    """Between these two the documentation's page has the table."""
    best: bool = False
    """There is a column for the ratio to the best peer but Celery."""


def values(rows: Rows, variant: str, case: str | None, figure: str) -> list[float]:
    return [r[figure] for r in rows if r["variant"] == variant and r["case"] == case and r.get(figure) is not None]


def number(x: float | None, digits: int) -> str:
    return "" if x is None else f"{x:,.{digits}f}"


def ratio(x: float) -> str:
    return f"{x:,.0f}" if x >= 10 else f"{x:.1f}" if x >= 2 else f"{x:.2f}"


def cells(table: Table, line: Line, rows: Rows) -> list[str] | None:
    """One line of the table; None when it was not measured."""

    def one(variant: str, case: str | None = line.case) -> float | None:
        found = values(rows, variant, case, line.figure)
        return None if not found else max(found) if line.worst else statistics.median(found)

    name = line.ours or table.ours
    stands_for = dict(zip(table.peers, table.peers)) if line.peers is None else line.peers
    peers = {p: one(stands_for.get(p, ""), line.instead.get(p, (line.case, ""))[0]) for p in table.peers}
    ours, bare = one(name), one("engine", line.engine)
    if ours is None and all(x is None for x in peers.values()):
        return None
    others = [x for p, x in peers.items() if x is not None and p != table.peers[0]]
    best = (max if line.more else min)(others) if others else None
    without = one(name, "H-without") if line.case == "H" else None
    mine = values(rows, name, line.case, line.figure)
    text = number(ours, line.digits)
    if len(mine) > 1 and not line.worst:
        text += f" ({number(min(mine), line.digits)}–{number(max(mine), line.digits)})"
    if without is not None:
        text += f"; without them {number(without, line.digits)}"

    def better(than: float | None) -> str:
        return "" if not ours or not than or line.worst else ratio(ours / than if line.more else than / ours)

    of_bare = "" if not ours or not bare else f"{ours / bare:.0%}" if line.more else f"{ours / bare:.2f} ×"
    figures = {**peers, "ours": ours, "best": best, "bare": bare, "without": without}
    verdict = "; ".join(t.verdict(figures) for t in line.targets) if ours is not None else ""
    shown = [number(x, line.digits) + (f" ({line.instead[p][1]})" if x is not None and p in line.instead else "") for p, x in peers.items()]
    ratios = [better(peers[table.peers[0]]), *([better(best)] if table.best else [])]
    return [line.what, text, *shown, number(bare, line.digits), *ratios, of_bare, verdict]


def no_effect(met: Callable[[Any], bool]) -> tuple[Target, ...]:
    return (Target("no effect", met),)


def beside(*extra: Line) -> tuple[Line, ...]:
    """The lines of case H: what a great many delayed jobs do to the rest."""
    return (
        *extra,
        Line("H drain without results, per s, beside them", "H", "per_s", more=True,
             targets=no_effect(lambda f: f["ours"] >= 0.85 * f["without"])),
        Line("H enqueue → start, p50, ms, beside them", "H", "p50", 2, targets=no_effect(lambda f: f["ours"] <= 1.25 * f["without"] + 0.1)),
        Line("H PSS of the worker, MiB, beside them", "H", "pss", 1, targets=no_effect(lambda f: f["ours"] <= 1.05 * f["without"] + 1)),
        Line("H start → first job, s, beside them", "H", "first_s", 3,
             targets=no_effect(lambda f: f["ours"] <= 1.25 * f["without"] + 0.02)),
    )  # fmt: skip
