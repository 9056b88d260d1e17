"""What options accept, and what they say when they do not."""

from __future__ import annotations

import smtplib
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewheel import ConfigurationError, Retry, RetryIn, Snooze
from tidewheel.core.options import NO_RETRY, TRAVELLING, Options, check_name, class_names, effective, seconds

SOON = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("change", "stored"),
    [
        ({"queue": "mail-1.eu:x_y"}, "mail-1.eu:x_y"),
        ({"priority": -100}, -100),
        ({"priority": 100}, 100),
        ({"retry": 4}, Retry(4)),
        ({"retry": None}, NO_RETRY),
        ({"retry": False}, NO_RETRY),
        ({"retry": Retry(2, on=OSError)}, Retry(2, on=("OSError",))),
        ({"time_limit": timedelta(minutes=2)}, 120.0),
        ({"time_limit": None}, None),
        ({"soft_time_limit": 0.5}, 0.5),
        ({"result_ttl": 0}, 0.0),
        ({"countdown": timedelta(hours=1)}, 3600.0),
        ({"key_window": 5}, 5.0),
        ({"expires": 30}, 30.0),
        ({"expires": SOON}, SOON),
        ({"expires": None}, None),
        ({"eta": SOON}, SOON),
        ({"key": "order-7"}, "order-7"),
        ({"headers": {"a": "b"}}, {"a": "b"}),
    ],
)
def test_accepts(change: dict[str, Any], stored: Any) -> None:
    [(name, _)] = change.items()
    assert getattr(Options().changed(change), name) == stored


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queue": ""}, "queue '' is not a valid name"),
        ({"queue": "a b"}, "not a valid name: 1 to 128 letters, digits"),
        ({"queue": 3}, "queue 3 is not"),
        ({"priority": 101}, "priority=101: expected a whole number from -100 to 100"),
        ({"priority": -101}, "priority=-101"),
        ({"priority": 1.5}, "priority=1.5"),
        ({"priority": True}, "priority=True"),
        ({"retry": True}, r"retry=True: expected Retry\(…\)"),
        ({"retry": "5"}, "retry='5'"),
        ({"retry": 0}, r"Retry\(attempts=0\): expected a whole number from 1"),
        ({"time_limit": 0}, "time_limit=0: expected seconds"),
        ({"time_limit": "10"}, "time_limit='10'"),
        ({"soft_time_limit": float("nan")}, "soft_time_limit=nan"),
        ({"countdown": -1}, "countdown=-1"),
        ({"countdown": float("inf")}, "countdown=inf"),
        ({"countdown": True}, "countdown=True"),
        ({"result_ttl": None}, "result_ttl=None"),
        ({"expires": "soon"}, "expires='soon'"),
        ({"expires": datetime(2030, 1, 1)}, "expires=.*needs a time zone"),
        ({"eta": datetime(2030, 1, 1)}, "eta=.*needs a time zone"),
        ({"eta": 30}, "for seconds from now use countdown="),
        ({"key": ""}, "key='': expected a text of 1 to 512"),
        ({"key": "k" * 513}, "1 to 512 characters"),
        ({"key": 7}, "key=7"),
        ({"headers": {"a": 1}}, "headers: expected a mapping of text to text"),
        ({"headers": "a"}, "headers: expected"),
        ({"qeue": "mail"}, "unknown option 'qeue'; there are: queue, priority, retry"),
    ],
)
def test_refuses_and_says_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Options().changed(change)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"attempts": 0}, "from 1 to 10000"),
        ({"attempts": 10_001}, "from 1 to 10000"),
        ({"attempts": 2.0}, "attempts=2.0"),
        ({"attempts": True}, "attempts=True"),
        ({"delay": -1}, "Retry delay=-1"),
        ({"max_delay": "1"}, "Retry max_delay='1'"),
        ({"factor": 0.5}, "factor=0.5"),
        ({"factor": "2"}, "factor=.2."),
        ({"factor": 101}, "from 1 to 100"),
        ({"factor": float("nan")}, "factor=nan"),
        ({"on": 7}, r"Retry\(on=7\)"),
        ({"on": (int,)}, "<class 'int'> is not an exception class"),
        ({"never": [None]}, "None is not an exception class"),
    ],
)
def test_retry_refuses_and_says_why(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Retry(**given_)


def test_retry_matches_by_class_and_base_and_name() -> None:
    names = class_names(smtplib.SMTPServerDisconnected)
    assert names[:2] == ("smtplib.SMTPServerDisconnected", "smtplib.SMTPException")
    assert Retry().matches(names)
    assert Retry(on=OSError).matches(names), "SMTPException is an OSError"
    assert Retry(on="smtplib.SMTPException").matches(names)
    assert not Retry(on=(ValueError, KeyError)).matches(names)
    assert not Retry(never=smtplib.SMTPException).matches(names)
    assert not Retry().matches(class_names(KeyboardInterrupt)), "only Exceptions are tried again by default"


def test_retry_travels_as_data() -> None:
    retry = Retry(3, on=(smtplib.SMTPException, OSError), never=KeyError, delay=timedelta(seconds=1))  # type: ignore[arg-type]
    assert msgspec.json.decode(msgspec.json.encode(retry), type=Retry) == retry
    assert retry.on == ("smtplib.SMTPException", "OSError")
    assert retry.delay == 1.0


@given(st.integers(-1000, 1000))
def test_priority_range(priority: int) -> None:
    if -100 <= priority <= 100:
        assert Options().changed({"priority": priority}).priority == priority
    else:
        with pytest.raises(ConfigurationError, match="priority"):
            Options().changed({"priority": priority})


@given(st.text(max_size=140))
def test_names_grammar(name: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")
    if 1 <= len(name) <= 128 and set(name) <= allowed:
        assert check_name("queue", name) == name
    else:
        with pytest.raises(ConfigurationError):
            check_name("queue", name)


@pytest.mark.parametrize("name", ["a\n", "naïve", "a/b", "x" * 129, "", "'; drop table jobs"])
def test_names_that_look_nearly_right(name: str) -> None:
    with pytest.raises(ConfigurationError):
        check_name("task", name)


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.timedeltas() | st.booleans() | st.none() | st.text())
def test_seconds_never_lets_an_odd_number_through(value: Any) -> None:
    try:
        found = seconds("countdown", value)
    except ConfigurationError:
        return
    assert type(found) is float
    assert 0 <= found < 1e11


def test_changed_leaves_the_original_alone() -> None:
    declared = Options()
    changed = declared.changed({"queue": "mail", "retry": 3})
    assert (declared.queue, changed.queue) == ("default", "mail")
    assert declared.changed({}) is declared


def test_only_what_differs_travels() -> None:
    declared = Options(time_limit=10.0)
    call = declared.changed({"time_limit": None, "priority": 4, "retry": 2})
    overrides = call.overrides(declared)
    assert overrides == {"retry": Retry(2), "time_limit": None}
    assert set(overrides) <= set(TRAVELLING)
    header = msgspec.json.encode(overrides).decode()
    there = effective(declared, header)
    assert (there.retry, there.time_limit, there.result_ttl) == (Retry(2), None, declared.result_ttl)
    assert effective(declared, None) is declared


@pytest.mark.parametrize("header", ["", "{", "[]", '{"retry": 5}', '{"time_limit": "x"}', '{"retry": {"attempts": 0}}'])
def test_broken_header_is_a_value_error(header: str) -> None:
    with pytest.raises(ValueError, match="broken"):
        effective(Options(), header)


@pytest.mark.parametrize("steer", [RetryIn, Snooze])
def test_steering_delays(steer: type[RetryIn] | type[Snooze]) -> None:
    assert steer(3).delay == 3.0
    assert steer(timedelta(minutes=1)).delay == 60.0
    assert steer(-0.01).delay == 0.0, "a moment that is over is now"
    assert "busy" in str(steer(3, "busy"))
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected seconds"):
            steer(wrong)
