"""A private RabbitMQ: on free ports of this machine, with its data, its Erlang port mapper and its cookie in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from rig import until

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""Debian's. What it has in /usr/sbin insists on being root or the user rabbitmq."""

DUE_AGAIN = "-rabbit dead_letter_worker_publisher_confirm_timeout 3000"
"""Milliseconds after which what became due while a queue had no leader (the server starts) is moved again; by default three minutes."""


class Server:
    """One node. `start`, `kill` and `start` again find the same data."""

    def __init__(self, folder: Path, config: str = "") -> None:
        assert (PROGRAMS / "rabbitmq-server").exists(), "these tests need RabbitMQ: apt-get install rabbitmq-server"
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.tls_port = free_port()
        self._epmd = str(free_port())
        (folder / "rabbitmq.conf").write_text(config.replace("TLS_PORT", str(self.tls_port)))
        self._env = dict(
            os.environ, HOME=str(folder), RABBITMQ_NODENAME=f"tidewheel{self.port}@localhost", RABBITMQ_NODE_PORT=str(self.port),
            RABBITMQ_NODE_IP_ADDRESS="127.0.0.1", RABBITMQ_DIST_PORT=str(free_port()), ERL_EPMD_PORT=self._epmd,
            ERL_EPMD_ADDRESS="127.0.0.1", RABBITMQ_MNESIA_BASE=str(folder / "data"), RABBITMQ_LOG_BASE=str(folder / "log"),
            RABBITMQ_CONFIG_FILE=str(folder / "rabbitmq"), RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "plugins"),
            RABBITMQ_PID_FILE=str(folder / "pid"), RABBITMQ_GENERATED_CONFIG_DIR=str(folder / "config"),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=f"+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none {DUE_AGAIN}", LC_ALL="C.UTF-8",
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()  # nobody else will: the fixture never came to its end
            raise

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self.folder / "out").open("ab") as out:
            command = [str(PROGRAMS / "rabbitmq-server")]
            self._process = subprocess.Popen(
                command, env=self._env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=self.folder
            )
        until("RabbitMQ answers", self._answers_or_ended, 60)
        assert self._process.poll() is None, (self.folder / "out").read_text()

    def _answers_or_ended(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            return True
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                sock.settimeout(2)
                sock.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(sock.recv(1))  # it answers once it is through with starting
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """Of the Erlang machine; what we started is a shell round it."""
        return int((self.folder / "pid").read_text())

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def ctl(self, *words: str) -> str:
        """Run rabbitmqctl: about a second."""
        done = subprocess.run([str(PROGRAMS / "rabbitmqctl"), "-q", *words], env=self._env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        self.kill()
        epmd = shutil.which("epmd")
        if epmd is not None:
            # It refuses for as long as it has not noticed that its node is gone.
            command = [epmd, "-port", self._epmd, "-kill"]
            until("epmd ends", lambda: b"not allowed" not in subprocess.run(command, capture_output=True, timeout=10, check=False).stdout)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
