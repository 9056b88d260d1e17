"""`on_commit`, `autodiscover`, `setup`: what a project calls."""

from __future__ import annotations

from typing import Any

SETUP = """
from django.db import connection, transaction
from shop import app
from tidewheel.django import on_commit, autodiscover, setup
from tidewheel.errors import InvalidArguments
setup("shop.settings")
from store.models import Order
from store.tasks import order
ready = lambda: app.counts("default")["default"].ready if app.counts("default") else 0
"""


def test_a_job_is_published_when_its_transaction_is_committed(project: Any) -> None:
    code = """
with transaction.atomic():
    id_ = on_commit(order, "tea")
    assert ready() == 0
assert ready() == 1
assert app.result(id_).state == "ready"
"""
    project.python("-c", SETUP + code)


def test_nothing_is_published_when_it_is_rolled_back(project: Any) -> None:
    code = """
try:
    with transaction.atomic():
        on_commit(order, "tea")
        raise KeyError
except KeyError:
    pass
assert ready() == 0
on_commit(order.using(priority=5), name="salt")  # no transaction: at once
assert ready() == 1
"""
    project.python("-c", SETUP + code)


def test_a_mistake_raises_where_it_was_made(project: Any) -> None:
    code = """
with transaction.atomic():
    try:
        on_commit(order)
    except InvalidArguments as error:
        print(error)
"""
    assert "missing a required argument: 'name'" in project.python("-c", SETUP + code).stdout


def test_in_a_test_s_transaction_nothing_is_closed(project: Any) -> None:
    """Only workers and commands get the middleware; and it leaves `atomic` alone."""
    code = """
from tidewheel import Job
from tidewheel.django.connections import fresh_connections
from tidewheel.testing import run_pending
assert fresh_connections not in app.middleware
with transaction.atomic():
    Order.objects.create(name="tea")
    mine = connection.connection
    connection.close_at = 0.0
    fresh_connections(Job(id="", task=""), lambda job: None)
    assert connection.connection is mine
    assert Order.objects.count() == 1
fresh_connections(Job(id="", task=""), lambda job: None)
assert connection.connection is not mine
order.delay("salt")
assert run_pending(app) == 1
assert Order.objects.count() == 2
"""
    project.python("-c", SETUP + code)


def test_autodiscover(project: Any) -> None:
    code = """
import sys
from tidewheel import Tidewheel
from tidewheel.locate import locate
assert "store.tasks" not in sys.modules  # Django was not ready when shop asked for them
from shop import app
assert locate("shop") is app
assert "store.tasks.order" in app.tasks
before = set(sys.modules)
autodiscover = __import__("tidewheel.django").django.autodiscover
autodiscover(app, ["store"], module="models")
autodiscover(app, ["store"], module="nothing_of_that_name")
assert set(sys.modules) == before
try:
    autodiscover(app, ["storr"])
except ModuleNotFoundError as error:
    assert error.name == "storr"
else:
    raise AssertionError("a package that is not there was passed over")
"""
    project.python("-c", code)


def test_setup_leaves_the_environment_s_settings_alone(project: Any) -> None:
    code = """
from tidewheel.django import setup
setup("no.such.settings")
setup("again.no.such")
from django.conf import settings
assert settings.SETTINGS_MODULE == "shop.settings"
"""
    project.python("-c", code, DJANGO_SETTINGS_MODULE="shop.settings")


def test_rows_and_jobs_are_one_commit(project: Any) -> None:
    code = """
from tidewheel.django import atomic
with atomic(app):
    Order.objects.create(name="tea")
    result = order.delay("tea")
assert (Order.objects.count(), ready()) == (1, 1)
for inner in (False, True):
    try:
        with transaction.atomic():
            with atomic(app):
                Order.objects.create(name="salt")
                order.delay("salt")
                if inner:
                    raise KeyError
            raise KeyError
    except KeyError:
        pass
assert (Order.objects.count(), ready()) == (1, 1)
with transaction.atomic():  # a savepoint of it is undone alone
    try:
        with atomic(app):
            order.delay("salt")
            raise KeyError
    except KeyError:
        pass
    Order.objects.create(name="rice")
assert (Order.objects.count(), ready()) == (2, 1)
order.delay("after the block")
assert ready() == 2
"""
    project.python("-c", SETUP + code, TIDEWHEEL_URL=f"sqlite:///{project.env['SHOP_DB']}?shared=yes")


def test_a_worker_hears_of_the_commit(project: Any) -> None:
    url = f"sqlite:///{project.env['SHOP_DB']}?shared=yes"
    project.start("-c", "1", TIDEWHEEL_URL=url)
    code = """
from tidewheel.django import atomic
with atomic(app):
    result = order.delay("tea")
result.get(30)
assert Order.objects.count() == 1
"""
    project.python("-c", SETUP + code, TIDEWHEEL_URL=url)


def test_a_broker_in_another_database_is_no_part_of_a_transaction(project: Any) -> None:
    code = """
from tidewheel.django import atomic
from tidewheel.errors import ConfigurationError
try:
    with atomic(app):
        order.delay("tea")
except ConfigurationError as error:
    print(error)
"""
    assert "one commit for both needs both in one file" in project.python("-c", SETUP + code).stdout
