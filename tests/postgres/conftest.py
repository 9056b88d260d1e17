"""Servers for the tests of the PostgreSQL engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import Bouncer, Server
from rig import Rig, load_jobs


@pytest.fixture(scope="session")
def shared() -> Iterator[Server]:
    """One server for all tests that leave it running; each takes a schema or a database of its own."""
    server = Server(fsync="off")
    yield server
    server.close()


@pytest.fixture(scope="session")
def bouncer(shared: Server) -> Iterator[Bouncer]:
    """A pooler in transaction mode before the shared server."""
    bouncer = Bouncer(shared)
    yield bouncer
    bouncer.close()


@pytest.fixture
def url(shared: Server) -> str:
    """An empty database."""
    return shared.database()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers with settings of their own, which the test may kill."""
    servers: list[Server] = []

    def start(**settings: str) -> Server:
        servers.append(Server(**settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """A server of its own for one test."""
    return serve()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Server) -> Iterator[Rig]:
    """Real workers on a database of their own; a dead worker is noticed after some seconds."""
    monkeypatch.setenv("JOBS_URL", f"{shared.database()}?lease=3")
    monkeypatch.setenv("HISTORY", str(tmp_path / "history"))
    rig = Rig(tmp_path, load_jobs())
    yield rig
    rig.close()
