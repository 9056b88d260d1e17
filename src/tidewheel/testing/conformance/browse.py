"""The role `browse`: jobs and workers for people's eyes."""

from __future__ import annotations

import pytest

from tidewheel.contract import JobFilter
from tidewheel.core.job import State
from tidewheel.core.outcome import Again, Cancelled, Dead, Expired
from tidewheel.ids import job_id
from tidewheel.testing.conformance.harness import Rig


class TestBrowse:
    def test_nothing(self, rig: Rig) -> None:
        assert list(rig.browse.jobs(JobFilter())) == []
        assert rig.browse.job(job_id()) is None
        assert list(rig.browse.workers()) == []

    def test_a_waiting_job(self, rig: Rig) -> None:
        rig.needs("looks_up")
        (id_,) = rig.put(queue="q", task="a.b", priority=3, key="k", headers={"x": "y"}, body=b"body", lifetime=100.0)
        view = rig.browse.job(id_)
        assert view is not None
        assert (view.id, view.state, view.queue, view.task, view.priority, view.key) == (id_, "ready", "q", "a.b", 3, "k")
        assert (view.headers, view.body, view.worker, view.started, view.finished) == ({"x": "y"}, b"body", None, None, None)
        assert view.expires == pytest.approx(view.published + 100, abs=1)

    def test_a_long_body(self, rig: Rig) -> None:
        (id_,) = rig.put(body=b"long" * 10_000)
        view = rig.browse.job(id_)
        assert view is not None
        assert view.body == b"long" * 10_000

    def test_a_running_job(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        rig.control.cancel([id_])
        view = rig.browse.job(id_)
        assert view is not None
        assert (view.state, view.worker, view.deliveries, view.cancel_requested) == ("running", delivery.token.worker, 1, True)
        assert view.started == pytest.approx(rig.broker.now(), abs=5)

    def test_a_dead_job_with_its_history(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.run(worker, Again("retry", counted="attempts", error=b"first"))
        rig.run(worker, Again("crashed", counted="strikes", error=b"second"))
        rig.run(worker, Dead("failed", b"third", "attempts"))
        view = rig.browse.job(id_)
        assert view is not None
        assert (view.state, view.reason, view.error, view.attempts, view.strikes) == ("dead", "failed", b"third", 2, 1)
        assert [(h.event, h.detail) for h in view.history] == [("retry", b"first"), ("crashed", b"second"), ("dead", b"third")]
        assert all(h.worker for h in view.history)

    def test_a_long_history_is_cut(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        for n in range(30):
            rig.run(worker, Again("retry", counted="attempts", error=b"%d" % n))
        view = rig.browse.job(id_)
        assert view is not None
        assert (len(view.history), view.history[-1].detail, view.attempts) == (20, b"29", 30)

    def test_a_lost_worker_is_in_the_history(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.take(worker)
        rig.kill(worker)
        rig.recover()
        view = rig.browse.job(id_)
        assert view is not None
        assert ([h.event for h in view.history], view.losses) == (["lost"], 1)

    def test_newest_first_in_pages(self, rig: Rig) -> None:
        ids = sorted(rig.put(25), reverse=True)
        pages, before = [], None
        while page := rig.browse.jobs(JobFilter(), limit=10, before=before):
            pages.append([v.id for v in page])
            before = page[-1].id
        assert pages == [ids[:10], ids[10:20], ids[20:]]

    def test_filters(self, rig: Rig) -> None:
        (plain,) = rig.put()
        (queue,) = rig.put(queue="q")
        (task,) = rig.put(task="other.task")
        assert [v.id for v in rig.browse.jobs(JobFilter(queue="q"))] == [queue]
        assert [v.id for v in rig.browse.jobs(JobFilter(task="other.task"))] == [task]
        assert [v.id for v in rig.browse.jobs(JobFilter(queue="q", task="other.task"))] == []
        assert [v.id for v in rig.browse.jobs(JobFilter(ids=(plain, task, job_id())))] == [task, plain]

    def test_every_state(self, rig: Rig) -> None:
        expected: dict[State, list[str]] = {}
        worker = rig.worker()
        for state, outcome in (("succeeded", None), ("dead", Dead("failed")), ("cancelled", Cancelled()), ("expired", Expired())):
            expected[state] = rig.put(2)  # type: ignore[index]
            rig.run(worker, outcome)
        expected["running"] = rig.put(2)
        rig.take(worker)
        expected["ready"], expected["scheduled"] = rig.put(2), rig.put(2, delay=rig.tick)
        for state, ids in expected.items():
            assert [v.id for v in rig.browse.jobs(JobFilter(state=state))] == sorted(ids, reverse=True), state
            assert {v.state for v in rig.browse.jobs(JobFilter(state=state, queue="default", task="tests.noop"))} == {state}
            assert rig.browse.jobs(JobFilter(state=state, queue="nowhere")) == []
            assert [v.id for v in rig.browse.jobs(JobFilter(state=state), limit=1, before=max(ids))] == [min(ids)]
        assert len(rig.browse.jobs(JobFilter())) == 14

    def test_workers(self, rig: Rig) -> None:
        worker = rig.worker(name="mill", host="h", pid=5, queues=("a", "b"), pool="threads", concurrency=3, version="1")
        rig.put(2)
        rig.take(worker)
        (seen,) = rig.browse.workers()
        assert (seen.name, seen.host, seen.pid, seen.queues, seen.pool, seen.concurrency) == ("mill", "h", 5, ("a", "b"), "threads", 3)
        assert seen.running == 2
        worker.close()
        assert list(rig.browse.workers()) == []
