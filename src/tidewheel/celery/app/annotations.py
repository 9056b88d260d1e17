"""`task_annotations`: attributes of tasks that the settings change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tidewheel.celery.app.settings import by_name
from tidewheel.celery.exceptions import ImproperlyConfigured

__all__ = ["annotate", "as_list"]


def annotate(task: Any, setting: Any) -> None:
    """Set what the setting says of this task, and of all. `@name` wraps a method. Raises `ImproperlyConfigured`."""
    for rules in as_list(setting):
        rules = by_name(rules) if isinstance(rules, str) else rules
        if not isinstance(rules, Mapping):
            raise ImproperlyConfigured(f"task_annotations: {rules!r}: expected a dict of task names and their attributes")
        for attribute, value in {**(rules.get("*") or {}), **(rules.get(task.name) or {})}.items():
            task.add_around(attribute[1:], value) if attribute.startswith("@") else setattr(task, attribute, value)


def as_list(value: Any) -> list[Any]:
    """What is one or several, or nothing."""
    if not value:
        return []
    return [value] if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable) else list(value)
