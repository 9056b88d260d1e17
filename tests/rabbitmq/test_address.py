"""The URL: what it says, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from tidewheel.backends.rabbitmq.address import Address, parse
from tidewheel.errors import ConfigurationError


def test_the_defaults() -> None:
    a = parse("amqp://", {})
    assert (a.host, a.port, a.vhost, a.username, a.password, a.prefix) == ("127.0.0.1", 5672, "/", "guest", "guest", "tidewheel")
    assert (a.heartbeat, a.confirm_timeout, a.connect_timeout, a.consumer_timeout, a.tls) == (15.0, 10.0, 5.0, 0.0, False)


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("amqp://h:1/shop", {"host": "h", "port": 1, "vhost": "shop"}),
        ("amqp://h/", {"vhost": "/"}),
        ("amqp://h/%2F", {"vhost": "/"}),
        ("amqp://h/a%2Fb", {"vhost": "a/b"}),
        ("amqp://u:p%40%2F@h", {"username": "u", "password": "p@/"}),
        ("amqps://h?ca=/ca.pem&cert=/c.pem&key=/k.pem", {"tls": True, "port": 5671, "ca": "/ca.pem", "cert": "/c.pem", "key": "/k.pem"}),
        ("AMQP://h?prefix=a.b-c_1&heartbeat=3&consumer_timeout=7200", {"prefix": "a.b-c_1", "heartbeat": 3.0, "consumer_timeout": 7200.0}),
        ("amqp://h?confirm_timeout=2.5&connect_timeout=1", {"confirm_timeout": 2.5, "connect_timeout": 1.0}),
    ],
)
def test_what_it_says(url: str, fields: dict[str, object]) -> None:
    address = parse(url, {})
    assert {name: getattr(address, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://h/a/b", "written %2F: /a%2Fb"),
        ("amqp://h#x", "after a #"),
        ("amqp://h?wat=1", "unknown parameter 'wat'; known are prefix, heartbeat"),
        ("amqp://h?ca=x", "TLS files belong to amqps://"),
        ("amqp://h?prefix=a&prefix=b", "there twice"),
        ("amqp://h?prefix=", "has no value"),
        ("amqp://h?prefix=a/b", "up to 40 letters"),
        ("amqp://h?prefix=" + "x" * 41, "up to 40 letters"),
        ("amqp://h?heartbeat=0", "seconds from 1 to 600"),
        ("amqp://h?consumer_timeout=soon", "consumer_timeout=soon: seconds from 60"),
        ("amqp://u:s3c/ret@h:x", "%2F"),
    ],
)
def test_what_is_wrong_with_it(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(url, {})
    assert said in str(raised.value)
    assert "s3c" not in str(raised.value)


def test_the_password_from_the_environment() -> None:
    assert parse("amqp://u@h", {"TIDEWHEEL_RABBITMQ_PASSWORD": "pw"}).password == "pw"
    assert parse("amqp://u:own@h", {"TIDEWHEEL_RABBITMQ_PASSWORD": "pw"}).password == "own"


def test_no_password_is_shown() -> None:
    assert "s3cret" not in parse("amqp://u:s3cret@h/", {}).url
    assert isinstance(parse("amqp://"), Address)
