"""A server's URL, taken apart and checked as far as that is the same for every server. What is said of a wrong one holds no password."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from tidewheel.errors import ConfigurationError

TLS = ("ca", "cert", "key")
"""Parameters that are paths of PEM files."""


class URL:
    """Its parts."""

    def __init__(self, url: str, shown: str, unreadable: str, *, hosts: bool = False) -> None:
        """`shown` is the URL without its password, `unreadable` what is said of one that cannot be taken apart, `hosts`: there may be more
        than one, which are the driver's business. Raises `ConfigurationError`.
        """
        self.shown = shown
        try:
            parts = urlsplit(url)
            self.port = None if hosts else parts.port
            self.given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:  # its text may hold a piece of the password
            raise ConfigurationError(unreadable) from None
        if parts.fragment:
            raise self.wrong("there is nothing after a #; in a password it is written %23")
        self.scheme = parts.scheme.lower()
        self.host = parts.hostname
        self.path = parts.path
        self.username = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else None

    def wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"broker URL {self.shown!r}: {what}")

    def parameters(self, known: Iterable[str], misplaced: Mapping[str, str]) -> dict[str, str]:
        """Those of the URL: only known ones, each once and with a value. `misplaced`: what else is said of some unknown ones."""
        known = list(known)
        values: dict[str, str] = {}
        for name, value in self.given:
            if name not in known:
                more = f" ({misplaced[name]})" if name in misplaced else ""
                raise self.wrong(f"unknown parameter {name!r}; known are {', '.join(known)}{more}")
            self.put(values, name, value)
        return values

    def put(self, values: dict[str, str], name: str, value: str) -> None:
        """One more parameter."""
        if name in values:
            raise self.wrong(f"the parameter {name!r} is there twice")
        if not value:
            raise self.wrong(f"the parameter {name!r} has no value")
        values[name] = value

    def seconds(self, values: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
        """A parameter that is a time."""
        if name not in values:
            return default
        try:
            found = float(values[name])
        except ValueError:
            found = -1.0
        if not least <= found <= most:
            raise self.wrong(f"{name}={values[name]}: seconds from {least} to {most}")
        return found
