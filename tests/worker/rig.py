"""Real workers for tests: processes that are really started, signalled and killed, and the history that their jobs wrote."""

from __future__ import annotations

import importlib.util
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from tidewheel.result import Result

APPS = Path(__file__).parent / "apps"
T = TypeVar("T")

SEED = int(os.environ.get("KILL_SEED", "20261122"))
"""Decides who is killed, and when."""


def until(what: str, condition: Callable[[], T], seconds: float = 30.0) -> T:
    """What `condition` answers as soon as it is true; fails with `what` and its last answer when that takes too long."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what} (last: {answer!r})")
        time.sleep(0.005)  # the one place where worker tests wait: what they wait for happens in other processes


def load_jobs() -> ModuleType:
    """The app of `apps/jobs.py` in this process, on the broker that JOBS_URL names now."""
    spec = importlib.util.spec_from_file_location("jobs", APPS / "jobs.py")
    assert spec is not None
    assert spec.loader is not None
    jobs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(jobs)
    return jobs


class Line(NamedTuple):
    what: str
    job: str
    value: str
    pid: int


class Rig:
    """A folder with a broker, an app (`tests/worker/apps/jobs.py`) and any number of workers."""

    def __init__(self, folder: Path, jobs: ModuleType) -> None:
        self.folder = folder
        self.jobs = jobs
        self.app = jobs.app
        self.history_file = folder / "history"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.logs: list[Path] = []

    def start(self, *flags: str, wait: bool = True) -> subprocess.Popen[bytes]:
        """A worker process; by default once it is ready."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        env = dict(os.environ, JOBS_URL=self.app.url, HISTORY=str(self.history_file), PYTHONPATH=str(APPS), PYTHONFAULTHANDLER="")
        with log.open("wb") as out:
            command = [sys.executable, "-m", "tidewheel", "-A", "jobs", "worker", "-l", "info", *flags]
            process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self.workers.append(process)
        self.logs.append(log)
        if wait:
            until(f"worker ready; its log: {log}", lambda: b"ready" in log.read_bytes() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
        return process

    def log(self, which: int = -1) -> str:
        return self.logs[which].read_text(errors="replace")

    def history(self, what: str = "") -> list[Line]:
        if not self.history_file.exists():
            return []
        lines = [Line(a, b, c, int(d)) for a, b, c, d in (x.rsplit(" ") for x in self.history_file.read_text().splitlines())]
        return [x for x in lines if not what or x.what == what]

    def runs(self) -> Counter[str]:
        """How often each job started."""
        return Counter(x.job for x in self.history("start"))

    def started(self, n: int = 1) -> list[Line]:
        return until(f"{n} starts", lambda: len(s := self.history("start")) >= n and s)

    def stop(self, process: subprocess.Popen[bytes], sig: int = signal.SIGTERM, seconds: float = 40.0) -> int:
        process.send_signal(sig)
        return process.wait(seconds)

    def kill_workers(self, kills: int, jobs: int, *pools: Sequence[str], done: Callable[[], int] | None = None) -> set[int]:
        """While two workers do `jobs` jobs, kill one of them again and again, each time after some more of these; another takes its place.

        `pools` are the flags of workers, in turn; `done` tells how many jobs have ended. Answers every process that died.
        """
        rng, killed, flags = random.Random(SEED), set[int](), itertools.cycle(pools)
        workers = [self.start(*next(flags)) for _ in range(2)]
        for k in range(kills):
            self._some_more(jobs, rng.randrange(10, 60), done)
            victim = workers.pop(rng.randrange(2))
            killed |= family(victim.pid)
            victim.kill()
            victim.wait()
            workers.append(self.start(*next(flags), wait=k % 2 == 0))
        return killed

    def kill_executors(self, kills: int, jobs: int) -> set[int]:
        """While `jobs` jobs are done, kill a process that runs one, again and again. Answers every process that died."""
        rng, killed = random.Random(SEED), set[int]()
        for _ in range(kills):
            self._some_more(jobs, rng.randrange(5, 50))
            for pid in [line.pid for line in self.history("start")[-2:] if alive(line.pid)][:1]:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        return killed

    def _some_more(self, jobs: int, more: int, done: Callable[[], int] | None = None) -> None:
        ended = done or (lambda: len(self.history("end")))
        enough = min(jobs - 10, ended() + more)  # the last ones are left for whoever comes after the last kill
        until("some more jobs ended", lambda: ended() > enough)

    def check(self, results: list[Result[Any]], killed: set[int], *, most_extra: int, seconds: float = 90.0) -> None:
        """Every job ended well, with its number as its value; every run but a job's last was in a process that died; nothing is left."""
        assert sorted(r.get(seconds) for r in results) == list(range(len(results)))
        runs: dict[str, list[int]] = {}
        for line in self.history("start"):
            runs.setdefault(line.job, []).append(line.pid)
        for job, pids in runs.items():
            survivors = [p for p in pids[:-1] if p not in killed]
            assert not survivors, f"job {job} ran again although {survivors} had not died"
        extra = sum(len(pids) - 1 for pids in runs.values())
        assert extra <= most_extra, f"{extra} repeated runs for at most {most_extra} that died"
        counts = self.app.counts()
        assert sum(c.ready + c.scheduled + c.running + c.dead for c in counts.values()) == 0, counts

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.app.close()
        os.close(self.jobs._fd)


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """All descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents.setdefault(int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
            except OSError:
                continue
    out, todo = [], [pid]
    while todo:
        found = parents.get(todo.pop(), [])
        out += found
        todo += found
    return out


def family(pid: int) -> set[int]:
    """A process and all its descendants."""
    return {pid, *children(pid)}
