"""RabbitMQ with its default settings: a node of its own with its own epmd, a virtual host for each measurement."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

from services import Service, free_port

PROGRAMS = pathlib.Path("/usr/lib/rabbitmq/bin")
"""Debian's commands on the PATH insist on the user rabbitmq; these do not."""


def _program(name: str) -> str:
    return str(PROGRAMS / name) if (PROGRAMS / name).exists() else shutil.which(name) or ""


class RabbitMQ(Service):
    name, told = "rabbitmq", "RabbitMQ"
    needs = "apt-get install rabbitmq-server"
    stop_signal = signal.SIGTERM

    @classmethod
    def installed(cls) -> bool:
        return bool(_program("rabbitmq-server"))

    @classmethod
    def version(cls) -> str:
        found = sorted(p.name for p in pathlib.Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        return "RabbitMQ " + (found[-1].partition("-")[2] if found else "")

    def _start(self) -> None:
        base = self.folder
        self._environment = {
            **os.environ, "HOME": str(base), "RABBITMQ_NODENAME": f"bench{self.port}@localhost", "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": str(free_port()), "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": f"{base}/mnesia", "RABBITMQ_LOG_BASE": f"{base}/log",
            "RABBITMQ_CONFIG_FILE": f"{base}/none", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/plugins",
            "RABBITMQ_PID_FILE": f"{base}/pid", "RABBITMQ_GENERATED_CONFIG_DIR": f"{base}/config",
        }  # fmt: skip
        self._host = 0
        self.process = subprocess.Popen(
            [_program("rabbitmq-server")], env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=base,
        )  # fmt: skip
        self._answering(lambda: self._ctl("await_startup", "--timeout", "60"), 90)

    def fresh(self) -> str:
        """All in one call: each starts an Erlang of its own, which takes a second."""
        old, self._host = self._host, self._host + 1
        drop = f'rabbit_vhost:delete(<<"v{old}">>, <<"bench">>), ' if old else ""
        self._ctl(
            "eval",
            f'{drop}rabbit_vhost:add(<<"v{self._host}">>, <<"bench">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, <<"v{self._host}">>, <<".*">>, <<".*">>, <<".*">>, <<"bench">>).',
        )
        return f"amqp://guest:guest@127.0.0.1:{self.port}/v{self._host}"

    def stored(self) -> int:
        """Memory of the node, after a collection; what queues keep on disk alone is not in it."""
        text = self._ctl("eval", "[erlang:garbage_collect(P) || P <- processes()], erlang:memory(total).")
        return int(re.findall(r"\d+", text)[-1])

    def stop(self) -> None:
        """The node, and what it started: its epmd, which nobody else uses, does not end with it."""
        super().stop()
        for pid in self._ours():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _ours(self) -> list[int]:
        """Processes whose home is our folder."""
        mark, found = f"HOME={self.folder}".encode(), []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if mark in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(int(pid))
        return found

    def _ctl(self, *words: str) -> str:
        return subprocess.run(
            [_program("rabbitmqctl"), "-q", *words], env=self._environment, cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout
