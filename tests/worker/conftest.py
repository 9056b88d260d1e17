from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import APPS, Rig


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A fresh broker, and the app of `apps/jobs.py` on it, in this process as in the workers."""
    monkeypatch.setenv("JOBS_URL", f"sqlite:///{tmp_path}/jobs.db")
    monkeypatch.setenv("HISTORY", str(tmp_path / "history"))
    spec = importlib.util.spec_from_file_location("jobs", APPS / "jobs.py")
    assert spec is not None
    assert spec.loader is not None
    jobs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(jobs)
    rig = Rig(tmp_path, jobs)
    yield rig
    rig.close()
    os.close(jobs._fd)
