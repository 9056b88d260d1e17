from __future__ import annotations

import sys
import threading
import types
from datetime import timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tidewheel.celery import Celery
from tidewheel.celery.app.setting_names import NO_EFFECT, WORKS
from tidewheel.celery.app.settings import DEFAULTS, NEW_OF, OLD_OF, REASONS
from tidewheel.celery.exceptions import ImproperlyConfigured


def module(monkeypatch: pytest.MonkeyPatch, name: str, **values: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(values)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def test_the_tutorials_module(monkeypatch: pytest.MonkeyPatch) -> None:
    config = module(monkeypatch, "celeryconfig", CELERY_RESULT_BACKEND="redis://127.0.0.1:6379/9", BROKER_URL="redis://127.0.0.1:6379/8")
    app = Celery("celery_tasks")
    app.config_from_object(config)
    assert app.conf.broker_url == app.conf["BROKER_URL"] == app.conf.BROKER_URL == "redis://127.0.0.1:6379/8"
    assert app.conf.result_backend == app.conf.CELERY_RESULT_BACKEND == "redis://127.0.0.1:6379/9"


@pytest.mark.parametrize("source", ["conf_of_test", "conf_of_test:inner", "conf_of_test.inner"])
def test_dotted_names(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    inner = types.SimpleNamespace(task_default_queue="q")
    module(monkeypatch, "conf_of_test", task_default_queue="q", inner=inner)
    app = Celery()
    app.config_from_object(source)
    assert app.conf.task_default_queue == "q"


def test_a_namespace_takes_only_its_own_names() -> None:
    app = Celery()
    app.config_from_object(
        {
            "CELERY_TASK_ALWAYS_EAGER": True,
            "CELERY_BROKER_URL": "memory://a",
            "BROKER_URL": "memory://b",
            "task_default_queue": "x",
            "CELERY_MINE": 3,
        },
        namespace="CELERY",
    )
    assert app.conf.task_always_eager is True
    assert app.conf.broker_url == "memory://a"
    assert app.conf.task_default_queue == "celery"
    assert app.conf.mine == app.conf["CELERY_MINE"] == 3


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"BROKER_URL": "a", "CELERY_RESULT_BACKEND": "b", "task_always_eager": True}, "task_always_eager -> CELERY_ALWAYS_EAGER"),
        ({"BROKER_URL": "a", "result_backend": "b", "task_always_eager": True}, "BROKER_URL -> broker_url"),
    ],
)
def test_old_and_new_names_are_not_mixed(source: dict[str, Any], said: str) -> None:
    app = Celery()
    app.config_from_object(source)
    with pytest.raises(ImproperlyConfigured, match=said):
        _ = app.conf.broker_url
    with pytest.raises(ImproperlyConfigured, match=said):  # and it is not forgotten
        _ = app.conf.broker_url


def test_both_names_of_one_setting_are_no_mixture() -> None:
    app = Celery()
    app.config_from_object({"BROKER_URL": "a", "broker_url": "b", "CELERY_ENABLE_UTC": False})
    assert app.conf.broker_url == "b"
    assert app.conf.enable_utc is False


@pytest.mark.parametrize("name", ["CELERY_ENABLE_UTC", "ENABLE_UTC", "enable_utc"])
def test_enable_utc_under_each_name(name: str) -> None:
    app = Celery()
    app.config_from_object({name: False})
    assert app.conf.enable_utc is False


def test_every_setting_has_its_old_name_its_default_and_its_meaning() -> None:
    rows = [*WORKS, *(row for rows in NO_EFFECT.values() for row in rows)]
    assert len({new for new, _, _ in rows}) == len({old for _, old, _ in rows}) == len(rows) == len(DEFAULTS)
    app = Celery()
    for new, old, default in rows:
        assert app.conf[new] == default == app.conf[old]
        app.conf[old] = "changed"
        assert app.conf[new] == "changed"
    assert all(NEW_OF[OLD_OF[new]] == new for new in DEFAULTS)


def test_settings_are_read_when_they_are_needed() -> None:
    class Lazy:
        @property
        def broker_url(self) -> str:
            seen.append(1)
            return "memory://lazy"

    seen: list[int] = []
    app = Celery()
    app.config_from_object(Lazy())
    assert seen == []
    assert app.conf.broker_url == "memory://lazy"
    assert seen == [1]
    app.config_from_object({"broker_url": "memory://forced"}, force=True)
    assert app.conf.loaded


