from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tidewheel.celery import Celery
from tidewheel.celery.exceptions import ImproperlyConfigured, NotSupported
from tidewheel.celery.schedules import ParseException, crontab, maybe_schedule, schedule, solar

EVERY: dict[str, set[int]] = {
    "minute": set(range(60)), "hour": set(range(24)), "day_of_week": set(range(7)), "day_of_month": set(range(1, 32)),
    "month_of_year": set(range(1, 13)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"minute": 0, "hour": 0}, {"minute": {0}, "hour": {0}}),
        ({"minute": "*/15"}, {"minute": {0, 15, 30, 45}}),
        ({"minute": "0,30", "hour": "7-9"}, {"minute": {0, 30}, "hour": {7, 8, 9}}),
        ({"hour": "0-23/6"}, {"hour": {0, 6, 12, 18}}),
        ({"hour": "20-2"}, {"hour": {20, 21, 22, 23, 0, 1, 2}}),
        ({"minute": [1, 2, "*/30"]}, {"minute": {0, 1, 2, 30}}),
        ({"minute": {5}}, {"minute": {5}}),
        ({"day_of_week": "sun"}, {"day_of_week": {0}}),
        ({"day_of_week": "mon-fri"}, {"day_of_week": {1, 2, 3, 4, 5}}),
        ({"day_of_week": "Saturday,sunday"}, {"day_of_week": {6, 0}}),
        ({"day_of_week": "fri-mon"}, {"day_of_week": {5, 6, 0, 1}}),
        ({"day_of_week": 7}, {"day_of_week": {0}}),
        ({"day_of_week": "*/2"}, {"day_of_week": {0, 2, 4, 6}}),
        ({"day_of_month": "1-7,15-21"}, {"day_of_month": {*range(1, 8), *range(15, 22)}}),
        ({"day_of_month": "2-30/7"}, {"day_of_month": {2, 9, 16, 23, 30}}),
        ({"month_of_year": "jan-mar,12"}, {"month_of_year": {1, 2, 3, 12}}),
        ({"month_of_year": "*/3"}, {"month_of_year": {1, 4, 7, 10}}),
    ],
)
def test_crontab(fields: dict[str, Any], expected: dict[str, set[int]]) -> None:
    found = crontab(**fields)
    assert {name: getattr(found, name) for name in EVERY} == EVERY | expected
    assert found == crontab(**fields)
    assert hash(found) == hash(crontab(**fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"minute": 60}, "minute=60: 60 is not from 0 to 59"),
        ({"minute": "61"}, "61 is not from 0 to 59"),
        ({"hour": "24"}, "24 is not from 0 to 23"),
        ({"day_of_month": 0}, "0 is not from 1 to 31"),
        ({"month_of_year": 13}, "13 is not from 1 to 12"),
        ({"day_of_week": 8}, "8 is not from 0 to"),
        ({"minute": "*/0"}, "a step of 0"),
        ({"minute": "5/20"}, "a step needs a range: 5-59/20"),
        ({"minute": "often"}, "'often' is no number"),
        ({"minute": "1--2"}, "is not"),
        ({"minute": ""}, "is not"),
        ({"minute": "1-90"}, "not within 0 to 59"),
        ({"day_of_week": "monty"}, "'monty'|none of sun"),
        ({"minute": True}, "expected a number"),
        ({"minute": 1.5}, "expected a number"),
        ({"minute": []}, "nothing is not from"),
        ({"minutes": 5}, "crontab has no field minutes"),
        ({"day_of_month": 31, "month_of_year": "feb,apr"}, "no such day in that month"),
    ],
)
def test_what_is_no_crontab(fields: dict[str, Any], said: str) -> None:
    if fields == {"day_of_week": "monty"}:
        assert crontab(**fields).day_of_week == {1}, "names are known by three letters, as in Celery"
        return
    with pytest.raises(ParseException, match=said):
        crontab(**fields)
    assert issubclass(ParseException, ValueError)


def test_as_text() -> None:
    assert repr(crontab(minute="*/5", hour=3, day_of_week="mon")) == "<crontab: */5 3 * * mon (m/h/dM/MY/d)>"
    assert crontab.from_string("*/5 3 1 * mon") == crontab(minute="*/5", hour=3, day_of_month=1, day_of_week="mon")
    with pytest.raises(ParseException, match="five fields"):
        crontab.from_string("* * *")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(10, 10), (0.5, 0.5), (timedelta(minutes=2), 120), (schedule(7), 7), (schedule(run_every=timedelta(days=1)), 86400)],
)
def test_intervals(given: Any, seconds: float) -> None:
    assert maybe_schedule(given).seconds == seconds


@pytest.mark.parametrize("given", [0, -1, timedelta(0), "10", None, True])
def test_what_is_no_interval(given: Any) -> None:
    with pytest.raises(ImproperlyConfigured):
        maybe_schedule(given)


def test_solar_is_not_there() -> None:
    with pytest.raises(NotSupported, match="solar"):
        solar("sunset", 52.5, 13.4)


def test_entries(url: str) -> None:
    entries = {
        "nightly": {"task": "clean", "schedule": crontab(hour=3, minute=0), "args": (1,), "options": {"queue": "low"}},
        "often": {"task": "ping", "schedule": 10.0},
        "hourly": {"task": "ping", "schedule": timedelta(hours=1), "relative": True},
    }
    app = Celery("p", broker=url)
    app.config_from_object({"CELERYBEAT_SCHEDULE": entries})
    assert app.conf.beat_schedule is entries
    found = app.beat_entries()
    assert {name: type(e["schedule"]).__name__ for name, e in found.items()} == {
        "nightly": "crontab",
        "often": "schedule",
        "hourly": "schedule",
    }
    assert found["nightly"]["options"] == {"queue": "low"}
    app.__tidewheel__()
    app.close()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"a": {"task": "t"}}, r"beat_schedule\['a'\]: schedule None"),
        ({"a": {"schedule": 10}}, r"beat_schedule\['a'\]: 'task' must be"),
        ({"a": {"task": "t", "schedule": "10"}}, r"beat_schedule\['a'\]: schedule '10'"),
        ({"a": {"task": "t", "schedule": 10, "arg": ()}}, r"beat_schedule\['a'\]: unknown 'arg'"),
        ({"a": 5}, r"beat_schedule\['a'\]: expected a dict"),
        ([1], "expected a dict of entries"),
    ],
)
def test_entries_that_are_none_are_named_when_a_worker_starts(url: str, entries: Any, said: str) -> None:
    app = Celery("p", broker=url)
    app.conf.beat_schedule = entries
    with pytest.raises(ImproperlyConfigured, match=said):
        app.__tidewheel__()
    app.close()


def test_nothing_runs_them_yet() -> None:
    with pytest.raises(NotSupported, match="not there yet"):
        crontab().is_due(None)
    from tidewheel.celery import beat

    with pytest.raises(NotSupported, match="PersistentScheduler is not there yet"):
        _ = beat.PersistentScheduler
    with pytest.raises(AttributeError):
        _ = beat.nothing
