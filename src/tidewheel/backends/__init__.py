"""One folder per engine, one file per role it fills: the listing is the feature table. This module only maps URLs to folders."""

from __future__ import annotations

import importlib
import os
import re

from tidewheel.contract import Backend
from tidewheel.errors import ConfigurationError

ENGINES = {"memory": "memory", "sqlite": "sqlite"}
"""URL scheme -> folder."""


def connect(url: str) -> Backend:
    """The engine that a URL names, wired but not opened. Raises `ConfigurationError` for a URL that names none."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):", url)
    engine = ENGINES.get(scheme[1].lower()) if scheme else None
    if engine is None:
        known = ", ".join(f"{s}://" for s in ENGINES)
        raise ConfigurationError(f"broker URL {mask(url)!r}: unknown engine; use one of {known} (for example sqlite:///tidewheel.db)")
    backend: Backend = importlib.import_module(f"tidewheel.backends.{engine}").connect(url)
    return backend


def absolute(url: str) -> str:
    """The same URL with a relative file path made absolute, fit for another process."""
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        return "sqlite:///" + os.path.abspath(url[len("sqlite:///") :])
    return url


def mask(url: str) -> str:
    """The URL without its password, fit for logs and pages."""
    return re.sub(r"(://[^/@\s]*?:)[^/\s]*@", r"\1***@", url)
