"""Real workers on RabbitMQ alone, really killed and frozen, and a server that is killed under them. Jobs write down that they ran."""

from __future__ import annotations

import os
import signal
import time

import pytest
from rabbitmq_server import Server
from rig import Rig, alive, until

pytestmark = pytest.mark.kill


def ended(rig: Rig) -> set[str]:
    return {line.job for line in rig.history("end")}


def test_a_worker_drains_and_stops(rig: Rig) -> None:
    results = rig.jobs.work.starmap([(n,) for n in range(500)])
    worker = rig.start("-c", "2")
    until("all ended", lambda: {r.id for r in results} <= ended(rig))
    assert set(rig.runs().values()) == {1}
    began = time.monotonic()
    assert rig.stop(worker) == 0
    assert time.monotonic() - began < 5
    assert rig.app.counts()["default"].ready == 0


def test_a_burst_ends_when_the_queue_is_empty(rig: Rig) -> None:
    results = rig.jobs.work.starmap([(n,) for n in range(100)])
    worker = rig.start("-c", "1", "--burst", wait=False)
    assert worker.wait(30) == 0
    assert {r.id for r in results} == ended(rig)


def test_retries_come_through_the_ladder(rig: Rig) -> None:
    rig.start("-c", "1")
    result = rig.jobs.flaky.delay(3)
    until("three attempts", lambda: [line.value for line in rig.history("start") if line.job == result.id] == ["1", "2", "3"])
    late = rig.jobs.work.using(countdown=1.3).delay(1)
    began = time.monotonic()
    until("it ended", lambda: late.id in ended(rig))
    assert time.monotonic() - began > 1


def test_a_lone_job_is_watched_though_it_was_given_away_before_the_claim_returned(rig: Rig) -> None:
    rig.start("-c", "1")
    for n in range(1, 4):  # after the first one nothing else wakes the worker
        rig.jobs.endless.delay()
        until("its limit ended it", lambda n=n: rig.app.counts()["default"].dead == n, 20)


def test_workers_are_killed(rig: Rig) -> None:
    results = rig.jobs.work.starmap([(n, 0.004) for n in range(400)])
    rig.kill_workers(4, 400, ("-c", "2"), ("-P", "threads", "-c", "4"), done=lambda: len(ended(rig)))
    until("all ended", lambda: {r.id for r in results} <= ended(rig), 60)
    assert sum(rig.runs().values()) <= 400 + 4 * 40
    until("nothing is left", lambda: rig.app.counts()["default"].ready == 0)
    assert rig.app.counts()["default"].dead == 0


def test_a_killed_workers_job_is_back_at_once(rig: Rig) -> None:
    gate = rig.folder / "gate"
    first = rig.start("-c", "1")
    rig.jobs.hold.delay(str(gate), 7)
    (line,) = rig.started()
    rig.start("-c", "1")
    first.kill()
    first.wait()
    began = time.monotonic()
    until("it runs again", lambda: len(rig.history("start")) == 2, 10)
    assert time.monotonic() - began < 3
    assert not alive(line.pid)
    gate.touch()
    until("it ended", lambda: rig.history("end"))


def test_a_job_that_kills_its_executors_ends_in_the_dead_letters(rig: Rig) -> None:
    rig.start("-c", "1")
    rig.jobs.die.delay("kill")
    until("it is dead", lambda: rig.app.counts()["default"].dead == 1, 30)
    good = rig.jobs.work.delay(1)
    until("others run", lambda: good.id in ended(rig))


def test_a_worker_frozen_for_longer_than_its_heartbeat(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job runs again elsewhere; its own late outcome is refused; and it goes on as a new one."""
    monkeypatch.setattr(rig.app, "url", f"{rig.app.url}&heartbeat=1")
    gate = rig.folder / "gate"
    frozen = rig.start("-c", "1", "-n", "frozen")
    rig.jobs.hold.delay(str(gate), 3)
    rig.started()
    os.kill(frozen.pid, signal.SIGSTOP)
    heir = rig.start("-c", "1", "-n", "heir")
    until("it runs again", lambda: len(rig.history("start")) == 2, 30)
    os.kill(frozen.pid, signal.SIGCONT)
    until("it has noticed", lambda: "lease of this worker is over" in rig.log(0), 20)
    gate.touch()
    until("it ended", lambda: rig.history("end"))
    rig.stop(heir)
    again = rig.jobs.work.delay(5)
    until("the one that was frozen works again", lambda: again.id in ended(rig))
    assert frozen.poll() is None


def test_the_server_is_killed_under_workers(rig: Rig, server: Server) -> None:
    workers = [rig.start("-c", "2"), rig.start("-c", "2")]
    warm = rig.jobs.work.using(countdown=1.1).delay(0)  # makes the queues, and leaves the server time to write down that they are there
    until("it ended", lambda: warm.id in ended(rig))
    results = rig.jobs.work.starmap([(n, 0.004) for n in range(600)])
    until("some ended", lambda: len(ended(rig)) > 150)
    server.restart()
    until("all ended", lambda: {r.id for r in results} <= ended(rig), 60)
    assert all(w.poll() is None for w in workers), "a worker ended"
