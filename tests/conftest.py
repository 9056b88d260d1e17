"""What all tests share: the marker `fast`, and a working directory and environment that no test inherits by accident."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

FAST = {"core", "wire", "api", "architecture", "contract", "observe", "sqlite"}
"""Folders whose tests start no worker; those marked `slow`, `kill` or `browser` are left out."""

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in FAST and not any(item.get_closest_marker(name) for name in ("slow", "kill", "browser")):
            item.add_marker(pytest.mark.fast)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NO_SKIP names a marker, its tests have what they need, and a skipped one has failed: `make test` must not pass by skipping."""
    report = yield
    if report.skipped and item.get_closest_marker(os.environ.get("NO_SKIP") or "-") is not None:
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def _no_broker_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIDEWHEEL_URL in the developer's shell must not decide where tests keep their jobs."""
    monkeypatch.delenv("TIDEWHEEL_URL", raising=False)
