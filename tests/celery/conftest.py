"""An app on a broker of its own in memory, and workers for it inside of the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery_rig import Working, Workplace

from tidewheel.backends import memory
from tidewheel.celery import Celery, _state, signals
from tidewheel.ids import incarnation


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Apps, shared tasks and receivers of one test are not those of the next one."""
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_state, "_shared", [])
    monkeypatch.setattr(_state, "default_app", None)
    monkeypatch.setattr(_state, "_last", None)
    monkeypatch.setattr(_state, "_fallback", None)
    _state._thread.app = None
    every = [s for s in vars(signals).values() if isinstance(s, signals.Signal)]
    kept = {id(s): dict(s._receivers) for s in every}
    yield
    _state._thread.app = None
    for signal in every:
        signal._receivers.clear()
        signal._receivers.update(kept[id(signal)])


@pytest.fixture
def url() -> Iterator[str]:
    name = incarnation()
    yield f"memory://{name}"
    memory.drop(name)


@pytest.fixture
def app(url: str) -> Iterator[Celery]:
    with Celery("proj", broker=url) as app:
        yield app


@pytest.fixture
def working() -> Working:
    return Working()


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    found = Workplace(tmp_path)
    yield found
    found.close()
