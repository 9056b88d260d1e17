"""A server for the tests of the RabbitMQ engine: one for all, as it takes seconds to start. Each test has names of its own on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from proxy import Proxy
from rabbitmq_server import Server
from rig import Rig, load_jobs

_numbers = itertools.count()
TLS = """
listeners.ssl.1 = 127.0.0.1:TLS_PORT
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
"""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the authority's certificate, `ca.pem`, and the server's."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    server.private_key_pem.write_to_path(folder / "server.key")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Server]:
    """The server. Who stops it or stops it up must mend it before the test ends."""
    server = Server(tmp_path_factory.mktemp("rabbitmq") / "node", TLS.format(folder=certificates))
    yield server
    server.close()


@pytest.fixture
def url(server: Server) -> str:
    """The server, with names that no other test uses."""
    return f"{server.url}?prefix=t{next(_numbers)}"


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A way to the server that can be disturbed."""
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[Rig]:
    """Real workers, and the app of `tests/worker/apps/jobs.py` on RabbitMQ alone."""
    monkeypatch.setenv("JOBS_URL", url)
    monkeypatch.setenv("HISTORY", str(tmp_path / "history"))
    rig = Rig(tmp_path, load_jobs())
    yield rig
    rig.close()
