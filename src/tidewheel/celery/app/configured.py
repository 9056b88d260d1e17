"""The part of an app that has to do with its settings."""

from __future__ import annotations

import os
from datetime import datetime, timezone, tzinfo
from typing import Any

from tidewheel.celery.app.settings import Settings, by_name
from tidewheel.celery.exceptions import ImproperlyConfigured, NotSupported

__all__ = ["Configured"]


class Configured:
    conf: Settings
    namespace: str | None

    def config_from_object(self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None) -> None:
        """Take the settings from a module, an object, a dict or a dotted name: when the first one is asked for, or with `force` now."""
        self.namespace = namespace or self.namespace
        if silent and isinstance(obj, str):
            try:
                by_name(obj)
            except ImportError:
                return
        self.conf.use(obj, self.namespace)
        if force:
            self.conf.load()

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> None:
        """As `config_from_object`, with the name that the environment variable holds."""
        name = os.environ.get(variable_name)
        if not name:
            if silent:
                return
            raise ImproperlyConfigured(
                f"the environment variable {variable_name} is not set; it should name a module of settings, as celeryconfig"
            )
        self.config_from_object(name, silent=silent, force=force)

    def config_from_cmdline(self, argv: Any, namespace: str = "celery") -> None:
        raise NotSupported("config_from_cmdline() is not there: set the values on app.conf")

    def add_defaults(self, fun: Any) -> None:
        self.conf.add_defaults(fun)

    def setup_security(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupported("setup_security() is not there: messages are not signed; use a broker with TLS and a password")

    @property
    def timezone(self) -> tzinfo:
        """The time zone of moments that say none."""
        name = self.conf["timezone"]
        if isinstance(name, tzinfo):
            return name
        if not name:
            return timezone.utc if self.conf["enable_utc"] else datetime.now().astimezone().tzinfo or timezone.utc
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return ZoneInfo(str(name))
        except (ZoneInfoNotFoundError, ValueError):
            raise ImproperlyConfigured(f"timezone={name!r}: there is no such time zone; expected one as Europe/Berlin") from None

    def now(self) -> datetime:
        """The present moment, in `timezone`."""
        return datetime.now(timezone.utc).astimezone(self.timezone)

    uses_utc_timezone = property(lambda self: self.timezone is timezone.utc)
