"""A private redis-server: on a free port of this machine, or on a unix socket, with its data in a folder of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import redis
from rig import until


class Server:
    """One server. `start`, `kill` and `start` again find the same data, if it keeps any."""

    def __init__(self, folder: Path, **settings: str) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program is not None, "these tests need redis-server: apt-get install redis-server"
        self._program = program
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.socket = folder / "socket"
        self.settings = {
            "port": str(self.port), "bind": "127.0.0.1", "unixsocket": str(self.socket), "dir": str(folder), "save": "",
            "appendonly": "no", "daemonize": "no", "logfile": str(folder / "log"),
        }  # fmt: skip
        if "cluster_enabled" in settings:
            self.settings["cluster-port"] = str(_free_port())  # else it is the port + 10000, which may be none
        self.settings.update({name.replace("_", "-"): value for name, value in settings.items()})
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [self._program]
        for name, value in self.settings.items():
            command += [f"--{name}", *(value.split() if name == "rename-command" else [value])]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        until("redis-server answers", self._answers_or_ended, 20)
        assert self.process.poll() is None, (self.folder / "log").read_text()

    def _answers_or_ended(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            return True
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def client(self, **options: Any) -> redis.Redis:
        """A plain client, past everything of ours."""
        password = self.settings.get("requirepass")
        return redis.Redis(host="127.0.0.1", port=self.port, password=password, protocol=2, **options)

    def kill(self) -> None:
        """As by a power switch for the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


def _free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
