"""A private PostgreSQL: on a free port of this machine, with its data in a folder of its own; and a private PgBouncer before it."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from rig import until

NEEDED = "these tests need PostgreSQL: apt-get install postgresql (make postgres does it)"


def programs() -> Path:
    """The folder of the newest server's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[-2]))
    if not found and (initdb := shutil.which("initdb")):
        found = [os.path.dirname(os.path.realpath(initdb))]
    assert found, NEEDED
    return Path(found[-1])


def _as_nobody() -> dict[str, Any]:
    """A server refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def place(kind: str) -> Path:
    """A new folder that the server's user may enter; not in pytest's own, which every new run of pytest shuts for others."""
    folder = Path(tempfile.mkdtemp(prefix=f"tidewheel-{kind}-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    return folder


class Server:
    """One server. `start`, `kill` and `start` again find the same data."""

    def __init__(self, **settings: str) -> None:
        self.folder = folder = place("postgres")
        self.data = folder / "data"
        self.port = free_port()
        self.settings = {
            "port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder), "max_connections": "200",
            "shared_buffers": "64MB", "log_min_messages": "warning", "autovacuum_naptime": "10s", **settings,
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        made = subprocess.run(
            [programs() / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "--locale", "C", "-E", "UTF8"],
            capture_output=True, cwd="/", check=False, **_as_nobody(),
        )  # fmt: skip
        assert made.returncode == 0, made.stderr.decode()
        self.databases = 0
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        command = [str(programs() / "postgres"), "-D", str(self.data)]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **_as_nobody())
        self.wait()

    def wait(self) -> None:
        """Until it answers."""
        until("PostgreSQL answers", self._answers_or_ended, 60)
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()

    def _answers_or_ended(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            return True
        try:
            self.client().close()
        except psycopg.OperationalError:
            return False
        return True

    def client(self, dbname: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        """A plain connection, past everything of ours."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=dbname, autocommit=True, connect_timeout=5, **options
        )

    def sql(self, text: str, dbname: str = "postgres") -> list[Any]:
        with self.client(dbname) as client:
            cursor = client.execute(text.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def database(self) -> str:
        """A new database; its URL."""
        self.databases += 1
        self.sql(f"CREATE DATABASE db{self.databases}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/db{self.databases}"

    def kill(self) -> None:
        """As by `pg_ctl stop -m immediate`: no checkpoint, recovery at the next start."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Bouncer:
    """A PgBouncer in transaction mode before a server."""

    def __init__(self, server: Server) -> None:
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        assert os.access(program, os.X_OK), "these tests need PgBouncer: apt-get install pgbouncer (make postgres does it)"
        self.folder = folder = place("bouncer")
        self.port = free_port()
        self.server = server
        (folder / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 10\n"
            f"max_client_conn = 200\nlogfile = {folder / 'log'}\n"
        )
        self.process = subprocess.Popen(
            [program, "-q", str(folder / "ini")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            **_as_nobody(),
        )  # fmt: skip
        until("PgBouncer answers", self._answers_or_ended, 20)
        assert self.process.poll() is None, (folder / "log").read_text()

    def _answers_or_ended(self) -> bool:
        if self.process.poll() is not None:
            return True
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def through(self, url: str) -> str:
        """The same database, by way of the pooler."""
        return url.replace(f":{self.server.port}/", f":{self.port}/")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
