"""A worker that has no room for more still hears what is asked of it."""

from __future__ import annotations

import threading

import pytest

from tidewheel import Context, Tidewheel
from tidewheel.backends.memory.consumer import Consumer
from tidewheel.errors import JobCancelled
from tidewheel.testing import running


@pytest.fixture
def app() -> Tidewheel:
    return Tidewheel("memory://claimer")


def test_a_full_worker_hears_of_a_cancellation_before_its_next_beat(app: Tidewheel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Consumer, "beat_every", 3600.0)
    started = threading.Event()

    @app.task(context=True)
    def patient(context: Context) -> None:
        started.set()
        while True:
            context.check_cancelled()

    with app, running(app):
        result = patient.delay()
        assert started.wait(10)
        assert result.cancel() == "requested"
        with pytest.raises(JobCancelled):
            result.get(10)


def test_a_full_worker_takes_the_next_job_as_soon_as_there_is_room(app: Tidewheel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidewheel.worker.claimer.WAIT", 3600.0)
    monkeypatch.setattr("tidewheel.worker.claimer.SOON", 0.0)  # at once to where it also listens to the broker
    gates = [threading.Event() for _ in range(5)]

    @app.task
    def work(n: int) -> int:
        assert gates[n].wait(10)
        return n

    with app, running(app):
        results = [work.delay(n) for n in range(5)]
        for gate, result in zip(gates, results, strict=True):
            gate.set()
            result.get(10)
