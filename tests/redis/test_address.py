"""What a URL may say, and what is said of those that say something else."""

from __future__ import annotations

import pytest

from tidewheel.backends import connect
from tidewheel.backends.redis.address import parse
from tidewheel.errors import ConfigurationError, MissingExtra


def test_the_usual() -> None:
    a = parse("redis://10.0.0.1:6380/3", {})
    assert (a.host, a.port, a.db, a.username, a.password, a.prefix, a.tls, a.path) == (
        "10.0.0.1",
        6380,
        3,
        None,
        None,
        "tidewheel",
        False,
        None,
    )


def test_nothing_but_a_host() -> None:
    a = parse("redis://localhost", {})
    assert (a.host, a.port, a.db) == ("localhost", 6379, 0)


@pytest.mark.parametrize(("scheme", "tls"), [("redis", False), ("rediss", True), ("valkey", False), ("valkeys", True), ("REDIS", False)])
def test_schemes(scheme: str, tls: bool) -> None:
    assert parse(f"{scheme}://h/0", {}).tls is tls


def test_who_asks() -> None:
    a = parse("redis://me:p%40ss%2Fword@h/0", {"TIDEWHEEL_REDIS_PASSWORD": "other"})
    assert (a.username, a.password) == ("me", "p@ss/word")
    assert "p%40ss" not in a.url
    assert parse("redis://:secret@h", {}).password == "secret"


def test_the_password_of_the_environment() -> None:
    a = parse("redis://me@h/0", {"TIDEWHEEL_REDIS_PASSWORD": "hidden"})
    assert (a.username, a.password) == ("me", "hidden")


def test_a_unix_socket() -> None:
    a = parse("unix:///run/redis/a%20b.sock?db=2&prefix=shop", {})
    assert (a.path, a.db, a.prefix, a.where) == ("/run/redis/a b.sock", 2, "shop", "/run/redis/a b.sock")


def test_a_lease() -> None:
    a = parse("redis://h?lease=6", {})
    assert (a.lease, a.beat) == (6.0, 2.0)
    assert parse("redis://h", {}).beat == 10.0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h/0?timeout=3", "unknown parameter 'timeout'"),
        ("redis://h/0?db=1", "unknown parameter 'db'"),
        ("redis://h/0?ca=/x.pem", "TLS files belong to rediss://"),
        ("redis://h/0?prefix=", "has no value"),
        ("redis://h/0?prefix=a&prefix=b", "twice"),
        ("redis://h/0?prefix=a{b}", "letters, digits"),
        ("redis://h/0?lease=soon", "seconds from 1"),
        ("redis://h/0?lease=0.1", "seconds from 1"),
        ("redis://h/0?prefix", "expected redis://"),
        ("redis://h/queue", "the database is a number"),
        ("redis://h:port/0", "expected redis://"),
        ("redis://h:99999/0", "expected redis://"),
        ("redis://:pass#word@h/0", "%23"),
        ("redis://h/0#x", "%23"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix:///", "expected the path"),
    ],
)
def test_what_is_wrong_is_said(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        parse(url, {})
    assert "word@h" not in str(raised.value).replace("password@h", "")


def test_no_password_in_an_error() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse("redis://me:secret@h/0?x=1", {})
    assert "secret" not in str(raised.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "tidewheel\[redis\]"'):
        connect("redis://127.0.0.1/0")
