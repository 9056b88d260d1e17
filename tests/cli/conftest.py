"""A broker in memory for each test, no settings from outside, and folders with apps in them."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_rig import Rig

from tidewheel import Tidewheel
from tidewheel.backends.memory import drop

_numbers = itertools.count()


@pytest.fixture
def rig() -> Iterator[Rig]:
    name = f"cli-{os.getpid()}-{next(_numbers)}"
    url = f"memory://{name}"
    with Tidewheel(url) as app:
        yield Rig(url, app)
    drop(name)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TIDEWHEEL_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes files into an empty folder that is the working directory and importable; forgets afterwards what was imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]
