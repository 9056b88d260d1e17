"""The Tidewheel app, where the tutorial has its Celery app."""

import os
from typing import Any

import django
from django.apps import apps
from django.db import close_old_connections
from tidewheel import CallNext, Job, Tidewheel

from celery_tasks import celeryconfig

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mydemo.settings")
if not apps.ready:  # so in the worker; in the site, Django was set up before a view imported this
    django.setup()


def fresh_connections(job: Job, call_next: CallNext) -> Any:
    """What Django does round each request: drop database connections that are broken or too old, so that no job meets one."""
    close_old_connections()
    try:
        return call_next(job)
    finally:
        close_old_connections()


app = Tidewheel(celeryconfig.BROKER_URL, name="celery_tasks", middleware=[fresh_connections])
