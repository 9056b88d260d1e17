"""The worker's side of the project: `tidewheel -A celery_tasks worker -l info` imports this package and finds `app` in it."""

from celery_tasks.celery import app

__all__ = ["app"]
