"""`app.conf`: what the user's configuration says, under Celery's old and new names.

A value is looked for in what was set on `conf` itself, in the configuration that `config_from_object` named (read when the first
setting is asked for), and in Celery's defaults, in this order. The two namings are never mixed in one source: with `namespace="CELERY"`
only `CELERY_` + new name counts; without, a source is old or new by the majority of its known names.
"""

from __future__ import annotations

import importlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from tidewheel.celery.app.setting_names import NO_EFFECT, OLD_NAMES, WORKS
from tidewheel.celery.exceptions import ImproperlyConfigured

__all__ = ["DEFAULTS", "REASONS", "Settings", "by_name"]

DEFAULTS: dict[str, Any] = {}
REASONS: dict[str, str] = {}
"""Why a setting has no effect."""
NEW_OF: dict[str, str] = dict(OLD_NAMES)
OLD_OF: dict[str, str] = {}

for _reason, _rows in ({"": WORKS} | NO_EFFECT).items():
    for _new, _old, _default in _rows:
        DEFAULTS[_new], OLD_OF[_new] = _default, _old
        NEW_OF.setdefault(_old, _new)
        if _reason:
            REASONS[_new] = _reason

_ENVIRONMENT = {"broker_url": "CELERY_BROKER_URL", "result_backend": "CELERY_RESULT_BACKEND"}


class Settings(MutableMapping[str, Any]):
    """By attribute, by item, by old or new name. `changed` is called with the name of a setting that was set."""

    def __init__(self, changed: Callable[[str], None] = lambda name: None, read: Callable[[], None] = lambda: None) -> None:
        self.__dict__.update(_own={}, _given={}, _source=None, _namespace=None, _changed=changed, _read=read, _loading=False)
        self.__dict__["_lock"] = threading.RLock()

    def use(self, source: Any, namespace: str | None) -> None:
        """Read this configuration when the first setting is asked for. It replaces one that was named before."""
        self.__dict__.update(_source=source, _namespace=namespace, _given={}, _loading=source is not None)
        self._changed("")

    @property
    def loaded(self) -> bool:
        """Whether nothing is left to be read."""
        return not self._loading

    def load(self) -> None:
        with self._lock:
            if self._loading:
                self.__dict__["_given"] = detect(self._source, self._namespace)
                self.__dict__["_loading"] = False
                self._read()

    # -- as a mapping ---------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        if self._loading:
            self.load()
        key = name if name in DEFAULTS else self._key(name)
        if key in self._own:
            return self._own[key]
        variable = os.environ.get(_ENVIRONMENT.get(key, "")) if key in _ENVIRONMENT else None
        if variable:
            return variable
        if key in self._given:
            return self._given[key]
        if key in DEFAULTS:
            return DEFAULTS[key]
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        key = self._key(name)
        self._own[key] = value
        self._changed(key)

    def __delitem__(self, name: str) -> None:
        key = self._key(name)
        if key not in self._own and key not in self._given:
            raise KeyError(name)
        self._own.pop(key, None)
        self._given.pop(key, None)
        self._changed(key)

    def __iter__(self) -> Iterator[str]:
        self.load()
        yield from dict.fromkeys([*self._own, *self._given, *DEFAULTS])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def __repr__(self) -> str:
        return f"<Settings: {', '.join(sorted(self.set_by_user())) or 'defaults'}>"

    # -- more that Celery offers ----------------------------------------------------------------------------------------

    def set_by_user(self) -> dict[str, Any]:
        """What is not a default."""
        self.load()
        return {**self._given, **self._own}

    without_defaults = set_by_user

    def add_defaults(self, values: Any) -> None:
        """Values for settings that nobody has set."""
        given = detect(values, None) if not callable(values) else detect(values(), None)
        self.load()
        self.__dict__["_given"] = {**given, **self._given}
        self._changed("")

    def humanize(self, with_defaults: bool = False) -> str:
        """Celery's settings (not your own ones beside them) as text. What may be a secret is masked."""
        shown = {k: v for k, v in (self if with_defaults else self.set_by_user()).items() if k in DEFAULTS}
        return "\n".join(f"{name}: {_shown(name, value)}" for name, value in sorted(shown.items()))

    def no_effect(self) -> list[str]:
        """Settings that were set to something else than their default, and mean nothing here."""
        return sorted(k for k, v in self.set_by_user().items() if k in REASONS and _plain(v) != _plain(DEFAULTS[k]))

    def _key(self, name: str) -> str:
        if name in DEFAULTS:
            return name
        prefix = f"{self._namespace}_" if self._namespace else ""
        if prefix and name.startswith(prefix):
            name = name[len(prefix) :].lower()
        return NEW_OF.get(name, name if name.lower() not in DEFAULTS and not prefix else name.lower())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list, set, frozenset)) else value


def without_password(url: str) -> str:
    """The URL, fit for logs."""
    return re.sub(r"(://[^/@\s]*?:)[^/\s]*@", r"\1***@", url)


def _shown(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_shown(str(k), v)}" for k, v in value.items()) + "}"
    if any(word in name.lower() for word in ("password", "secret", "token", "key", "signature")) and value:
        return "********"
    return without_password(value) if isinstance(value, str) else repr(value)


# -- reading a source ----------------------------------------------------------------------------------------------------


def by_name(name: str) -> Any:
    """The object that `package.module`, `package.module:attribute` or `package.module.attribute` names. Raises `ImportError`."""
    module, colon, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        head, dot, tail = module.rpartition(".")
        if colon or not dot or error.name != module:
            raise
        found, attribute = importlib.import_module(head), tail
    for part in filter(None, attribute.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ImportError(f"{name}: {found!r} has no attribute {part!r}") from None
    return found


def detect(source: Any, namespace: str | None) -> dict[str, Any]:
    """What a configuration says, under new names. Raises `ImproperlyConfigured` for one that mixes old and new ones."""
    if isinstance(source, str):
        source = by_name(source)
    found = dict(source) if isinstance(source, Mapping) else {n: _value(source, n) for n in dir(source) if not n.startswith("__")}
    if namespace:
        prefix = f"{namespace}_"
        return {n[len(prefix) :].lower(): v for n, v in found.items() if n.startswith(prefix)}
    # A few names are the same in both.
    old = {n for n in found if n in NEW_OF}
    new = {n for n in found if n in DEFAULTS}
    doubled_old = {n for n in old if NEW_OF[n] in found}
    doubled_new = {n for n in new if OLD_OF[n] in found}
    if old and new and (old - doubled_old and new - doubled_new):
        _mixed(old - doubled_old, new - doubled_new, to_new=len(new) >= len(old))
    values = {n: v for n, v in found.items() if n not in old}
    for name in sorted(old):
        values.setdefault(NEW_OF[name], found[name])
    return values


def _mixed(old: set[str], new: set[str], *, to_new: bool) -> None:
    renames = [f"{n} -> {NEW_OF[n]}" for n in sorted(old)] if to_new else [f"{n} -> {OLD_OF[n]}" for n in sorted(new)]
    raise ImproperlyConfigured(
        f"settings with old and with new names are mixed; rename {', '.join(renames)}, or use only {'old' if to_new else 'new'} names"
    )


def _value(source: Any, name: str) -> Any:
    try:
        return getattr(source, name)
    except AttributeError:
        return None
    except Exception as error:
        # Django's settings raise ImproperlyConfigured for some names, as long as nobody has set them.
        if type(error).__name__ == "ImproperlyConfigured":
            return None
        raise
