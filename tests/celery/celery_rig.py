"""What the tests of this folder share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rig import until

from tidewheel.celery import Celery
from tidewheel.testing import running

TIMEOUT = 20.0
"""Seconds that a result may take; only a test that fails takes so long."""


class Working:
    """Runs an app's tasks while the test looks."""

    @contextmanager
    def __call__(self, app: Celery, **options: Any) -> Iterator[None]:
        with running(app.native, **options):
            yield


class Workplace:
    """A folder with a project, and worker processes for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEWHEEL", "DJANGO", "CELERY"))} | {
            "PYTHONPATH": str(folder)
        }

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def worker(self, app: str, *flags: str, ready: bool = True) -> Path:
        """A worker of this project; answers its log, when it is ready."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "tidewheel", "-A", app, "worker", "-l", "info", *flags], cwd=self.folder, env=self.env, stdout=out,
                stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self.workers.append(process)
        if ready:
            until(f"worker ready; its log: {log}", lambda: b"ready" in log.read_bytes() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
        return log

    def stop(self, which: int = -1) -> int:
        process = self.workers[which]
        process.send_signal(signal.SIGTERM)
        return process.wait(40)

    def run(self, code: str) -> str:
        """What a Python program prints that runs in the folder."""
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr + self.logs()
        return done.stdout

    def logs(self) -> str:
        return "".join(f"\n--- {p.name}\n{p.read_text()}" for p in sorted(self.folder.glob("worker-*.log")))

    def said(self, name: str) -> list[str]:
        """The lines of a file that tasks wrote."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.kill()
                process.wait()
