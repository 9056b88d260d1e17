"""Tidewheel in a Django project. Importing it needs Django; nothing else in Tidewheel does.

    autodiscover(app)              import the `tasks` module of every installed app
    on_commit(send_mail, user.pk)  publish when the database transaction has been committed
    with atomic(app): …            publish in that very commit, where the broker is in the same database
    setup("shop.settings")         for a module with tasks that is imported outside of manage.py

What a worker does by itself when DJANGO_SETTINGS_MODULE is set is in process.py and connections.py.
"""

from tidewheel.django.discovery import autodiscover
from tidewheel.django.process import setup
from tidewheel.django.publishing import atomic, on_commit

__all__ = ["atomic", "autodiscover", "on_commit", "setup"]
