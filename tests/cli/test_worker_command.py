"""Flags of `tidewheel worker`, up to the options that the worker gets. That it then works: test_processes.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_rig import run

from tidewheel.cli import child
from tidewheel.cli.commands import worker
from tidewheel.cli.failures import Failure
from tidewheel.cli.pidfile import pidfile
from tidewheel.cli.session import Session
from tidewheel.observe.logs import LogSettings
from tidewheel.worker.options import WorkerOptions


class Started:
    """Stands where the worker would begin, and keeps what it was told."""

    options: WorkerOptions
    logs: LogSettings
    exit_code = 0

    def __call__(self, session: Session, options: WorkerOptions, logs: LogSettings) -> int:
        self.options, self.logs = options, logs
        return self.exit_code


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    begin = Started()
    monkeypatch.setattr(worker, "start", begin)
    return begin


def options(started: Started, *args: str) -> WorkerOptions:
    run("-A", "shop", "worker", *args)
    return started.options


def test_defaults(started: Started) -> None:
    found = options(started)
    assert found == WorkerOptions(app="shop", name=f"{socket.gethostname()}-{os.getpid()}")
    assert started.logs == LogSettings(level="info")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-P", "threads"], {"pool": "threads"}),
        (["--pool", "prefork"], {"pool": "processes"}),
        (["-P", "solo"], {"pool": "inline"}),
        (["-P", "async"], {"pool": "asyncio"}),
        (["-P", "AIO"], {"pool": "asyncio"}),
        (["-P", "gevent"], {"pool": "gevent"}),
        (["-P", "eventlet"], {"pool": "eventlet"}),
        (["-c", "8"], {"concurrency": 8}),
        (["--concurrency=3"], {"concurrency": 3}),
        (["-Q", "mail,default"], {"queues": ("mail", "default")}),
        (["-Q", "mail, default,"], {"queues": ("mail", "default")}),
        (["-X", "slow"], {"exclude": ("slow",)}),
        (["--exclude-queues", "a,b"], {"exclude": ("a", "b")}),
        (["-n", "w1"], {"name": "w1"}),
        (["--name", "w1"], {"name": "w1"}),
        (["--max-tasks-per-child", "100"], {"max_tasks_per_child": 100}),
        (["--max-memory-per-child", "200000"], {"max_memory_per_child": 204_800_000}),
        (["--max-memory-per-child", "200M"], {"max_memory_per_child": 209_715_200}),
        (["--time-limit", "300"], {"time_limit": 300.0}),
        (["--soft-time-limit", "4m"], {"soft_time_limit": 240.0}),
        (["--start-method", "spawn"], {"start_method": "spawn"}),
        (["--pool-start-method", "forkserver"], {"start_method": "forkserver"}),
        (["--grace", "1m"], {"grace": 60.0}),
        (["--kill-after", "3"], {"kill_after": 3.0}),
        (["--burst"], {"burst": True}),
        (["-b", "sqlite:///other.db"], {"url": "sqlite:///other.db"}),
        (["-C"], {"color": False}),
    ],
)
def test_flags(started: Started, args: list[str], expected: dict[str, Any]) -> None:
    found = options(started, *args)
    assert {k: getattr(found, k) for k in expected} == expected


@pytest.mark.parametrize("flag", ["-n", "--hostname"])
def test_celery_s_worker_names(started: Started, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "web1.example.com")
    assert options(started, flag, "w@%h").name == "w-web1.example.com"
    assert options(started, flag, "w@%n").name == "w-web1"
    assert options(started, flag, "w.%d").name == "w.example.com"
    assert "not a valid name" in run("-A", "shop", "worker", flag, "w 1", code=2).stderr


@pytest.mark.parametrize("flag", ["-l", "--loglevel"])
def test_logs(started: Started, flag: str, tmp_path: Path) -> None:
    run("-A", "shop", "worker", flag, "WARNING", "-f", str(tmp_path / "w.log"), "--log-format", "json")
    assert started.logs == LogSettings(level="WARNING", file=str(tmp_path / "w.log"), format="json")
    assert "log level 'loud': use one of" in run("-A", "shop", "worker", flag, "loud", code=2).stderr


@pytest.mark.parametrize(
    ("args", "flag"),
    [
        (["-E"], "-E"), (["--task-events"], "-E"), (["-O", "fair"], "-O"), (["--without-gossip"], "--without-gossip"),
        (["--without-mingle"], "--without-mingle"), (["--without-heartbeat"], "--without-heartbeat"),
        (["--prefetch-multiplier", "4"], "--prefetch-multiplier"),
    ],
)  # fmt: skip
def test_flags_of_celery_without_effect_say_so_in_one_line(started: Started, args: list[str], flag: str) -> None:
    text = run("-A", "shop", "worker", *args).stderr
    assert text == f"{flag} has no effect: {worker.NO_EFFECT[flag]}\n"
    assert run("-A", "shop", "worker", *args, "-q").stderr in ("", text)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["-B"], "there is no beat (periodic tasks) in Tidewheel yet"),
        (["--autoscale", "10,3"], "there is no --autoscale"),
        (["-D"], "does not detach itself"),
        (["-P", "fibers"], "there are: processes, threads, asyncio, gevent, eventlet, inline"),
        (["-c", "0"], "x>=1"),
        (["-Q", "a b"], "queue 'a b' is not a valid name"),
        (["--max-memory-per-child", "lots"], "no size"),
        (["--time-limit", "never"], "no duration"),
        (["--start-method", "fork"], "is not one of 'forkserver', 'spawn'"),
    ],
)
def test_refused(started: Started, args: list[str], text: str) -> None:
    assert text in " ".join(run("-A", "shop", "worker", *args, code=2).stderr.split())


def test_the_environment(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWHEEL_WORKER_CONCURRENCY", "7")
    monkeypatch.setenv("TIDEWHEEL_WORKER_QUEUES", "a,b")
    monkeypatch.setenv("TIDEWHEEL_APP", "shop")
    run("worker")
    assert (started.options.app, started.options.concurrency, started.options.queues) == ("shop", 7, ("a", "b"))
    assert options(started, "-c", "2").concurrency == 2


def test_a_worker_needs_an_app() -> None:
    assert "which app? Name its module with -A" in run("worker", code=2).stderr


def test_its_exit_code_is_the_command_s(started: Started) -> None:
    started.exit_code = 1
    run("-A", "shop", "worker", code=1)


def test_what_a_child_process_needs_travels_without_being_seen() -> None:
    text = child.encode(WorkerOptions(app="shop", name="w1", url="redis://:secret@host"), LogSettings(level="debug"))
    assert "secret" in text
    assert not any("secret" in part for part in child.command("gevent"))


def test_the_child_process_does_not_import_click() -> None:
    code = "import sys, tidewheel.cli.child; print(*sorted({'click', 'logging.handlers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


# -- pid file ---------------------------------------------------------------------------------------------------------


def test_pidfile_holds_the_id_while_the_worker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "w.pid"
    seen: list[str] = []

    def start(*_: object) -> int:
        seen.append(file.read_text())
        return 0

    monkeypatch.setattr(worker, "start", start)
    run("-A", "shop", "worker", "--pidfile", str(file))
    assert seen == [f"{os.getpid()}\n"]
    assert not file.exists()


def test_pidfile_of_a_living_process_refuses(tmp_path: Path) -> None:
    file = tmp_path / "w.pid"
    file.write_text(f"{os.getppid()}\n")
    with pytest.raises(Failure, match=f"process {os.getppid()} runs already"), pidfile(str(file)):
        pass
    assert file.exists()


@pytest.mark.parametrize("content", ["", "nonsense"])
def test_a_stale_pidfile_is_taken_over(tmp_path: Path, content: str) -> None:
    file = tmp_path / "w.pid"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    file.write_text(content or f"{gone.pid}\n")
    with pidfile(str(file)):
        assert file.read_text() == f"{os.getpid()}\n"
    assert not file.exists()
