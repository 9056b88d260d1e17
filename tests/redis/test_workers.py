"""Real workers on Redis: killed, frozen, cut off, idle. Nothing that was accepted is lost, and a worker never needs a restart."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from redis_server import Server
from rig import Rig, alive, until

from tidewheel import Tidewheel

pytestmark = pytest.mark.kill


def server_of(rig: Rig) -> Server:
    server: Server = rig.server  # type: ignore[attr-defined]
    return server


@pytest.mark.parametrize("pool", [("-P", "processes", "-c", "2"), ("-P", "threads", "-c", "4")], ids=lambda p: p[1])
def test_workers_are_killed(rig: Rig, pool: tuple[str, ...]) -> None:
    results = rig.jobs.work.starmap([(i, 0.004) for i in range(500)])
    rig.check(results, rig.kill_workers(5, 500, pool), most_extra=5 * 40)


def test_executors_are_killed(rig: Rig) -> None:
    results = rig.jobs.work.starmap([(i, 0.003) for i in range(900)])
    rig.start("-c", "2")
    rig.check(results, rig.kill_executors(15, 900), most_extra=15)


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
