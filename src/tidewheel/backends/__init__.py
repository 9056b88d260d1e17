"""One folder per engine, one file per role it fills: the listing is the feature table. This module only maps URLs to folders."""

from __future__ import annotations

import importlib
import os
import re
from urllib.parse import parse_qsl, urlsplit

from tidewheel.contract import Backend
from tidewheel.errors import ConfigurationError

ENGINES = {
    "memory": "memory", "sqlite": "sqlite",
    "postgresql": "postgres", "postgres": "postgres",
    "redis": "redis", "rediss": "redis", "unix": "redis", "valkey": "redis", "valkeys": "redis",
    "amqp": "rabbitmq", "amqps": "rabbitmq",
}  # fmt: skip
"""URL scheme -> folder."""


def connect(url: str, results: str | None = None) -> Backend:
    """The engine that a URL names, wired but not opened; with its results in another engine if `results` names one. An engine that cannot
    look jobs up (it has a `carrier`) has all that it lacks from there.

    Raises `ConfigurationError` for a URL that names none, and for `results` where none can be kept.
    """
    backend = _engine(url, "broker")
    if results is None or absolute(results) == absolute(url):
        return backend
    keeper = _engine(results, "results")
    if backend.carrier is not None and keeper.tracker is not None:
        from tidewheel.backends.tracked import tracked

        return tracked(backend, keeper, _place(url))
    from tidewheel.backends.apart import apart

    if keeper.archive is None or keeper.results is None:
        raise ConfigurationError(f"results URL {mask(results)!r}: this engine cannot keep the results of another; sqlite:// can")
    return apart(backend, keeper, keeper.archive, keeper.results)


def _engine(url: str, what: str) -> Backend:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):", url)
    engine = ENGINES.get(scheme[1].lower()) if scheme else None
    if engine is None:
        known = ", ".join(f"{s}://" for s in ENGINES)
        raise ConfigurationError(f"{what} URL {mask(url)!r}: unknown engine; use one of {known} (for example sqlite:///tidewheel.db)")
    backend: Backend = importlib.import_module(f"tidewheel.backends.{engine}").connect(url)
    return backend


def _place(url: str) -> str:
    """A broker's name in the engine that keeps its jobs: the same for whoever writes its URL, whatever they call its host."""
    parts = urlsplit(url)
    path = re.sub("%2f", "", parts.path, flags=re.IGNORECASE).strip("/")
    prefix = dict(parse_qsl(parts.query)).get("prefix")
    return "/".join(filter(None, (ENGINES[parts.scheme.lower()], path))) + (f"?{prefix}" if prefix else "")


def absolute(url: str) -> str:
    """The same URL with a relative file path made absolute, fit for another process."""
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        return "sqlite:///" + os.path.abspath(url[len("sqlite:///") :])
    return url


def mask(url: str) -> str:
    """The URL without its password, fit for logs and pages."""
    return re.sub(r"(://[^/@\s]*?:)[^/\s]*@", r"\1***@", url)
