"""From settings to a native app: which broker, which results, which defaults; and from a task to a native task."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tidewheel.app import Tidewheel
from tidewheel.celery.app.running import job_function
from tidewheel.celery.app.settings import without_password
from tidewheel.celery.exceptions import ImproperlyConfigured
from tidewheel.celery.queues import Queues
from tidewheel.core.options import Retry

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery
    from tidewheel.celery.app.task import Task

__all__ = ["build", "check_task", "queues_of", "register"]

log = logging.getLogger("tidewheel.celery")

WIRED = frozenset({
    "broker_url", "broker_use_ssl", "result_backend", "result_expires", "task_annotations", "task_default_queue", "task_default_rate_limit",
    "task_ignore_result", "task_queues", "task_soft_time_limit", "task_time_limit", "worker_concurrency", "worker_disable_rate_limits",
    "worker_max_memory_per_child", "worker_max_tasks_per_child",
})  # fmt: skip
"""Settings that are part of a native app, which is made anew when one of them changes. The others are read when they are needed."""

AS_OFTEN_AS_ASKED = Retry(10_000, on=())
"""The task decides itself whether it is run again (`self.retry`), and nothing else does; so often it may, at most."""
NEVER_EXPIRES = 10 * 365 * 86_400.0

OTHER_BROKERS = {
    "sentinel": "Redis Sentinel",
    "sqs": "Amazon SQS", "filesystem": "the file system", "sqla": "SQLAlchemy", "db": "SQLAlchemy", "django": "the Django ORM",
    "mongodb": "MongoDB", "zookeeper": "ZooKeeper", "consul": "Consul", "etcd": "etcd", "kafka": "Kafka", "confluentkafka": "Kafka",
    "gcpubsub": "Google Pub/Sub", "azureservicebus": "Azure Service Bus", "azurestoragequeues": "Azure Storage Queues", "pyro": "Pyro",
    "qpid": "Qpid", "slmq": "SoftLayer MQ",
}  # fmt: skip
INSTEAD = "use redis://host:6379/0, amqp://host, postgresql://host/database, or sqlite:///tidewheel.db for which no server is needed"
RABBITMQ = {"amqp": "amqp", "pyamqp": "amqp", "librabbitmq": "amqp", "amqps": "amqps"}
"""Kombu's names of it, and ours."""

OTHER_STORES = {
    "amqp": "replies go through the broker anyway",
    "django-db": "the table of django_celery_results is not written", "django-cache": "Django's cache is not used",
    "cache": "a cache is not used",
    "db": "the tables of SQLAlchemy are not written", "database": "the tables of SQLAlchemy are not written",
    "file": "files are not written", "mongodb": "MongoDB is not used", "elasticsearch": "Elasticsearch is not used",
    "cassandra": "Cassandra is not used", "couchbase": "Couchbase is not used", "couchdb": "CouchDB is not used",
    "arangodb": "ArangoDB is not used", "dynamodb": "DynamoDB is not used", "s3": "S3 is not used", "gs": "Google Cloud is not used",
    "azureblockblob": "Azure is not used", "cosmosdbsql": "Cosmos DB is not used", "consul": "Consul is not used",
    "sentinel": "Sentinel is not used", "memcache": "memcached is not used", "memcached": "memcached is not used",
}  # fmt: skip
"""Celery's other result backends, and what is different when results stay with the broker instead."""


def build(app: Celery) -> Tidewheel:
    """The native app that these settings describe. Raises `ImproperlyConfigured`."""
    conf = app.conf
    broker = broker_url(conf)
    results, note = results_url(conf["result_backend"], broker)
    if note:
        log.warning("%s", note)
    return Tidewheel(
        broker, results=results, name=app.main or None,
        queue=conf["task_default_queue"], queues=tuple(queues_of(app)), workers=_workers(conf),
        retry=AS_OFTEN_AS_ASKED,
        time_limit=_limit(conf["task_time_limit"]), soft_time_limit=_limit(conf["task_soft_time_limit"]),
        result_ttl=0.0 if conf["task_ignore_result"] else result_ttl(conf["result_expires"]),
    )  # fmt: skip


def _workers(conf: Any) -> dict[str, int]:
    """Celery measures memory in KiB."""
    found = {
        "concurrency": int(conf["worker_concurrency"] or 0), "max_tasks_per_child": int(conf["worker_max_tasks_per_child"] or 0),
        "max_memory_per_child": int(conf["worker_max_memory_per_child"] or 0) * 1024,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value > 0}


def broker_url(conf: Any) -> str | None:
    """The broker in Tidewheel's words; None where the settings name none (then TIDEWHEEL_URL, or a SQLite file)."""
    url = conf["broker_url"]
    if isinstance(url, (list, tuple)) or (isinstance(url, str) and ";" in url):
        several = [u.strip() for u in (url.split(";") if isinstance(url, str) else url)]
        if len(several) > 1:
            log.warning("broker_url names %d brokers; only the first is used: there is no failover to another broker", len(several))
        url = several[0]
    if not url:
        if any(conf[f"broker_{part}"] for part in ("transport", "host", "port", "user", "password", "vhost")):
            raise ImproperlyConfigured(
                "BROKER_HOST, BROKER_TRANSPORT and the like are not read: write one BROKER_URL, as redis://:password@host:6379/0"
            )
        return None
    return checked_url("broker_url", str(url), use_ssl=conf["broker_use_ssl"])


