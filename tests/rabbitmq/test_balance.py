"""How work is shared, on RabbitMQ with a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from balance import *  # noqa: F403
from rig import Rig, load_jobs

pytestmark = pytest.mark.kill


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[Rig]:
    monkeypatch.setenv("JOBS_URL", url)
    monkeypatch.setenv("TIDEWHEEL_RESULTS", f"sqlite:///{tmp_path}/jobs.db")
    monkeypatch.setenv("HISTORY", str(tmp_path / "history"))
    rig = Rig(tmp_path, load_jobs())
    yield rig
    rig.close()