def test_what_is_set_on_conf_and_the_constructor_win() -> None:
    app = Celery(broker="memory://constructor")
    app.conf.task_default_queue = "set"
    app.config_from_object({"broker_url": "memory://config", "task_default_queue": "config", "timezone": "UTC"})
    assert (app.conf.broker_url, app.conf.task_default_queue, app.conf.timezone) == ("memory://constructor", "set", "UTC")
    app.conf.update(task_default_queue="again", my_own=1)
    assert (app.conf.task_default_queue, app.conf.my_own, app.conf.get("nothing", 2)) == ("again", 1, 2)
    with pytest.raises(AttributeError, match="nothing"):
        _ = app.conf.nothing


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    module(monkeypatch, "conf_of_env", task_default_queue="env")
    monkeypatch.setenv("CONF", "conf_of_env")
    app = Celery()
    app.config_from_envvar("CONF")
    assert app.conf.task_default_queue == "env"
    assert app.config_from_envvar("MISSING", silent=True) is None  # type: ignore[func-returns-value]
    with pytest.raises(ImproperlyConfigured, match="MISSING"):
        app.config_from_envvar("MISSING")
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://shell")
    assert app.conf.broker_url == "memory://shell"


def test_a_module_that_is_not_there() -> None:
    app = Celery()
    app.config_from_object("no_such_module_here", silent=True)
    assert app.conf.task_default_queue == "celery"
    app.config_from_object("no_such_module_here")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_here"):
        _ = app.conf.task_default_queue


def test_what_has_no_effect_is_said_once_in_one_line(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Celery(broker=url)
    app.config_from_object({"worker_prefetch_multiplier": 1, "task_acks_late": True, "accept_content": ["json"], "task_default_queue": "q"})
    assert app.conf.no_effect() == ["task_acks_late", "worker_prefetch_multiplier"]  # accept_content says what is so anyway
    with caplog.at_level("INFO", "tidewheel.celery"):
        app.__tidewheel__()
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 1
    assert "task_acks_late, worker_prefetch_multiplier" in lines[0]
    assert all(REASONS[n] for n in app.conf.no_effect())
    app.close()


def test_settings_that_work_are_the_native_apps() -> None:
    app = Celery("shop")
    app.config_from_object({
        "broker_url": "memory://n", "task_default_queue": "low", "task_time_limit": 30, "task_soft_time_limit": 20,
        "result_expires": timedelta(hours=2),
        "worker_concurrency": 3, "worker_max_tasks_per_child": 50, "worker_max_memory_per_child": 100_000, "task_queues": None,
    })  # fmt: skip

    @app.task
    def plain() -> None: ...

    @app.task(time_limit=5, ignore_result=True, name="special")
    def special() -> None: ...

    native = app.native
    assert native.workers == {"concurrency": 3, "max_tasks_per_child": 50, "max_memory_per_child": 102_400_000}
    assert native.queues == ("low",)
    assert native.name == "shop"
    declared = native.tasks[plain.name].declared
    assert (declared.time_limit, declared.soft_time_limit, declared.result_ttl, declared.queue) == (30, 20, 7200, "low")
    assert (native.tasks["special"].declared.time_limit, native.tasks["special"].declared.result_ttl) == (5, 0)


def test_result_expires_never() -> None:
    app = Celery(broker="memory://x")
    app.conf.result_expires = None
    assert app.native.defaults.result_ttl > 3600 * 24 * 365


@pytest.mark.parametrize(
    ("zone", "utc", "expected"),
    [
        (None, True, timezone.utc),
        ("Europe/Berlin", True, ZoneInfo("Europe/Berlin")),
        (ZoneInfo("Asia/Tokyo"), True, ZoneInfo("Asia/Tokyo")),
    ],
)
def test_time_zone(zone: Any, utc: bool, expected: Any) -> None:
    app = Celery()
    app.conf.update(timezone=zone, enable_utc=utc)
    assert app.timezone == expected
    assert app.now().tzinfo is not None


def test_a_time_zone_that_is_none() -> None:
    app = Celery()
    app.conf.timezone = "Atlantis/Middle"
    with pytest.raises(ImproperlyConfigured, match="Atlantis"):
        _ = app.timezone


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"broker_url": "sqs://key:secret@"}, "Amazon SQS is no broker"),
        ({"broker_url": "sqla+sqlite:///x.db"}, "SQLAlchemy is no broker"),
        ({"broker_url": "sentinel://localhost:26379"}, "Redis Sentinel is no broker"),
        ({"broker_url": "localhost"}, "expected a URL"),
        ({"broker_host": "localhost"}, "write one BROKER_URL"),
        ({"broker_url": "memory://", "result_backend": "nonsense"}, "result_backend 'nonsense'"),
        ({"broker_url": "memory://", "result_backend": object()}, "result_backend"),
        ({"broker_url": "memory://", "task_default_rate_limit": "10/m"}, "rate limits are not there yet"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    app = Celery()
    app.config_from_object(settings)

    @app.task
    def f() -> None: ...

    with pytest.raises(ImproperlyConfigured, match=said) as raised:
        f.delay()
    assert "secret" not in str(raised.value)


def test_an_unknown_broker_is_named_by_the_core() -> None:
    app = Celery(broker="carrier-pigeon://roof")
    with pytest.raises(Exception, match="carrier-pigeon://roof"):
        app.native.describe()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("redis+socket:///run/redis.sock?virtual_host=3", "unix:///run/redis.sock?db=3"),
        ("redis://a:1/0;redis://b:1/0", "redis://a:1/0"),
        (["redis://a:1/0"], "redis://a:1/0"),
        ("amqp://guest:guest@localhost//", "amqp://guest:guest@localhost/%2F"),
        ("pyamqp://guest@localhost//shop", "amqp://guest@localhost/%2Fshop"),
        ("amqp://localhost:5672/shop?heartbeat=30", "amqp://localhost:5672/shop?heartbeat=30"),
        ("librabbitmq://", "amqp://"),
        ("postgresql://localhost/site", "postgresql://localhost/site"),
    ],
)
def test_brokers_in_kombus_words(given: Any, expected: str) -> None:
    app = Celery(broker=given)
    assert app.native.url == expected


