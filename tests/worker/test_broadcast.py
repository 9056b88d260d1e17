"""`app.broadcast`: from anywhere to every executor of every worker that listens."""

from __future__ import annotations

import queue

import pytest

from tidewheel import Tidewheel
from tidewheel.contract import Broadcaster
from tidewheel.errors import MissingRole
from tidewheel.events import Broadcast, JobFailed, pack
from tidewheel.testing import running


@pytest.fixture
def app() -> Tidewheel:
    return Tidewheel("memory://broadcast")


def test_the_apps_functions_hear_it(app: Tidewheel) -> None:
    heard: queue.SimpleQueue[Broadcast] = queue.SimpleQueue()
    app.on(Broadcast)(heard.put)

    @app.task
    def ready() -> None: ...

    with app, running(app):
        ready.delay().get(10)
        assert app.broadcast("drop-cache", {"names": ["a", "b"]}) == 1
        event = heard.get(timeout=10)
        assert (event.topic, event.data) == ("drop-cache", {"names": ["a", "b"]})
        app.broadcast("bare")
        assert heard.get(timeout=10).data is None
    with app:
        assert app.broadcast("nobody") == 0


def test_nobody_can_pass_off_another_event_as_one(app: Tidewheel, caplog: pytest.LogCaptureFixture) -> None:
    heard: queue.SimpleQueue[object] = queue.SimpleQueue()
    app.on(Broadcast)(heard.put)
    app.on(JobFailed)(heard.put)

    @app.task
    def ready() -> None: ...

    with app, running(app):
        ready.delay().get(10)
        speaker = app.backend.broadcaster
        assert isinstance(speaker, Broadcaster)
        speaker.send(pack(JobFailed(id="x", task="y", queue="z", attempt=1, reason="failed")))
        speaker.send(b"\xff nonsense")
        app.broadcast("real")
        event = heard.get(timeout=10)
        assert isinstance(event, Broadcast)
        assert event.topic == "real"
    assert caplog.text.count("a broadcast could not be understood") == 2


def test_who_does_not_listen_costs_nothing(app: Tidewheel) -> None:
    with app, running(app):
        assert app.broadcast("x") == 0


def test_an_engine_that_cannot(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Tidewheel(f"sqlite:///{tmp_path_factory.mktemp('x')}/jobs.db") as app, pytest.raises(MissingRole, match="a redis:// broker can"):
        app.broadcast("x")
