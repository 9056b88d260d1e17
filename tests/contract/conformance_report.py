"""The page docs/reference/conformance.md: what the shipped suite says of each engine. `make conformance` writes it.

With `--conformance-report PATH` pytest runs the suite's tests only, on all engines, and writes PATH at the end.
"""

from __future__ import annotations

import datetime
import importlib
import platform
import re
import typing
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidewheel.testing import conformance

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/conformance.md"
CLASSES = [name for name in conformance.__all__ if name.startswith("Test")]

COLUMNS: dict[tuple[str, str], str] = {
    ("tests/contract/test_memory.py", ""): "memory",
    ("tests/contract/test_sqlite.py", ""): "SQLite",
    ("tests/redis/test_contract.py", "Store"): "Redis",
    ("tests/redis/test_contract.py", "OldStore"): "Redis 6",
    ("tests/postgres/test_contract.py", ""): "PostgreSQL",
    ("tests/postgres/test_pooled.py", ""): "PgBouncer",
    ("tests/rabbitmq/test_contract.py", ""): "RabbitMQ",
    ("tests/rabbitmq/test_tracked_contract.py", ""): "RabbitMQ and a store",
    ("tests/contract/test_apart.py", ""): "apart",
    ("tests/contract/test_tracked.py", "memory"): "tracked: memory",
    ("tests/contract/test_tracked.py", "sqlite"): "tracked: SQLite",
    ("tests/redis/test_tracked.py", ""): "tracked: Redis",
    ("tests/postgres/test_tracked.py", ""): "tracked: PostgreSQL",
}
"""The module that runs the suite, and the parameter of its fixture `harness` if it has any -> the engine's column, in the page's order."""
EXPLAINED = {
    "Redis 6": "the scripts in the form that a server before 7.0 gets",
    "PgBouncer": "PostgreSQL through one in transaction mode; what could differ",
    "RabbitMQ": "without a store beside it",
    "RabbitMQ and a store": "with one that keeps the state of its jobs (here: memory)",
    "apart": "jobs in one engine, results in another (here: memory and memory)",
    "tracked": "messages in one engine, which cannot look them up, and the state of jobs in the one that is named",
}
"""What a column's head cannot say."""


def column(nodeid: str) -> str | None:
    """The column of one test; None: it is not one of the suite's, or runs a part of it for its own ends."""
    path, *names = nodeid.split("::")
    if len(names) != 2 or names[0] not in CLASSES:
        return None
    parameters = re.findall(r"\[(.*)\]$", names[1])
    return next((title for (module, begins), title in COLUMNS.items() if module == path and _fits(begins, parameters)), None)


def _fits(name: str, parameters: list[str]) -> bool:
    """`Store` is a parameter of the test, wherever it stands among others."""
    return not name or any(name in p.split("-") for p in parameters)


def laws() -> dict[str, str]:
    """`{number: what it says in short}`, from docs/reference/contract.md."""
    return dict(re.findall(r"^(\d+)\. \*\*(.*?)\.?\*\*", (ROOT / "docs/reference/contract.md").read_text(), re.MULTILINE))


def row(nodeid: str) -> str:
    """Where a test belongs: a law's number, or the name of its class."""
    class_, test = nodeid.split("::")[1:]
    law = re.match(r"test_(\d+)_", test)
    return law[1] if class_ == "TestLaws" and law else class_


def rows() -> Iterator[tuple[str, str]]:
    """All of them, with what the page says of each: the laws, then the verbs and the roles."""
    for number, text in laws().items():
        yield number, f"law {number}: {text}"
    for name in CLASSES:
        if name != "TestLaws":
            module = importlib.import_module(getattr(conformance, name).__module__)
            yield name, f"`{name}`: {re.split(r'[.:] |[.:]$', (module.__doc__ or '').splitlines()[0])[0]}"


class Outcome(typing.NamedTuple):
    column: str
    row: str
    said: str
    """`passed`, `failed`, or `skipped`."""
    why: str


class Report:
    """A plugin of pytest: collects what the tests of the suite came to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: dict[str, Outcome] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        wanted = [item for item in items if column(item.nodeid) is not None]
        config.hook.pytest_deselected(items=[item for item in items if column(item.nodeid) is None])
        items[:] = wanted

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        title = column(report.nodeid)
        if title is None or (report.when != "call" and report.passed):
            return
        why = report.longrepr[2].removeprefix("Skipped: ") if report.skipped and isinstance(report.longrepr, tuple) else ""
        why = re.sub(r"^would have to wait .* s$", "would really have to wait, for minutes or days", why)
        self.outcomes[report.nodeid] = Outcome(title, row(report.nodeid), report.outcome, why)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not hasattr(session.config, "workerinput"):  # what xdist's workers do is told to their chief
            self.path.write_text(page(list(self.outcomes.values())))


def page(outcomes: list[Outcome]) -> str:
    """The whole page, in Markdown."""
    cells: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    skipped: Counter[tuple[str, str]] = Counter()
    for o in outcomes:
        cells[o.row, o.column][o.said] += 1
        if o.said == "skipped":
            skipped[o.column, o.why] += 1
    titles = list(COLUMNS.values())
    total: dict[str, Counter[str]] = {t: sum((c for (_, title), c in cells.items() if title == t), Counter()) for t in titles}
    return "\n".join(
        [
            "# Conformance",
            "",
            "Every engine is held to [the contract](contract.md) by one suite of tests, shipped as `tidewheel.testing.conformance`, so",
            "that an engine of your own can be held to it, too. This page is written by the suite itself (`make conformance`):",
            f"{datetime.date.today()}, Python {platform.python_version()}, {platform.system()}.",
            "",
            *(f"- *{title}*: {text}" for title, text in EXPLAINED.items()),
            "",
            "A number is that of the tests that passed; those that were skipped, because the engine does not fill the role or the clock of",
            "its server cannot be shifted, are in brackets, and below with the reason. A dash: not run there.",
            "",
            "| | " + " | ".join(titles) + " |",
            "|---" * (len(titles) + 1) + "|",
            *(f"| {text} | " + " | ".join(_cell(cells[name, title]) for title in titles) + " |" for name, text in rows()),
            "| **all** | " + " | ".join(_cell(total[title]) for title in titles) + " |",
            "",
            "## Skipped",
            "",
            "| engine | tests | why |",
            "|---|---|---|",
            *(f"| {t} | {n} | {why} |" for (t, why), n in sorted(skipped.items(), key=lambda s: (titles.index(s[0][0]), s[0][1]))),
            "",
        ]
    )


def _cell(counts: Counter[str]) -> str:
    failed = f" **{counts['failed']} failed**" if counts["failed"] else ""
    skipped = f" ({counts['skipped']})" if counts["skipped"] else ""
    return f"{counts['passed'] or '–'}{failed}{skipped}"
