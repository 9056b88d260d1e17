"""The broker is away, is full, loses answers, or gives our jobs to others: what the worker then does. A real worker, in this process."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from rig import until

from tidewheel import Context, Tidewheel, events
from tidewheel.contract import WorkerInfo
from tidewheel.errors import BrokerFull, BrokerUnavailable
from tidewheel.events import Emitter
from tidewheel.ids import incarnation
from tidewheel.testing import running
from tidewheel.testing.flaky import FlakyBroker, FlakyConsumer

URLS = ("memory", "sqlite")


class Scene:
    def __init__(self, url: str) -> None:
        self.app = Tidewheel(url)
        self.flaky = FlakyBroker(self.app.backend.broker)
        self.app._backend = dataclasses.replace(self.app.backend, broker=self.flaky)
        self.emitter = Emitter()
        self.events: list[events.Event] = []
        self.emitter.subscribe(events.Event, self.events.append)
        self.runs: Counter[int] = Counter()
        self.gate = threading.Event()
        self.running = threading.Event()

        @self.app.task(name="count")
        def count(n: int) -> int:
            self.runs[n] += 1
            return n

        @self.app.task(name="hold", context=True)
        def hold(context: Context, n: int) -> int:
            self.runs[n] += 1
            self.running.set()
            while not self.gate.wait(0.005):
                context.check_cancelled()
            return n

        self.count, self.hold = count, hold

    def seen(self, kind: type[Any]) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]


@pytest.fixture(params=URLS)
def scene(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Scene]:
    scene = Scene(f"memory://{incarnation()}" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db")
    yield scene
    scene.gate.set()
    scene.app.close()


def test_outcomes_are_kept_until_the_broker_is_back(scene: Scene) -> None:
    scene.flaky.fail("settle", times=4)
    results = scene.count.map(range(50))
    with running(scene.app, emitter=scene.emitter):
        assert [r.get(20) for r in results] == list(range(50))
    assert set(scene.runs.values()) == {1}
    assert scene.flaky.failed.count("settle") == 4
    assert len(scene.seen(events.BrokerLost)) >= 1
    until("it says that the broker is back", lambda: scene.seen(events.BrokerFound))


def test_a_full_broker_still_gets_its_outcomes_later(scene: Scene) -> None:
    scene.flaky.fail("settle", times=3, error=lambda: BrokerFull("no room"))
    with running(scene.app, emitter=scene.emitter):
        assert scene.count.delay(1).get(20) == 1
    assert scene.runs == {1: 1}


def test_a_settlement_whose_answer_is_lost_is_repeated_and_refused(scene: Scene) -> None:
    scene.flaky.fail("settle", when="after")
    with running(scene.app, emitter=scene.emitter):
        assert scene.count.delay(1).get(20) == 1
        until("the repetition is answered", lambda: scene.seen(events.OutcomeRefused))
    assert scene.runs == {1: 1}


def test_jobs_whose_claim_is_not_answered_are_adopted(scene: Scene) -> None:
    scene.flaky.fail("claim", when="after", times=3)
    results = scene.count.map(range(30))
    with running(scene.app, emitter=scene.emitter):
        assert [r.get(20) for r in results] == list(range(30))
    assert set(scene.runs.values()) == {1}
    assert scene.flaky.failed.count("claim") == 3


def test_claims_beats_and_sweeps_that_fail_are_tried_again(scene: Scene) -> None:
    for verb in ("claim", "beat", "sweep", "owned"):
        scene.flaky.fail(verb, times=3)
    with running(scene.app, emitter=scene.emitter):
        assert [r.get(20) for r in scene.count.map(range(20))] == list(range(20))
    assert set(scene.runs.values()) == {1}


def test_a_bug_in_a_backend_does_not_stop_the_worker(scene: Scene) -> None:
    for verb in ("claim", "settle", "beat", "sweep"):
        scene.flaky.fail(verb, error=lambda: KeyError("bug"))
    with running(scene.app, emitter=scene.emitter):
        assert [r.get(20) for r in scene.count.map(range(20))] == list(range(20))
    assert set(scene.runs.values()) == {1}


def test_publishing_to_a_broker_that_is_away_raises(scene: Scene) -> None:
    scene.flaky.fail("publish")
    with pytest.raises(BrokerUnavailable):
        scene.count.delay(1)
    assert scene.count.delay(2).state == "ready"


def test_random_failures_lose_and_double_nothing(scene: Scene) -> None:
    for i in range(20):
        verb = ("claim", "settle", "beat", "owned")[i % 4]
        scene.flaky.fail(verb, when="after" if i % 3 else "before")
    results = scene.count.map(range(400))
    with running(scene.app, emitter=scene.emitter):
        assert [r.get(30) for r in results] == list(range(400))
    assert set(scene.runs.values()) == {1}


def test_progress_is_stored_while_the_job_runs(scene: Scene) -> None:
    @scene.app.task(name="steps", context=True)
    def steps(context: Context) -> str:
        context.progress({"done": 3, "of": 10})
        scene.gate.wait(20)
        return "done"

    with running(scene.app):
        result = steps.delay()
        until("progress", lambda: result.progress == {"done": 3, "of": 10})
        scene.gate.set()
        assert result.get(20) == "done"


def test_at_the_end_everything_unstarted_is_handed_back(scene: Scene) -> None:
    results = [scene.hold.delay(0), *scene.count.map(range(1, 40))]
    with running(scene.app, emitter=scene.emitter):
        assert scene.running.wait(20)
        threading.Timer(0.2, scene.gate.set).start()
    assert results[0].state == "succeeded"
    states = Counter(r.state for r in results[1:])
    assert set(states) <= {"ready", "succeeded"}
    assert sum(scene.runs.values()) == 1 + states["succeeded"]
    consumer = scene.app.backend.broker.consumer(WorkerInfo(id=incarnation(), name="next"))
    assert len(consumer.claim(("default",), 100, 0.0)) == states["ready"]
    consumer.close()


def test_a_job_that_is_settled_while_the_worker_asks_what_it_owns_is_not_adopted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says that we own it, and when it arrives we do not know the job any more (docs/decisions/0006)."""
    asked = threading.Event()
    real = FlakyConsumer.owned

    def owned(self: FlakyConsumer) -> Any:
        answer = real(self)
        assert [d.id for d in answer] == [result.id]
        scene.gate.set()
        until("it is settled", lambda: result.state == "succeeded")
        asked.set()
        return answer

    monkeypatch.setattr(FlakyConsumer, "owned", owned)
    with running(scene.app) as worker:
        result = scene.hold.delay(1)
        assert scene.running.wait(20)
        worker._claimer.reconcile()
        assert asked.wait(20)
        assert scene.count.delay(2).get(20) == 2
    assert scene.runs == {1: 1, 2: 1}