def checked_url(setting: str, url: str, *, use_ssl: Any = False) -> str:
    found = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*)(?=:|$)", url)
    scheme = found[1].lower() if found else ""
    rest = url[found.end() :] if found else ""
    if scheme.partition("+")[0] in OTHER_BROKERS:
        what = OTHER_BROKERS[scheme.partition("+")[0]]
        raise ImproperlyConfigured(f"{setting} {without_password(url)!r}: {what} is no broker of Tidewheel's at present; {INSTEAD}")
    if not rest.startswith("://"):
        raise ImproperlyConfigured(f"{setting} {without_password(url)!r}: expected a URL; {INSTEAD}")
    if scheme in RABBITMQ:
        return rabbitmq_url(RABBITMQ[scheme], rest, use_ssl)
    if scheme == "redis+socket":
        return "unix" + re.sub(r"([?&])virtual_host=", r"\1db=", rest)
    if use_ssl and scheme == "redis":
        return "rediss" + rest
    return url


def rabbitmq_url(scheme: str, rest: str, use_ssl: Any) -> str:
    """Kombu writes the vhost `/` as a second slash, and TLS as a setting."""
    found = re.fullmatch(r"://([^/?]*)(?:/([^?]*))?(\?.*)?", rest)
    host, vhost, query = found.groups() if found else (rest.removeprefix("://"), "", "")
    query = query or ""
    if use_ssl:
        scheme = "amqps"
        files = {"ca_certs": "ca", "certfile": "cert", "keyfile": "key"}
        given = {ours: use_ssl[theirs] for theirs, ours in files.items() if isinstance(use_ssl, dict) and use_ssl.get(theirs)}
        if given:
            query = f"{query}{'&' if query else '?'}{urlencode(given)}"
    return f"{scheme}://{host}" + ("/" + vhost.replace("/", "%2F") if vhost else "") + query


def results_url(backend: Any, broker: str | None) -> tuple[str | None, str]:
    """Where results go; None: to the broker. And what is to be said about it, or nothing."""
    if not backend:
        return None, ""
    if not isinstance(backend, str):
        raise ImproperlyConfigured(f"result_backend={backend!r}: expected a URL; backend classes of your own are not there")
    scheme = re.split(r"[:+]", backend, maxsplit=1)[0].lower()
    alone = broker is not None and broker.startswith("amqp")
    if backend.startswith("db+postgresql"):
        # Not SQLAlchemy's tables, but in the same database, where they are looked for.
        return re.sub(r"^db\+postgresql(\+\w+)?:", "postgresql:", backend), ""
    if scheme == "disabled" or (scheme == "rpc" and not alone):
        return None, ""
    if alone and (scheme == "rpc" or scheme in OTHER_STORES):
        return None, (
            f"result_backend {without_password(backend)!r}: no results are kept, for RabbitMQ alone keeps none and "
            f"{OTHER_STORES.get(scheme, 'replies do not go through it')}; name redis://…, postgresql://… or sqlite:///results.db"
        )
    if scheme in OTHER_STORES:
        return None, f"result_backend {without_password(backend)!r}: results stay with the broker; {OTHER_STORES[scheme]}"
    if "://" not in backend:
        raise ImproperlyConfigured(
            f"result_backend {backend!r}: expected a URL, as redis://host:6379/1, or none: then results stay with the broker"
        )
    url = checked_url("result_backend", backend)
    return (None if url == broker else url), ""


def result_ttl(expires: Any) -> float:
    """`result_expires` as seconds; None and 0 mean for ever in Celery, and ten years here."""
    value = expires.total_seconds() if isinstance(expires, timedelta) else float(expires or 0)
    return value if value > 0 else NEVER_EXPIRES


def queues_of(app: Celery) -> Queues:
    return Queues(app.conf["task_queues"], app.conf["task_default_queue"])


def check_task(task: Task) -> None:
    """Raise `ImproperlyConfigured` for what a task asks for and would not get."""
    if task.rate_limit and not task.app.conf["worker_disable_rate_limits"]:
        raise ImproperlyConfigured(
            f"task {task.name}: rate_limit={task.rate_limit!r}: rate limits are not there yet; give the task a queue of its own and a "
            "worker with -c 1 for it, or set worker_disable_rate_limits to run without the limit"
        )
    if getattr(task, "pydantic", False):
        raise ImproperlyConfigured(
            f"task {task.name}: pydantic=True is not there: let the task take plain values, and build the model in it"
        )


def register(native: Tidewheel, task: Task) -> None:
    """Make the task one of the native app's. Its queue is that of each call, not of the task: a worker serves the queues it is given."""
    check_task(task)
    if task.name in native.tasks:
        return
    given: dict[str, Any] = {"time_limit": _limit(task.time_limit), "soft_time_limit": _limit(task.soft_time_limit)}
    options = {k: v for k, v in given.items() if v is not None}
    if task.ignore_result is not None:
        options["result_ttl"] = 0.0 if task.ignore_result else result_ttl(task.app.conf["result_expires"])
    native.task(context=True, name=task.name, **options)(_named(job_function(task), task))


def move_own_tasks(old: Tidewheel, new: Tidewheel) -> None:
    """Tasks that were declared on the native app itself, for which no Celery task stands."""
    for name, task in old.tasks.items():
        if name not in new.tasks:
            task.publisher = new
            new._register(task)


def _named(function: Any, task: Task) -> Any:
    function.__name__ = function.__qualname__ = task.__name__
    function.__module__ = str(getattr(task, "__module__", function.__module__))
    function.__doc__ = task.__doc__
    return function


def _limit(value: Any) -> float | None:
    return float(value) if value else None
