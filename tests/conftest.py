"""What all tests share: the marker `fast`, and a working directory and environment that no test inherits by accident."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell without job control. Programs that tests start would inherit it, and not hear a Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No time limits on examples: two cores that also run kill tests are now and then slow for a second, and that is no bug.
settings.register_profile("tidewheel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidewheel")

FAST = {"core", "wire", "api", "architecture", "celery", "contract", "observe", "postgres", "rabbitmq", "redis", "sqlite"}
"""Folders whose tests start no worker; those marked `slow`, `kill` or `browser` are left out."""
SERVER = {"postgres", "rabbitmq", "redis"}
"""Folders whose tests start a server."""

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance-report", type=Path, metavar="PATH", help="run the shipped suite only, and write its report")


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("--conformance-report")
    if path is not None:
        from conformance_report import Report  # not sooner: it imports the suite

        config.pluginmanager.register(Report(path.absolute()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in FAST and not any(item.get_closest_marker(name) for name in ("slow", "kill", "browser")):
            item.add_marker(pytest.mark.fast)
        if folder in SERVER:
            item.add_marker(pytest.mark.server)


@pytest.fixture(autouse=True)
def _no_broker_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set in the developer's shell must not decide where tests keep their jobs."""
    libpq = [name for name in os.environ if name.startswith("PG")]  # what it takes where a URL says nothing
    for name in ("TIDEWHEEL_URL", "TIDEWHEEL_RESULTS", "TIDEWHEEL_REDIS_PASSWORD", "TIDEWHEEL_RABBITMQ_PASSWORD", *libpq):
        monkeypatch.delenv(name, raising=False)
