"""Where a call goes, when it may start, and what travels with it."""

from __future__ import annotations

import re
import types
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery_rig import TIMEOUT, Working

from tidewheel.celery import Celery, Exchange, Queue
from tidewheel.celery.app.sending import native_priority
from tidewheel.celery.exceptions import EncodeError, ImproperlyConfigured, NotSupported, OperationalError, QueueNotFound
from tidewheel.core.job import JobView
from tidewheel.errors import BrokerUnavailable


@pytest.fixture
def task(app: Celery) -> Any:
    @app.task(name="feed.refresh")
    def refresh(*args: Any, **kwargs: Any) -> Any:
        return [list(args), kwargs]

    return refresh


def stored(app: Celery, result: Any) -> JobView:
    view = app.native.browse().job(result.id)
    assert view is not None
    return view


def queue_of(app: Celery, result: Any) -> str:
    return stored(app, result).queue


# -- when -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"countdown": 100}, 100),
        ({"countdown": timedelta(minutes=1)}, 60),
        ({"countdown": 10, "eta": datetime(2099, 1, 1, tzinfo=timezone.utc)}, 10),
        ({"eta": lambda: datetime.now(timezone.utc) + timedelta(seconds=50)}, 50),
        ({"eta": lambda: (datetime.now(timezone.utc) + timedelta(seconds=50)).isoformat()}, 50),
        ({"eta": lambda: datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(seconds=50)}, 50),
    ],
)
def test_not_before(app: Celery, task: Any, options: dict[str, Any], seconds: float) -> None:
    options = {k: v() if isinstance(v, types.FunctionType) else v for k, v in options.items()}
    view = stored(app, task.apply_async(**options))
    assert view.due is not None
    assert view.due - app.native.backend.broker.now() == pytest.approx(seconds, abs=5)
    assert view.state == "scheduled"


def test_a_moment_without_time_zone_is_meant_in_the_settings_one(app: Celery, task: Any) -> None:
    app.conf.timezone = "Asia/Tokyo"
    view = stored(app, task.apply_async(eta=datetime(2099, 1, 1, 9, 0)))
    assert view.due == datetime(2099, 1, 1, 9, 0, tzinfo=ZoneInfo("Asia/Tokyo")).timestamp()


@pytest.mark.parametrize("given", [-5, 0])
def test_times_that_are_over_are_now(app: Celery, task: Any, given: float) -> None:
    assert stored(app, task.apply_async(countdown=given)).state == "ready"


@pytest.mark.parametrize("expires", [60, timedelta(minutes=1), lambda: datetime.now(timezone.utc) + timedelta(minutes=1)])
def test_expires(app: Celery, task: Any, expires: Any) -> None:
    view = stored(app, task.apply_async(expires=expires() if callable(expires) else expires))
    assert view.expires is not None
    assert view.expires - app.native.backend.broker.now() == pytest.approx(60, abs=5)


def test_expired_is_revoked(app: Celery, task: Any, working: Working) -> None:
    result = task.apply_async(expires=datetime.now(timezone.utc) - timedelta(minutes=1))
    with working(app):
        with pytest.raises(Exception, match="expired"):
            result.get(TIMEOUT)
    assert result.state == "REVOKED"


