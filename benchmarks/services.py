"""What every server of a run has in common: private, on a free port of 127.0.0.1, in a temporary folder, stopped by its process id.

One kind a file: `server_redis.py`, `server_postgres.py`, `server_rabbitmq.py`.
"""

from __future__ import annotations

import abc
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import ClassVar

import machine


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Service(abc.ABC):
    name: ClassVar[str]
    """As in the variants' `services`; `BENCH_<NAME>` has the URL."""
    told: ClassVar[str]
    """As people call it."""
    needs: ClassVar[str]
    """What to install when it is not there."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL
    process: subprocess.Popen[bytes]

    def __init__(self, root: pathlib.Path) -> None:
        if not self.installed():
            raise SystemExit(f"this needs {self.told}: {self.needs}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=root))
        self.port = free_port()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    @classmethod
    @abc.abstractmethod
    def installed(cls) -> bool: ...

    @classmethod
    @abc.abstractmethod
    def version(cls) -> str: ...

    @abc.abstractmethod
    def _start(self) -> None:
        """Set `process`, and return when the server answers."""

    @abc.abstractmethod
    def fresh(self) -> str:
        """An empty one; its URL."""

    @abc.abstractmethod
    def stored(self) -> int:
        """Bytes that it holds."""

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        return machine.cpu(machine.tree([self.process.pid]))

    def counting(self) -> Callable[[], int] | None:
        """From now on; to be called once, for how many requests clients have sent. None: cannot be told."""
        return None

    def stop(self) -> None:
        process: subprocess.Popen[bytes] | None = getattr(self, "process", None)
        if process is not None:
            process.send_signal(self.stop_signal)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answering(self, ask: Callable[[], object], seconds: float) -> None:
        """Wait until `ask` does not raise."""
        end = time.monotonic() + seconds
        while True:
            try:
                ask()
                return
            except (OSError, subprocess.CalledProcessError) as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise TimeoutError(f"{self.told} does not answer: {error}") from error
            time.sleep(0.05)
