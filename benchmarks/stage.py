"""A stage: a fresh broker, one file of marks, and the producers and the worker of one variant on it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import machine
from marks import Marks
from services import Service

HERE = pathlib.Path(__file__).resolve().parent


class Variant:
    """One way to run one peer; the adapter module names and configures it."""

    def __init__(self, name: str, adapter: ModuleType, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.adapter = adapter
        self.cases: list[str] = settings["cases"].split()
        self.note: str = settings["note"]
        self.engines: list[str] = settings["engines"].split()
        """In which tables it stands."""
        self.services: list[str] = settings.get("services", "").split()
        """The servers that it needs. The first is its broker, whose CPU and requests are counted."""
        self.results: bool = settings.get("results", True)
        self.patience: float = settings.get("patience", 0.0)
        """Seconds after which what a killed worker held is run again, and some."""
        self.setup: bool = settings.get("setup", False)
        """The adapter's `setup` is to be called once, before anything else (a schema)."""
        self.ours = name.startswith("tidewheel")
        self.venv = pathlib.Path()
        self.source: pathlib.Path | None = None


class Stage:
    def __init__(
        self, variant: Variant, root: pathlib.Path, services: Sequence[Service], n: int, *, results: bool = False, drain: bool = False
    ) -> None:
        self.variant, self.n, self.drain = variant, n, drain
        self.broker = services[0] if services else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{variant.name}-", dir=root))
        self.data = self.folder / "data"
        self.data.mkdir()
        self.marks = Marks(str(self.folder / "marks"), n, create=True)
        self.log = self.folder / "worker.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.started = 0.0
        paths = [str(HERE), *([str(variant.source)] if variant.ours else [])]
        self.env = {
            **os.environ,
            "PATH": f"{variant.venv}/bin:{os.environ['PATH']}", "PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "",
            "BENCH_VARIANT": variant.name, "BENCH_ADAPTER": variant.adapter.__name__.rpartition(".")[2], "BENCH_RESULTS": str(int(results)),
            "BENCH_MARKS": str(self.folder / "marks"), "BENCH_N": str(n), "BENCH_DATA": str(self.data),
        }  # fmt: skip
        for service in services:
            self.env[f"BENCH_{service.name.upper()}"] = service.fresh()
        if variant.setup:
            self.produce("setup")

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- the two sides --------------------------------------------------------------------------------------------------

    def produce(self, mode: str, *args: object) -> dict[str, Any]:
        """Run producer.py to its end."""
        command = [self.variant.venv / "bin/python", HERE / "producer.py", mode, *map(str, args)]
        done = subprocess.run(command, env=self.env, cwd=HERE, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f"the producer failed: {done.stderr[-1500:]}{self.said()}")
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    def work(self) -> None:
        """Start the worker."""
        command = self.variant.adapter.worker(self.variant.name, self.drain)
        with open(self.log, "ab") as log:
            self.started = time.monotonic()
            self.processes.append(subprocess.Popen(command, env=self.env, cwd=HERE, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def said(self) -> str:
        return "\nthe worker said: " + self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""

    def stop(self) -> float:
        """End the worker with SIGTERM. Returns the seconds that took."""
        before = time.monotonic()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        try:
            for process in self.processes:
                process.wait(15)
        except subprocess.TimeoutExpired:
            pass
        took = time.monotonic() - before
        self.kill()
        return took

    def kill(self) -> None:
        machine.kill(self.roots)
        for process in self.processes:
            process.wait()
        self.processes = []

    @property
    def roots(self) -> list[int]:
        return [p.pid for p in self.processes]

    def pids(self) -> list[int]:
        return machine.tree(self.roots)

    # -- watching -------------------------------------------------------------------------------------------------------

    def wait(self, count: int, seconds: float, *, stall: float = 60.0) -> bool:
        """Until `count` jobs are done (True), `seconds` are over, or nothing has moved for `stall` seconds."""
        now = time.monotonic()
        end, last, moved = now + seconds, -1, now
        while (now := time.monotonic()) < end and now - moved < stall:
            n = self.marks.n_done()
            if n >= count:
                return True
            if n != last:
                last, moved = n, now
            if self.processes and all(p.poll() is not None for p in self.processes):
                raise RuntimeError("the worker ended" + self.said())
            time.sleep(0.005 if n == 0 else 0.02)
        return False

    def first_start(self) -> float:
        starts = [x for x in self.marks.start if x]
        if not starts:
            raise RuntimeError("no job has run" + self.said())
        return min(starts)

    def latencies(self, first: int, count: int) -> dict[str, Any]:
        """Milliseconds from the call that enqueues to the start of the body."""
        m = self.marks
        return percentiles([(m.start[i] - m.sent[i]) * 1e3 for i in range(first, first + count) if m.done[i]])

    def broker_cpu(self) -> float | None:
        """Seconds of CPU that the broker's server has used; None where there is none."""
        return None if self.broker is None else self.broker.cpu()

    def stored(self) -> int:
        """Bytes that the broker holds."""
        if self.broker is not None:
            return self.broker.stored()
        return sum(f.stat().st_size for f in self.data.rglob("*") if f.is_file())


def percentiles(ms: list[float]) -> dict[str, Any]:
    if not ms:
        raise RuntimeError("nothing was measured")
    ordered = sorted(ms)
    return {"n": len(ms), **{f"p{p}": ordered[min(len(ms) - 1, len(ms) * p // 100)] for p in (50, 95, 99)}, "max": ordered[-1]}
