"""PostgreSQL with its default durability (fsync, synchronous_commit): a cluster of its own, a database for each measurement."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import machine
from services import Service

PROGRAMS = max(glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin"), default="", key=lambda p: p.rpartition("/bin")[0])
"""Debian keeps initdb and postgres off the PATH, one folder a version."""


def _program(name: str) -> str:
    return f"{PROGRAMS}/{name}" if PROGRAMS else shutil.which(name) or ""


class Postgres(Service):
    name, told = "postgres", "PostgreSQL"
    needs = "apt-get install postgresql"
    stop_signal = signal.SIGQUIT  # at once; what it wrote is deleted anyway

    @classmethod
    def installed(cls) -> bool:
        return bool(_program("initdb")) and shutil.which("psql") is not None

    @classmethod
    def version(cls) -> str:
        text = subprocess.run([_program("postgres"), "--version"], capture_output=True, text=True).stdout
        return "PostgreSQL " + text.partition(")")[2].split()[0]

    def _start(self) -> None:
        # It refuses to run as root; then it is the user that the package made.
        user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if user:
            shutil.chown(self.folder, "postgres", "postgres")
        data = self.folder / "data"
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **user,
        )  # fmt: skip
        settings = {"listen_addresses": "127.0.0.1", "max_connections": "200"}
        self.process = subprocess.Popen(
            [_program("postgres"), "-D", data, "-p", str(self.port), "-k", self.folder, *(f"--{k}={v}" for k, v in settings.items())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user,
        )  # fmt: skip
        self._database = 0
        self._answering(lambda: self._sql("SELECT 1"), 30)

    def fresh(self) -> str:
        if self._database:
            self._sql(f"DROP DATABASE bench{self._database} WITH (FORCE)")
        self._database += 1
        self._sql(f"CREATE DATABASE bench{self._database}")
        self._sql("CHECKPOINT")  # the copy of the template shall not be written during the measurement
        return f"postgresql://postgres@127.0.0.1:{self.port}/bench{self._database}"

    def stored(self) -> int:
        return int(self._sql(f"SELECT pg_database_size('bench{self._database}')"))

    def cpu(self) -> float:
        """Those of its processes that have ended are counted, too: one serves a connection and ends with it. In ticks."""
        return machine.ended_and_living(self.process.pid)

    def counting(self) -> Callable[[], int]:
        """Transactions, statements outside of one included."""
        before = self._transactions()
        return lambda: self._transactions() - before

    def _transactions(self) -> int:
        time.sleep(1.2)  # its processes report at most once a second
        return int(self._sql(f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'bench{self._database}'"))

    def _sql(self, text: str) -> str:
        """One statement, from outside the measured database: this process has no PostgreSQL client."""
        return subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-XqAt", "-c", text, "postgres"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