@pytest.mark.parametrize("wrong", [{"countdown": "soon"}, {"eta": 5}, {"expires": True}])
def test_times_that_are_none(task: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        task.apply_async(**wrong)


# -- how ------------------------------------------------------------------------------------------------------------------


def test_an_id_of_ones_own(app: Celery, task: Any, working: Working) -> None:
    result = task.apply_async((1,), task_id="order-17")
    assert result.id == "order-17"
    assert app.AsyncResult("order-17").state == "PENDING"
    with working(app):
        assert app.AsyncResult("order-17").get(TIMEOUT) == [[1], {}]
    task.apply_async((2,), task_id="order-17")
    assert stored(app, result).state == "succeeded", "the same id is the same job"
    with pytest.raises(ImproperlyConfigured, match="task_id"):
        task.apply_async(task_id="no good id")


def test_an_id_that_postgresql_could_not_keep_is_refused_before_anything_is_sent() -> None:
    app = Celery(broker="postgresql://nowhere.invalid/site")
    with pytest.raises(ImproperlyConfigured, match="UUIDs"):
        app.send_task("elsewhere.task", task_id="order-17")


def test_limits_of_the_call(app: Celery, task: Any) -> None:
    view = stored(app, task.apply_async(time_limit=5, soft_time_limit=3))
    assert '"time_limit":5' in view.headers["tidewheel-options"]
    assert '"soft_time_limit":3' in view.headers["tidewheel-options"]


def test_a_plain_call_carries_nothing_else(app: Celery, task: Any) -> None:
    assert stored(app, task.delay(1)).headers == {}


@pytest.mark.parametrize(
    ("url", "given", "native"),
    [
        ("memory://", 9, 9),
        ("memory://", 0, 0),
        ("redis://h", 0, 0),
        ("redis://h", 9, -9),
        ("rediss://h", 3, -3),
        ("unix:///s", 6, -6),
        ("sqlite:///x", 255, 100),
    ],
)
def test_priorities(url: str, given: int, native: int) -> None:
    """On Redis 0 comes first in Celery, on RabbitMQ 9: code that was written for the one keeps its order on our Redis."""
    assert native_priority(given, url) == native


def test_priority_is_stored(app: Celery, task: Any) -> None:
    assert stored(app, task.apply_async(priority=5)).priority == 5
    app.conf.task_default_priority = 3
    assert stored(app, task.delay()).priority == 3


def test_unknown_options_are_headers(app: Celery, working: Working) -> None:
    @app.task(bind=True)
    def f(self: Any) -> Any:
        return [self.request.headers, self.request.tenant]

    with working(app):
        assert f.apply_async(tenant="t1", retry=True, serializer="json", compression="gzip", delivery_mode=1).get(TIMEOUT) == [
            {"tenant": "t1"},
            "t1",
        ]


@pytest.mark.parametrize("option", ["chain", "chord"])
def test_what_is_not_there_is_named(task: Any, option: str) -> None:
    with pytest.raises(NotSupported, match=f"{option}= is not there yet"):
        task.apply_async(**{option: ["x"]})


def test_sending_by_name(app: Celery, task: Any, working: Working) -> None:
    known = app.send_task("feed.refresh", (1,), {"b": 2}, countdown=0)
    unknown = app.send_task("elsewhere.task", [1], queue="elsewhere", task_id="e1")
    assert (queue_of(app, unknown), stored(app, unknown).task, unknown.id) == ("elsewhere", "elsewhere.task", "e1")
    with working(app):
        assert known.get(TIMEOUT) == [[1], {"b": 2}]


def test_a_task_nobody_has_is_not_registered(app: Celery) -> None:
    from tidewheel.testing import run_pending

    result = app.send_task("elsewhere.task")
    assert run_pending(app.native) == 1
    assert result.state in ("PENDING", "RETRY"), "another worker may know it: it is waited for a while"


def test_large_headers_are_refused(task: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="headers and callbacks of"):
        task.apply_async(headers={"x": "y" * 300_000})


def test_errors_have_two_names() -> None:
    assert issubclass(BrokerUnavailable, OperationalError)
    assert issubclass(EncodeError, TypeError)


# -- where ----------------------------------------------------------------------------------------------------------------


def test_the_default_queue(app: Celery, task: Any) -> None:
    assert queue_of(app, task.delay()) == "celery"
    app.conf.task_default_queue = "other"
    assert queue_of(app, task.delay()) == "other"


def by_function(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **kw: Any) -> Any:
    return {"queue": f"{kwargs.get('tenant', 'none')}-{args[0] if args else 'x'}"} if name.startswith("feed.") else None


class OldRouter:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": "old"} if task == "feed.refresh" else None


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        ({"feed.refresh": {"queue": "feeds"}}, "feeds"),
        ({"feed.refresh": "feeds"}, "feeds"),
        ({"feed.*": {"queue": "glob"}}, "glob"),
        ({"*": "all", "feed.refresh": "exact"}, "exact"),
        ({re.compile(r"(video|feed)\..*"): {"queue": "regex"}}, "regex"),
        ([("video.*", {"queue": "video"}), ("feed.*", {"queue": "pairs"})], "pairs"),
        (({"video.*": {"queue": "video"}}, by_function), "t-7"),
        (by_function, "t-7"),
        (f"{__name__.rpartition('.')[2]}:by_function", "t-7"),
        ([OldRouter], "old"),
        (OldRouter(), "old"),
        ({"video.*": "video"}, "celery"),
    ],
)
def test_routes(app: Celery, task: Any, routes: Any, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__.rpartition(".")[2], sys.modules[__name__])
    app.conf.task_routes = routes
    assert queue_of(app, task.apply_async((7,), {"tenant": "t"})) == queue
    assert queue_of(app, task.apply_async(queue="mine")) == "mine", "what the call says wins"


