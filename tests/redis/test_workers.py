"""Real workers on Redis: killed, frozen, cut off, idle. Nothing that was accepted is lost, and a worker never needs a restart."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from redis_server import Server
from rig import Rig, alive, children, until

from tidewheel import Tidewheel

pytestmark = pytest.mark.kill

SEED = int(os.environ.get("KILL_SEED", "20261123"))


def server_of(rig: Rig) -> Server:
    server: Server = rig.server  # type: ignore[attr-defined]
    return server


@pytest.mark.parametrize("pool", [("-P", "processes", "-c", "2"), ("-P", "threads", "-c", "4")], ids=lambda p: p[1])
def test_workers_are_killed(rig: Rig, pool: tuple[str, ...]) -> None:
    rng, killed, kills = random.Random(SEED), set(), 5
    results = rig.jobs.work.starmap([(i, 0.004) for i in range(500)])
    workers = [rig.start(*pool), rig.start(*pool)]
    for k in range(kills):
        ended = len(rig.history("end"))
        until("some more jobs ended", lambda ended=ended: len(rig.history("end")) > min(490, ended + rng.randrange(10, 60)))
        victim = workers.pop(rng.randrange(2))
        killed |= {victim.pid, *children(victim.pid)}
        victim.kill()
        victim.wait()
        workers.append(rig.start(*pool, wait=k % 2 == 0))
    rig.check(results, killed, most_extra=kills * 40)


def test_executors_are_killed(rig: Rig) -> None:
    rng, killed, kills = random.Random(SEED), set(), 15
    results = rig.jobs.work.starmap([(i, 0.003) for i in range(900)])
    rig.start("-c", "2")
    for _ in range(kills):
        ended = len(rig.history("end"))
        until("some more jobs ended", lambda ended=ended: len(rig.history("end")) > min(890, ended + rng.randrange(5, 50)))
        for pid in [line.pid for line in rig.history("start")[-2:] if alive(line.pid)][:1]:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
    rig.check(results, killed, most_extra=kills)


def test_a_killed_workers_job_is_back_within_a_lease_and_two_beats(rig: Rig) -> None:
    gate = rig.folder / "gate"
    first = rig.start("-c", "1")
    result = rig.jobs.hold.delay(str(gate), 7)
    (line,) = rig.started()
    second = rig.start("-c", "1")
    first.kill()
    first.wait()
    began = time.monotonic()
    until("it runs again", lambda: len(rig.history("start")) == 2, 15)
    assert 1 < time.monotonic() - began < 3 + 2 * 1 + 2, "not before the lease was over, and soon after"
    assert not alive(line.pid)
    gate.touch()
    assert result.get(20) == 7
    assert [h.event for h in rig.app.browse().job(result.id).history] == ["lost"]
    assert second.poll() is None


def test_a_worker_frozen_for_longer_than_its_lease(rig: Rig) -> None:
    """Its job runs again elsewhere; its own late outcome is refused, counted and logged; and it goes on as a new one."""
    gate, other_gate = rig.folder / "gate", rig.folder / "other"
    frozen = rig.start("-c", "1", "-n", "frozen")
    result = rig.jobs.hold.delay(str(gate), 3)
    rig.started()
    os.kill(frozen.pid, signal.SIGSTOP)
    heir = rig.start("-c", "1", "-n", "heir")
    until("it runs again", lambda: len(rig.history("start")) == 2, 30)
    gate.touch()
    assert result.get(20) == 3
    until("the frozen one's run has ended too", lambda: len(rig.history("end")) == 2)
    os.kill(frozen.pid, signal.SIGCONT)
    until("it is refused", lambda: "outcome.refused" in rig.log(0))
    rig.stop(heir)
    again = rig.jobs.hold.delay(str(other_gate), 5)
    other_gate.touch()
    assert again.get(30) == 5, "the one that was frozen works again"
    assert frozen.poll() is None
    assert rig.app.record(result.id).attempts == 0
    rig.stop(frozen)
    assert "stopped, 1 outcome refused" in rig.log(0)
    assert [h.event for h in rig.app.browse().job(result.id).history] == ["lost"]


def test_redis_is_killed_under_workers(rig: Rig) -> None:
    server = server_of(rig)
    results = rig.jobs.work.starmap([(i, 0.004) for i in range(800)])
    workers = [rig.start("-c", "2"), rig.start("-c", "2")]
    for n in range(4):
        until("some more jobs ended", lambda n=n: len(rig.history("end")) > 150 * (n + 1))
        server.restart()
    values = [r.get(60) for r in results]
    assert sorted(values) == list(range(800))
    assert all(w.poll() is None for w in workers), "a worker ended"
    assert max(rig.runs().values()) == 1, "a job ran twice although no worker died"
    assert "reconnect" in rig.log(0) or "again" in rig.log(0) or "back" in rig.log(0), rig.log(0)


def test_a_cancellation_reaches_a_busy_worker_at_once(rig: Rig) -> None:
    rig.start("-c", "1")
    result = rig.jobs.hold.delay(str(rig.folder / "never"), 1)
    rig.started()
    began = time.monotonic()
    assert result.cancel() == "requested"
    until("it is cancelled", lambda: rig.app.record(result.id).state == "cancelled", 10)
    assert time.monotonic() - began < 3


def test_an_idle_worker_asks_at_most_once_a_second(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_of(rig)
    monkeypatch.setattr(rig.app, "url", server.url)  # with the usual lease
    rig.start("-c", "1")
    assert rig.jobs.work.delay(1).get(20) == 1
    rig.app.close()
    sent = Monitor(server)
    end = time.monotonic() + 15
    until("15 seconds are over", lambda: time.monotonic() > end)
    commands = sent.stop()
    assert 3 <= len(commands) <= 15, commands


class Monitor(threading.Thread):
    """Everything that clients send to a server, not what scripts do there."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._client = server.client(socket_timeout=None)
        self._commands: list[str] = []
        self._monitor = self._client.monitor().__enter__()
        self.start()

    def run(self) -> None:
        while (said := self._monitor.next_command())["command"] != "ECHO that-was-all":
            if said["client_type"] != "lua":
                self._commands.append(said["command"][:60])

    def stop(self) -> list[str]:
        with self._server.client() as client:
            client.execute_command("ECHO", "that-was-all")
        self.join(10)
        self._client.close()
        return [c for c in self._commands if not c.startswith("CLIENT SET")]


@pytest.mark.parametrize("pool", ["processes", "threads", "asyncio", "gevent", "eventlet"])
def test_tasks_may_publish_and_wait_in_every_pool(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, pool: str) -> None:
    """Executors are forked, and those of two pools are patched: the client must stand both."""
    folder = Path(__file__).parent / "apps"
    monkeypatch.setenv("JOBS_URL", server.url)
    env = dict(os.environ, PYTHONPATH=str(folder))
    command = [sys.executable, "-m", "tidewheel", "-A", "family", "worker", "-P", pool, "-c", "4"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    app = Tidewheel(server.url)
    try:
        results = [app.send("family.parent", 5) for _ in range(3)]
        assert [r.get(40) for r in results] == [10, 10, 10], (tmp_path / "log").read_text()
    finally:
        app.close()
        process.terminate()
        process.wait(30)