def test_tls() -> None:
    app = Celery(broker="redis://a:1/0")
    app.conf.broker_use_ssl = {"ssl_cert_reqs": "required"}
    assert app.native.url == "rediss://a:1/0"
    app = Celery(broker="amqp://a//")
    app.conf.broker_use_ssl = {"ca_certs": "/etc/ca.pem", "certfile": "/etc/me.pem", "keyfile": "/etc/me.key"}
    assert app.native.url == "amqps://a/%2F?ca=%2Fetc%2Fca.pem&cert=%2Fetc%2Fme.pem&key=%2Fetc%2Fme.key"


@pytest.mark.parametrize(
    "backend", ["django-db", "db+sqlite:///x.sqlite", "cache+memcached://127.0.0.1:11211/", "file:///tmp/x", "amqp://"]
)
def test_stores_that_are_not_there_leave_results_with_the_broker(backend: str, url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Celery(broker=url, backend=backend)
    assert app.native.results_url is None
    assert "results stay with the broker" in caplog.text
    app.close()


@pytest.mark.parametrize("backend", [None, "rpc://", "disabled://"])
def test_results_with_the_broker_need_no_word(backend: str | None, url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Celery(broker=url, backend=backend)
    assert app.native.results_url is None
    assert caplog.text == ""
    app.close()


def test_results_in_another_database() -> None:
    app = Celery(broker="redis://127.0.0.1:6379/8", backend="redis://127.0.0.1:6379/9")
    assert (app.native.url, app.native.results_url) == ("redis://127.0.0.1:6379/8", "redis://127.0.0.1:6379/9")
    app.conf.result_backend = "redis://127.0.0.1:6379/8"
    assert app.native.results_url is None


@pytest.mark.parametrize("backend", ["rpc://", "amqp://", "django-db", "file:///tmp/x"])
def test_rabbitmq_alone_keeps_no_results(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Celery(broker="amqp://localhost//", backend=backend)
    assert app.native.results_url is None
    assert "no results are kept" in caplog.text


def test_results_in_a_database_that_celery_reaches_by_sqlalchemy() -> None:
    app = Celery(broker="amqp://localhost//", backend="db+postgresql+psycopg2://me:secret@db/site")
    assert app.native.results_url == "postgresql://me:secret@db/site"


def test_changing_a_setting_later_counts(app: Celery) -> None:
    @app.task
    def f() -> None: ...

    first = app.native
    app.conf.task_default_queue = "later"
    assert app.native is not first
    assert app.native.tasks[f.name].declared.queue == "later"


def test_secrets_are_masked() -> None:
    app = Celery(broker="redis://:hunter2@host:6379/0")
    app.conf.security_key_password = "hunter2"
    app.conf.broker_transport_options = {"password": "hunter2", "nested": {"url": "redis://:hunter2@host"}}
    app.conf.DATABASES = {"default": {"PASSWORD": "hunter2"}}
    assert "hunter2" not in app.conf.humanize(with_defaults=True)
    assert "hunter2" not in repr(app.conf)


def test_tasks_of_the_native_app_outlive_a_change_of_settings(app: Celery, url: str) -> None:
    @app.native.task
    def own(n: int) -> int:
        return n + 1

    app.conf.task_default_queue = "later"
    from tidewheel.testing import run_pending

    result = own.delay(1)
    assert app.native.tasks[own.name] is own
    assert run_pending(app.native, queues=("celery", "later")) == 1
    assert result.get(1) == 2


def test_settings_are_read_once_by_many_threads() -> None:
    class Slow:
        @property
        def task_default_queue(self) -> str:
            reads.append(1)
            barrier.wait(5)
            return "slow"

    reads: list[int] = []
    seen: list[str] = []
    barrier = threading.Barrier(2)
    app = Celery()
    app.config_from_object(Slow())
    threads = [threading.Thread(target=lambda: seen.append(app.conf.task_default_queue)) for _ in range(4)]
    for thread in threads:
        thread.start()
    barrier.wait(5)
    for thread in threads:
        thread.join()
    assert seen == ["slow"] * 4
    assert reads == [1]
