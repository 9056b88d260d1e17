"""docs/reference/conformance.md knows the engines and the classes that the suite has. (Its counts are those of one machine.)"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conformance_report import CLASSES, COLUMNS, EXPLAINED, PAGE, ROOT, Outcome, column, page, row, rows

MEMORY = "tests/contract/test_memory.py::"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def table(text: str) -> list[list[str]]:
    """The first table's lines."""
    return [cells(line) for line in re.findall(r"^\|.*\|$", text.partition("## ")[0], re.MULTILINE)]


def test_every_module_that_runs_the_whole_suite_has_a_column() -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if "from tidewheel.testing.conformance import *" in path.read_text() and path != Path(__file__)
    }
    known = {module for module, _ in COLUMNS}
    assert modules <= known, "name its column in COLUMNS of conformance_report.py, and run `make conformance`"
    assert all("from tidewheel.testing.conformance import" in (ROOT / module).read_text() for module in known)
    assert set(EXPLAINED) <= {title.partition(":")[0] for title in COLUMNS.values()}


@pytest.mark.parametrize("module", sorted({module for module, _ in COLUMNS}))
def test_no_class_of_the_module_hides_one_of_the_suite(module: str) -> None:
    own = re.findall(r"^class (\w+)", (ROOT / module).read_text(), re.MULTILINE)
    assert set(own) & set(CLASSES) == set(), "another name: with this one the suite's tests do not run"


def test_the_page_names_the_engines_and_the_classes_of_the_suite() -> None:
    head, _, *body = table(PAGE.read_text())
    assert head[-len(COLUMNS) :] == list(COLUMNS.values()), "run `make conformance`"
    assert [line[0] for line in body[:-1]] == [text for _, text in rows()], "run `make conformance`"


def test_the_page_has_no_failure() -> None:
    assert "failed" not in PAGE.read_text()


def test_every_engine_on_the_page_was_run() -> None:
    *_, total = table(PAGE.read_text())
    assert all(re.match(r"\d", cell) for cell in total[1:]), "an engine's tests did not run: `make conformance`"


@pytest.mark.parametrize(
    ("nodeid", "found"),
    [
        (MEMORY + "TestClaim::test_a", "memory"),
        (MEMORY + "TestClaim::test_a[3-x]", "memory"),
        (MEMORY + "TestOther::test_a", None),
        (MEMORY + "test_a", None),
        ("tests/redis/test_contract.py::TestClaim::test_a[Store-3]", "Redis"),
        ("tests/redis/test_contract.py::TestClaim::test_a[3-OldStore]", "Redis 6"),
        ("tests/contract/test_real_time.py::TestClaim::test_a", None),
    ],
)
def test_a_test_s_column(nodeid: str, found: str | None) -> None:
    assert column(nodeid) == found


def test_a_test_s_row() -> None:
    assert row(MEMORY + "TestLaws::test_10_wake_ups") == "10"
    assert row(MEMORY + "TestClaim::test_1_a") == "TestClaim"


def test_what_failed_and_what_was_skipped_is_said() -> None:
    said = page(
        [
            Outcome("memory", "1", "passed", ""),
            Outcome("memory", "1", "failed", ""),
            Outcome("memory", "TestKeys", "skipped", "no clock"),
            Outcome("SQLite", "1", "passed", ""),
        ]
    )
    head, _, first, *_ = table(said)
    assert dict(zip(head[-len(COLUMNS) :], first[1:], strict=True))["memory"] == "1 **1 failed**"
    assert "| memory | 1 | no clock |" in said
