"""The figures of "Which broker?" are those of the benchmarks' tables."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from pages import ROOT

FOLDER = ROOT / "docs/explanation"


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("summary")


def test_the_page_shows_what_the_tables_say(summary: ModuleType) -> None:
    shown = (FOLDER / "which-broker.md").read_text().partition(summary.BEGIN)[2].partition(summary.END)[0].strip()
    assert shown == summary.summary((FOLDER / "benchmarks.md").read_text()), "run `python benchmarks/summary.py`"


def test_a_figure_is_ours_and_stands_in_its_engine_s_column(summary: ModuleType) -> None:
    table = summary.COLUMNS["Redis"]
    head = "| case | Tidewheel | Celery |\n|---|---|---|"
    page = f"{table.begin}\n{head}\n| A in bulk of 1000, per s | 96,436 (92,221–100,651) | 7 |\n{table.end}"
    line = next(line for line in summary.summary(page).splitlines() if line.startswith("| jobs stored in bulk"))
    assert line == "| jobs stored in bulk, a second | – | 96,436 | – | – |"


def test_each_engine_s_table_has_its_place(summary: ModuleType) -> None:
    page = (FOLDER / "benchmarks.md").read_text()
    for table in summary.COLUMNS.values():
        assert 0 < page.find(table.begin) < page.find(table.end), table.begin
