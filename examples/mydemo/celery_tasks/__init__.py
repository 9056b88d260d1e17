"""The worker's side of the project: `tidewheel -A celery_tasks worker -l info` imports this package and finds `app` in it."""

from celery_tasks.celery import app

from celery_tasks import tasks  # isort: skip  after the app, which they are registered with; in place of Celery's autodiscover_tasks

__all__ = ["app", "tasks"]
