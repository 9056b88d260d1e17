"""URLs: what they name, and what is said of those that name nothing."""

from __future__ import annotations

import pytest

from tidewheel.backends import connect
from tidewheel.backends.postgres.address import parse
from tidewheel.errors import ConfigurationError


def test_the_plain_one() -> None:
    address = parse("postgresql://jobs:secret@db.internal:5433/shop")
    assert address.parameters == {"user": "jobs", "password": "secret", "host": "db.internal", "port": "5433", "dbname": "shop"}
    assert (address.schema, address.pool, address.lease, address.beat, address.listen, address.prepare) == (
        "tidewheel", 8, 30.0, 10.0, "auto", "auto",
    )  # fmt: skip
    assert address.url == "postgresql://jobs:***@db.internal:5433/shop"
    assert address.where == "db.internal:5433/shop"


def test_everything_of_ours() -> None:
    address = parse("postgres://h/d?schema=shop_jobs&pool=3&lease=6&listen=db:5432&prepare=off")
    assert (address.schema, address.pool, address.lease, address.beat) == ("shop_jobs", 3, 6.0, 2.0)
    assert (address.listen, address.prepare) == ("db:5432", "off")
    assert address.parameters == {"host": "h", "dbname": "d"}


def test_the_rest_is_libpq_s() -> None:
    address = parse("postgresql://a:1,b:2/d?sslmode=verify-full&target_session_attrs=read-write&connect_timeout=4")
    assert address.parameters["sslmode"] == "verify-full"
    assert address.parameters["host"] == "a,b"
    assert parse("postgresql:///d?host=/run/postgresql").where == "/run/postgresql/.s.PGSQL.5432/d"
    assert parse("postgresql://?service=jobs").where == "(service jobs)/?"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://h/d?shema=x", "unknown parameter 'shema'; known are schema, pool, lease, listen, prepare"),
        ("postgresql://h/d?schema=Tide", "small letters"),
        ("postgresql://h/d?schema=pg_mine", "small letters"),
        ("postgresql://h/d?schema=information_schema", "small letters"),
        ("postgresql://h/d?schema=a%22b", "small letters"),
        ("postgresql://h/d?schema=", "has no value"),
        ("postgresql://h/d?schema=a&schema=b", "is there twice"),
        ("postgresql://h/d?pool=0", "from 1 to 1000"),
        ("postgresql://h/d?pool=many", "from 1 to 1000"),
        ("postgresql://h/d?lease=0.5", "from 1 to 3600"),
        ("postgresql://h/d?lease=soon", "from 1 to 3600"),
        ("postgresql://h/d?listen=on", "host:port of the server itself"),
        ("postgresql://h/d?prepare=maybe", "auto, on or off"),
        ("postgresql://h/d?options=-c%20work_mem%3D1", "does not pass poolers"),
        ("postgresql://h:port/d", "are written %2F"),
        ("postgresql://u:p#w@h/d", "nothing after a #"),
    ],
)
def test_what_is_wrong_is_said(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        connect(url)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hush@h:port/d", "postgresql://u:hush@h/d?shema=x", "postgresql://h/d?password=hush&pool=x",
        "postgresql://u:hu%zzsh@h/d?x=1", "postgresql://h/d?sslpassword=hush&pool=x",
    ],
)  # fmt: skip
def test_no_password_is_ever_said(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        connect(url)
    assert "hush" not in str(raised.value)
    assert "hu%zzsh" not in str(raised.value)
