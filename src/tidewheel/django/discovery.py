"""Imports the modules in which a project defines its tasks."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.apps import apps
from django.utils.module_loading import module_has_submodule

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

Wish = tuple[tuple[str, ...] | None, str]

_wishes: weakref.WeakKeyDictionary[Tidewheel, list[Wish]] = weakref.WeakKeyDictionary()
"""What was asked for before Django's apps were loaded."""


def autodiscover(app: Tidewheel, packages: Sequence[str] | None = None, *, module: str = "tasks") -> None:
    """Import `<package>.tasks` of every app in INSTALLED_APPS, or of these packages, where there is one.

    While Django is still loading its apps (the module with `app` is often imported from there) nothing is imported yet: it is done when
    a worker or a command of Tidewheel's has found `app`. A site needs no more: what it publishes, it has imported.
    """
    wish = (None if packages is None else tuple(packages), module)
    if apps.ready:
        _import(wish)
    else:
        _wishes.setdefault(app, []).append(wish)


def fulfil(app: Tidewheel) -> None:
    """Import what was asked for before Django's apps were loaded."""
    for wish in _wishes.pop(app, ()):
        _import(wish)


def _import(wish: Wish) -> None:
    packages, module = wish
    for package in [config.name for config in apps.get_app_configs()] if packages is None else packages:
        if module_has_submodule(importlib.import_module(package), module):
            importlib.import_module(f"{package}.{module}")
