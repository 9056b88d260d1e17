"""The Tidewheel app, where the tutorial has its Celery app."""

import os

from tidewheel import Tidewheel
from tidewheel.django import autodiscover

from celery_tasks import celeryconfig

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mydemo.settings")

app = Tidewheel(celeryconfig.BROKER_URL, name="celery_tasks")
autodiscover(app, ["celery_tasks"])
