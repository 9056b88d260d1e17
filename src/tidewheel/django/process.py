"""Prepares a process that imports an app of a Django project: executors, their forkserver, and the commands that take `-A`.

`tidewheel.locate` calls `prepare` before and `adopt` after the import, when DJANGO_SETTINGS_MODULE is set.
"""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

import django
from django.apps import apps
from django.conf import ENVIRONMENT_VARIABLE
from django.core.exceptions import ImproperlyConfigured

from tidewheel.errors import ConfigurationError

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel


def setup(settings: str) -> None:
    """Set Django up with this settings module, unless DJANGO_SETTINGS_MODULE names another one or it is set up already."""
    os.environ.setdefault(ENVIRONMENT_VARIABLE, settings)
    prepare()


def prepare() -> None:
    """`django.setup()`, unless it was done or is under way. Raises `ConfigurationError`, one sentence, when the settings are wrong."""
    # Under way: the settings' own package, or an app of the project, imports the module that calls this.
    if apps.ready or apps.loading:
        return
    name = os.environ.get(ENVIRONMENT_VARIABLE, "")
    try:
        django.setup()
    except ConfigurationError:
        raise
    except ImproperlyConfigured as error:
        raise ConfigurationError(f"{ENVIRONMENT_VARIABLE}={name}: {error}") from None
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(
                f"{ENVIRONMENT_VARIABLE}={name}: there is no module {error.name!r} here; run the command from the folder that holds it "
                "(that of manage.py), or set PYTHONPATH"
            ) from None
        raise ConfigurationError(f"{ENVIRONMENT_VARIABLE}={name}: {error}{_where(error)}") from error
    except Exception as error:
        raise ConfigurationError(f"{ENVIRONMENT_VARIABLE}={name}: {type(error).__name__}: {error}{_where(error)}") from error


def adopt(app: Tidewheel) -> None:
    """Import the tasks that the app asked for, and keep its database connections fresh, and those of this process out of its children."""
    from tidewheel.django.connections import close_all, fresh_connections
    from tidewheel.django.discovery import fulfil

    prepare()
    fulfil(app)
    if fresh_connections not in app.middleware:
        app.middleware.insert(0, fresh_connections)
    # A connection that was opened during the import would be shared by every executor that is forked off this process.
    close_all()


def _where(error: BaseException) -> str:
    """The place in the user's own code where it happened, as far as there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and "importlib" not in f.filename and f.filename != __file__]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
