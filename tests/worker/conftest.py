from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import Rig, load_jobs


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A fresh broker, and the app of `apps/jobs.py` on it, in this process as in the workers."""
    monkeypatch.setenv("JOBS_URL", f"sqlite:///{tmp_path}/jobs.db")
    monkeypatch.setenv("HISTORY", str(tmp_path / "history"))
    rig = Rig(tmp_path, load_jobs())
    yield rig
    rig.close()
