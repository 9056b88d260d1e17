"""A database for each test, and the clock it goes by."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ground import Child, Ground

from tidewheel.backends.sqlite.store import Store


@pytest.fixture(autouse=True)
def _no_child_is_left_behind() -> Iterator[None]:
    yield
    while Child.living:
        pid = Child.living.pop()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """A new, empty place for a database."""
    ground = Ground(tmp_path)
    yield ground
    ground.close()


@pytest.fixture
def store(ground: Ground) -> Store:
    """An open database."""
    return ground.store()


@pytest.fixture
def open_ground() -> Iterator[Ground]:
    """As `ground`, where other users may go (pytest's own directories are closed to them)."""
    path = Path(tempfile.mkdtemp(prefix="tidewheel-"))
    os.chmod(path, 0o755)
    ground = Ground(path)
    yield ground
    ground.close()
    shutil.rmtree(path)