def test_a_route_may_carry_more(app: Celery, task: Any) -> None:
    app.conf.task_routes = {"feed.*": {"queue": "feeds", "priority": 7}}
    view = stored(app, task.delay())
    assert (view.queue, view.priority) == ("feeds", 7)
    assert stored(app, task.apply_async(priority=1)).priority == 1


@pytest.mark.parametrize(
    ("routes", "said"), [({"feed.*": 5}, "the route of feed.refresh is 5"), ("no.such:router", "cannot be imported"), (5, "task_routes")]
)
def test_routes_that_are_none(app: Celery, task: Any, routes: Any, said: str) -> None:
    app.conf.task_routes = routes
    with pytest.raises(ImproperlyConfigured, match=said):
        task.delay()


class KombuQueue:
    """As kombu's: only its attributes count."""

    def __init__(self, name: str, exchange: Any, routing_key: str) -> None:
        self.name, self.exchange, self.routing_key = name, exchange, routing_key


@pytest.mark.parametrize(
    "queues",
    [
        [
            Queue("default", Exchange("default"), routing_key="default"),
            Queue("feeds", Exchange("media", type="topic"), routing_key="feed.#"),
        ],
        (KombuQueue("default", Exchange("default"), "default"), KombuQueue("feeds", Exchange("media", type="topic"), "feed.#")),
        {"default": {"exchange": "default"}, "feeds": KombuQueue("feeds", Exchange("media", "topic"), "feed.#")},
    ],
)
def test_queues_and_routing_keys(app: Celery, task: Any, queues: Any) -> None:
    app.conf.update(task_queues=queues, task_default_queue="default")
    assert app.native.queues == ("default", "feeds")
    assert queue_of(app, task.apply_async(routing_key="feed.import.rss")) == "feeds"
    assert queue_of(app, task.apply_async(routing_key="default")) == "default"
    assert queue_of(app, task.apply_async(queue=Queue("feeds"))) == "feeds"
    app.conf.task_routes = {"feed.*": {"routing_key": "feed.x", "exchange": "media"}}
    assert queue_of(app, task.delay()) == "feeds"
    with pytest.raises(QueueNotFound, match="bound to the routing key 'nobody'"):
        task.apply_async(routing_key="nobody")
    assert queue_of(app, task.apply_async(queue="new")) == "new"
    app.conf.task_create_missing_queues = False
    with pytest.raises(QueueNotFound, match="'new' is not in task_queues"):
        task.apply_async(queue="new")


def test_what_is_no_queue(app: Celery, task: Any) -> None:
    app.conf.task_queues = [5]
    with pytest.raises(ImproperlyConfigured, match="5 is no Queue"):
        task.delay()


def test_a_queue_of_the_task_is_that_of_its_calls_and_not_of_its_worker(app: Celery) -> None:
    @app.task(queue="video")
    def encode() -> None: ...

    assert queue_of(app, encode.delay()) == "video"
    assert app.native.queues == ("celery",), "as in Celery a worker serves the default queue, or what -Q says"


def test_after_commit(task: Any, app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings
    from django.db import transaction

    if not settings.configured:
        settings.configure(DATABASES={})
    waiting: list[Any] = []
    monkeypatch.setattr(transaction, "on_commit", waiting.append)
    task.delay_on_commit(1, b=2)
    assert app.native.counts() == {}
    waiting[0]()
    assert app.native.counts()["celery"].ready == 1
