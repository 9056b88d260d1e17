"""What a task may say about its jobs, and how the options of one call override it.

Options are checked when they are written (at import of the user's module), not when the job runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tidewheel.core.job import DEFAULT_QUEUE, MAX_PRIORITY, MIN_PRIORITY
from tidewheel.errors import ConfigurationError

__all__ = ["NAME", "Options", "Retry", "class_names", "check_name", "seconds"]

NAME = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
"""Task, queue and worker names: they become file names, SQL values, Redis keys, AMQP names and log lines."""


def check_name(what: str, name: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigurationError(f"{what} {name!r} is not a valid name: 1 to 128 letters, digits and any of _ . : -")
    return name


def seconds(what: str, value: object, *, least: float = 0.0) -> float:
    """A duration as seconds, from a number or a timedelta; anything else is a `ConfigurationError`."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < 1e11:
        raise ConfigurationError(f"{what}={value!r}: expected seconds (a number from {least:g} on) or a timedelta")
    return float(value)


def class_names(cls: type) -> tuple[str, ...]:
    """The dotted names of a class and its bases, most special first; builtins without their module."""
    return tuple(_dotted(c) for c in cls.__mro__ if c is not object)


def _dotted(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a failed run is tried again, and how long after.

    `attempts` is the number of runs in all, the first included. Only exceptions of the classes in `on` (and not of those in
    `never`) are tried again; a class may be given by its dotted name, and is matched by name, so a policy can travel as data.
    The wait before attempt *n*+1 is a random time between 0 and `min(delay · factorⁿ⁻¹, max_delay)` seconds ("full jitter",
    AWS Architecture Blog 2015); `jitter=False` takes the upper bound itself.
    """

    attempts: int = 5
    on: tuple[Any, ...] = ("Exception",)
    never: tuple[Any, ...] = ()
    delay: float = 2.0
    factor: float = 2.0
    max_delay: float = 900.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or not 1 <= self.attempts <= 10_000:
            raise ConfigurationError(f"Retry(attempts={self.attempts!r}): expected a whole number from 1 to 10000 (1: never again)")
        msgspec.structs.force_setattr(self, "on", _names("on", self.on))
        msgspec.structs.force_setattr(self, "never", _names("never", self.never))
        msgspec.structs.force_setattr(self, "delay", seconds("Retry delay", self.delay))
        msgspec.structs.force_setattr(self, "max_delay", seconds("Retry max_delay", self.max_delay))
        if isinstance(self.factor, bool) or not isinstance(self.factor, (int, float)) or not 1 <= self.factor <= 100:
            raise ConfigurationError(f"Retry(factor={self.factor!r}): expected a number from 1 to 100")

    def matches(self, names: Iterable[str]) -> bool:
        """Whether an exception with these class names (its own and its bases') is tried again."""
        names = set(names)
        return not names.isdisjoint(self.on) and names.isdisjoint(self.never)

    def wait(self, attempts: int, dice: float) -> float:
        """Seconds to wait after `attempts` failed runs; `dice` is a random number in [0, 1)."""
        bound = min(self.delay * self.factor ** min(max(0, attempts - 1), 64), self.max_delay)
        return bound * dice if self.jitter else bound


def _names(what: str, classes: object) -> tuple[str, ...]:
    if isinstance(classes, (type, str)):
        classes = (classes,)
    if not isinstance(classes, Iterable):
        raise ConfigurationError(f"Retry({what}={classes!r}): expected exception classes")
    out = []
    for c in classes:
        if isinstance(c, type) and issubclass(c, BaseException):
            out.append(_dotted(c))
        elif isinstance(c, str):
            out.append(c)
        else:
            raise ConfigurationError(f"Retry({what}=…): {c!r} is not an exception class")
    return tuple(out)


NO_RETRY = Retry(attempts=1)


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of a task, or of one call of it. See `Task.using` for the meaning of each."""

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    retry: Retry = NO_RETRY
    time_limit: float | None = 1800.0
    soft_time_limit: float | None = None
    result_ttl: float = 3600.0
    expires: float | datetime | None = None
    countdown: float = 0.0
    eta: datetime | None = None
    key: str | None = None
    key_window: float = 60.0
    headers: Mapping[str, str] = {}

    def changed(self, changes: Mapping[str, Any]) -> Options:
        """A copy with these options changed. Raises `ConfigurationError` for a misspelt or impossible one."""
        return msgspec.structs.replace(self, **_checked(changes)) if changes else self

    def overrides(self, declared: Options) -> dict[str, Any]:
        """What a worker must be told of a call because it differs from what the task declares."""
        return {f: getattr(self, f) for f in TRAVELLING if getattr(self, f) != getattr(declared, f)}


TRAVELLING = ("retry", "time_limit", "soft_time_limit", "result_ttl")
"""Options that matter after publication and are not part of an envelope's routing."""


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(changes)
    for name, value in changes.items():
        if name == "queue":
            check_name("queue", value)
        elif name == "priority":
            if isinstance(value, bool) or not isinstance(value, int) or not MIN_PRIORITY <= value <= MAX_PRIORITY:
                raise ConfigurationError(f"priority={value!r}: expected a whole number from {MIN_PRIORITY} to {MAX_PRIORITY}, higher first")
        elif name == "retry":
            out[name] = _retry(value)
        elif name in ("time_limit", "soft_time_limit"):
            out[name] = None if value is None else seconds(name, value, least=0.001)
        elif name in ("result_ttl", "countdown", "key_window"):
            out[name] = seconds(name, value)
        elif name == "expires":
            if value is not None and not isinstance(value, datetime):
                out[name] = seconds(name, value)
            _aware(name, value)
        elif name == "eta":
            if value is not None and not isinstance(value, datetime):
                raise ConfigurationError(f"eta={value!r}: expected a datetime with a time zone (for seconds from now use countdown=)")
            _aware(name, value)
        elif name == "key":
            if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= 512):
                raise ConfigurationError(f"key={value!r}: expected a text of 1 to 512 characters")
        elif name == "headers":
            if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
                raise ConfigurationError("headers: expected a mapping of text to text")
        else:
            raise ConfigurationError(f"unknown option {name!r}; there are: {', '.join(Options.__struct_fields__)}")
    return out


def _retry(value: object) -> Retry:
    if isinstance(value, Retry):
        return value
    if value is None or value is False:
        return NO_RETRY
    if isinstance(value, int) and value is not True:
        return Retry(value)
    raise ConfigurationError(f"retry={value!r}: expected Retry(…), a number of attempts, or None")


def _aware(name: str, value: object) -> None:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ConfigurationError(f"{name}={value!r}: the datetime needs a time zone, e.g. datetime.now(timezone.utc)")


class Overrides(msgspec.Struct, omit_defaults=True):
    """Options given at the call, as they travel in a header (JSON)."""

    retry: Retry | msgspec.UnsetType = msgspec.UNSET
    time_limit: float | msgspec.UnsetType | None = msgspec.UNSET
    soft_time_limit: float | msgspec.UnsetType | None = msgspec.UNSET
    result_ttl: float | msgspec.UnsetType = msgspec.UNSET


_overrides = msgspec.json.Decoder(Overrides)


def effective(declared: Options, header: str | None) -> Options:
    """The options of one job: what its task declares, overridden by what its call gave. Raises `ValueError` for a broken header."""
    if header is None:
        return declared
    try:
        given = _overrides.decode(header)
    except (msgspec.DecodeError, ConfigurationError) as error:
        raise ValueError(f"the options in its header are broken: {error}") from None
    return msgspec.structs.replace(declared, **{f: v for f in TRAVELLING if (v := getattr(given, f)) is not msgspec.UNSET})
