"""Schedules of periodic tasks: `crontab`, `schedule`. They are checked and kept; what runs them is not there yet."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from tidewheel.celery.exceptions import ImproperlyConfigured, NotSupported

__all__ = ["BaseSchedule", "ParseException", "crontab", "maybe_schedule", "schedule", "solar"]


class ParseException(ImproperlyConfigured, ValueError):
    """A field of a crontab is not what it can be."""


class BaseSchedule:
    """When a task runs."""

    def __init__(self, nowfun: Callable[[], Any] | None = None, app: Any = None) -> None:
        self.nowfun = nowfun
        self.app = app

    def is_due(self, last_run_at: Any) -> Any:
        raise NotSupported(
            "periodic tasks are not there yet: schedules are checked and kept, and nothing runs them; use cron with `tidewheel call`"
        )

    remaining_estimate = is_due


class schedule(BaseSchedule):
    """Every so often: seconds, or a timedelta."""

    def __init__(self, run_every: Any = None, relative: bool = False, nowfun: Any = None, app: Any = None) -> None:
        if isinstance(run_every, bool) or not isinstance(run_every, (int, float, timedelta)):
            raise ImproperlyConfigured(f"schedule({run_every!r}): expected seconds or a timedelta")
        self.run_every = run_every if isinstance(run_every, timedelta) else timedelta(seconds=run_every)
        if self.run_every <= timedelta(0):
            raise ImproperlyConfigured(f"schedule({run_every!r}): expected a time from one run to the next, more than none")
        self.relative = relative
        super().__init__(nowfun, app)

    @property
    def seconds(self) -> float:
        return self.run_every.total_seconds()

    @property
    def human_seconds(self) -> str:
        return f"{self.seconds:g} seconds"

    def __repr__(self) -> str:
        return f"<freq: {self.human_seconds}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, schedule) and not isinstance(other, crontab) and other.run_every == self.run_every

    def __hash__(self) -> int:
        return hash(self.run_every)


DAYS = {name: n for n, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
MONTHS = {name.lower(): n for n, name in enumerate(calendar.month_abbr) if name}


class crontab(BaseSchedule):
    """As in cron: `crontab(minute=30, hour="7-18/2", day_of_week="mon-fri")`. All fields must fit, also both kinds of days."""

    def __init__(
        self, minute: Any = "*", hour: Any = "*", day_of_week: Any = "*", day_of_month: Any = "*", month_of_year: Any = "*",
        nowfun: Any = None, app: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if kwargs:
            raise ParseException(
                f"crontab has no field {', '.join(kwargs)}: there are minute, hour, day_of_week, day_of_month, month_of_year"
            )
        self._written = {
            "minute": minute,
            "hour": hour,
            "day_of_week": day_of_week,
            "day_of_month": day_of_month,
            "month_of_year": month_of_year,
        }
        self.minute = _field("minute", minute, 0, 59)
        self.hour = _field("hour", hour, 0, 23)
        self.day_of_week = {d % 7 for d in _field("day_of_week", day_of_week, 0, 7 if "7" in str(day_of_week) else 6, DAYS)}
        self.day_of_month = _field("day_of_month", day_of_month, 1, 31)
        self.month_of_year = _field("month_of_year", month_of_year, 1, 12, MONTHS)
        if max(_longest(m) for m in self.month_of_year) < min(self.day_of_month):
            raise ParseException(f"{self!r}: there is no such day in that month")
        super().__init__(nowfun, app)

    @classmethod
    def from_string(cls, text: str) -> crontab:
        """From the five fields of a line of cron: minute, hour, day of month, month, day of week."""
        fields = text.split()
        if len(fields) != 5:
            raise ParseException(f"{text!r}: expected five fields: minute, hour, day of month, month, day of week")
        minute, hour, day, month, weekday = fields
        return cls(minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday)

    def __repr__(self) -> str:
        w = {k: _text(v) for k, v in self._written.items()}
        return f"<crontab: {w['minute']} {w['hour']} {w['day_of_month']} {w['month_of_year']} {w['day_of_week']} (m/h/dM/MY/d)>"

    def _sets(self) -> tuple[Any, ...]:
        return tuple(frozenset(x) for x in (self.minute, self.hour, self.day_of_week, self.day_of_month, self.month_of_year))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, crontab) and other._sets() == self._sets()

    def __hash__(self) -> int:
        return hash(self._sets())


class solar(BaseSchedule):
    """At sunrise and the like. Not there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupported("solar schedules are not there: let a task that runs each minute look whether the sun is up")


