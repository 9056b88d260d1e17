"""This machine: versions, and its clock."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from tidewheel import __version__
from tidewheel.cli.checks import Finding, ok, problem, warning

if TYPE_CHECKING:
    from tidewheel.contract import Broker

SKEW = 2.0
"""Seconds between our clock and the broker's from which on they are said to differ."""
YOUNGEST = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
"""No right clock is before Tidewheel was written."""


def versions() -> Iterator[Finding]:
    found = [f"tidewheel {__version__}", f"Python {platform.python_version()}"]
    for package in ("msgspec", "click", "cronsim"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield problem("versions", f"{package} is not installed, but Tidewheel needs it", "pip install --force-reinstall tidewheel")
    yield ok("versions", ", ".join(found))


def clock(broker: Broker | None) -> Iterator[Finding]:
    here = time.time()
    if here < YOUNGEST:
        date = datetime.fromtimestamp(here, timezone.utc)
        yield problem("clock", f"this machine's clock says {date:%Y-%m-%d}", "set it, and run an NTP client")
    if broker is None:
        return
    before = time.time()
    skew = broker.now() - (before + time.time()) / 2
    if abs(skew) > SKEW:
        text = f"the broker's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        yield warning("clock", text, "run an NTP client on both; moments given with --eta or eta= are meant by the broker's clock")
    else:
        yield ok("clock", f"agrees with the broker's to {abs(skew):.1f} s")
