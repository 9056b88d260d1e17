"""Servers for the tests of the Redis engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from field import loaded
from proxy import Proxy
from redis_server import Server
from rig import Rig, load_jobs


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a whole module, whose tests leave it running and take an empty database each."""
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with settings of their own, which the test may kill."""
    servers: list[Server] = []

    def start(**settings: str) -> Server:
        servers.append(Server(tmp_path / f"redis-{len(servers)}", **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """A server of its own for one test."""
    return serve()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A way to `server` that can be disturbed."""
    loaded(server, "publish", "publish_one", "claim", "settle", "owned", "beat")
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Server]) -> Iterator[Rig]:
    """Real workers on a server of their own, which keeps what it accepted; a dead worker is noticed after some seconds."""
    server = serve(appendonly="yes", appendfsync="everysec")
    monkeypatch.setenv("JOBS_URL", f"{server.url}?lease=3")
    monkeypatch.setenv("HISTORY", str(tmp_path / "history"))
    rig = Rig(tmp_path, load_jobs())
    rig.server = server  # type: ignore[attr-defined]
    yield rig
    rig.close()