def _longest(month: int) -> int:
    return calendar.monthrange(2024, month)[1]


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) else ",".join(map(str, sorted(value)))


def _field(name: str, value: Any, least: int, most: int, names: Mapping[str, int] | None = None) -> set[int]:
    """The numbers that a field stands for. Raises `ParseException`."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Iterable)):
        raise ParseException(f"crontab {name}={value!r}: expected a number, a text as '*/15', or several numbers")
    if isinstance(value, int):
        found = {value}
    elif isinstance(value, str):
        found = set()
        for part in value.split(","):
            found |= _part(name, value, part.strip().lower(), least, most, names or {})
    else:
        found = {n for item in value for n in _field(name, item, least, most, names)}
    wrong = sorted(n for n in found if not least <= n <= most)
    if wrong or not found:
        raise ParseException(f"crontab {name}={value!r}: {wrong[0] if wrong else 'nothing'} is not from {least} to {most}")
    return found


def _part(name: str, whole: Any, part: str, least: int, most: int, names: Mapping[str, int]) -> set[int]:
    match = re.fullmatch(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d+))?", part)
    if match is None or (match[1] == "*" and match[2] is not None):
        raise ParseException(f"crontab {name}={whole!r}: {part!r} is not *, a number, a range as 1-5, or one with a step as */15")
    step = int(match[3]) if match[3] is not None else 1
    if step < 1:
        raise ParseException(f"crontab {name}={whole!r}: a step of {step}")
    if match[1] == "*":
        return set(range(least, most + 1, step))
    first = _number(name, whole, match[1], names)
    if match[2] is None:
        if match[3] is not None:
            raise ParseException(f"crontab {name}={whole!r}: a step needs a range: {match[1]}-{most}/{step}")
        return {first}
    last = _number(name, whole, match[2], names)
    if not (least <= first <= most and least <= last <= most):
        raise ParseException(f"crontab {name}={whole!r}: {part} is not within {least} to {most}")
    around = range(first, last + 1) if first <= last else [*range(first, most + 1), *range(least, last + 1)]  # fri-mon
    return set(list(around)[::step])


def _number(name: str, whole: Any, text: str, names: Mapping[str, int]) -> int:
    if text.isdigit():
        return int(text)
    if text[:3] in names and (len(text) == 3 or len(text) > 4):
        return names[text[:3]]
    raise ParseException(f"crontab {name}={whole!r}: {text!r} is no number" + (f" and none of {', '.join(names)}" if names else ""))


def maybe_schedule(value: Any, relative: bool = False, app: Any = None) -> Any:
    """A schedule of seconds or of a timedelta; a schedule as it is."""
    if isinstance(value, (int, float, timedelta)) and not isinstance(value, bool):
        return schedule(value, relative, app=app)
    if hasattr(value, "is_due"):
        if app is not None and isinstance(value, BaseSchedule):
            value.app = app
        return value
    raise ImproperlyConfigured(f"schedule {value!r}: expected seconds, a timedelta, a crontab or a schedule")


KEYS = {"task", "schedule", "args", "kwargs", "options", "relative"}


def checked(entries: Any) -> dict[str, dict[str, Any]]:
    """`beat_schedule`, each entry with a schedule in it. Raises `ImproperlyConfigured` that names the entry."""
    if not isinstance(entries or {}, Mapping):
        raise ImproperlyConfigured(f"beat_schedule: expected a dict of entries, and got {type(entries).__name__}")
    found = {}
    for name, entry in (entries or {}).items():
        if not isinstance(entry, Mapping):
            raise ImproperlyConfigured(f"beat_schedule[{name!r}]: expected a dict with 'task' and 'schedule'")
        if not isinstance(entry.get("task"), str):
            raise ImproperlyConfigured(f"beat_schedule[{name!r}]: 'task' must be the name of a task, and is {entry.get('task')!r}")
        unknown = sorted(set(entry) - KEYS)
        if unknown:
            raise ImproperlyConfigured(
                f"beat_schedule[{name!r}]: unknown {', '.join(map(repr, unknown))}; there are {', '.join(sorted(KEYS))}"
            )
        try:
            when = maybe_schedule(entry.get("schedule"), bool(entry.get("relative", False)))
        except ImproperlyConfigured as error:
            raise ImproperlyConfigured(f"beat_schedule[{name!r}]: {error}") from None
        found[str(name)] = {**entry, "schedule": when}
    return found
