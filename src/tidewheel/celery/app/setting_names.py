"""Celery's settings: every name, its name before Celery 4, its default, and what it means here. Data; read by `settings.py`.

`WORKS` have their meaning. Those of `NO_EFFECT` are accepted and change nothing, each for the reason over it. Settings of results in
stores that we do not have (Cassandra, S3, MongoDB …) are kept like any setting of the user's own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

__all__ = ["NO_EFFECT", "OLD_NAMES", "WORKS"]

Row = tuple[str, str, Any]

WORKS: tuple[Row, ...] = (
    ("enable_utc", "ENABLE_UTC", True),
    ("imports", "CELERY_IMPORTS", ()),
    ("include", "CELERY_INCLUDE", ()),
    ("timezone", "CELERY_TIMEZONE", None),
    ("beat_schedule", "CELERYBEAT_SCHEDULE", {}),
    ("broker_url", "BROKER_URL", None),
    ("broker_transport", "BROKER_TRANSPORT", None),
    ("broker_use_ssl", "BROKER_USE_SSL", False),
    ("broker_host", "BROKER_HOST", None),
    ("broker_port", "BROKER_PORT", None),
    ("broker_user", "BROKER_USER", None),
    ("broker_password", "BROKER_PASSWORD", None),
    ("broker_vhost", "BROKER_VHOST", None),
    ("result_backend", "CELERY_RESULT_BACKEND", None),
    ("result_expires", "CELERY_TASK_RESULT_EXPIRES", timedelta(days=1)),
    ("task_always_eager", "CELERY_ALWAYS_EAGER", False),
    ("task_annotations", "CELERY_ANNOTATIONS", None),
    ("task_create_missing_queues", "CELERY_CREATE_MISSING_QUEUES", True),
    ("task_inherit_parent_priority", "CELERY_INHERIT_PARENT_PRIORITY", False),
    ("task_default_queue", "CELERY_DEFAULT_QUEUE", "celery"),
    ("task_default_rate_limit", "CELERY_DEFAULT_RATE_LIMIT", None),
    ("task_default_priority", "CELERY_DEFAULT_PRIORITY", None),
    ("task_eager_propagates", "CELERY_EAGER_PROPAGATES_EXCEPTIONS", False),
    ("task_ignore_result", "CELERY_IGNORE_RESULT", False),
    ("task_queues", "CELERY_QUEUES", None),
    ("task_routes", "CELERY_ROUTES", None),
    ("task_soft_time_limit", "CELERYD_TASK_SOFT_TIME_LIMIT", None),
    ("task_time_limit", "CELERYD_TASK_TIME_LIMIT", None),
    ("worker_concurrency", "CELERYD_CONCURRENCY", None),
    ("worker_disable_rate_limits", "CELERY_DISABLE_RATE_LIMITS", False),
    ("worker_max_memory_per_child", "CELERYD_MAX_MEMORY_PER_CHILD", None),
    ("worker_max_tasks_per_child", "CELERYD_MAX_TASKS_PER_CHILD", None),
)
"""Name, name before Celery 4, default."""

NO_EFFECT: dict[str, tuple[Row, ...]] = {
    "a call without a route goes to task_default_queue": (
        ("task_default_exchange", "CELERY_DEFAULT_EXCHANGE", None),
        ("task_default_exchange_type", "CELERY_DEFAULT_EXCHANGE_TYPE", "direct"),
        ("task_default_routing_key", "CELERY_DEFAULT_ROUTING_KEY", None),
    ),
    "write it into the URL of result_backend": (
        ("redis_db", "CELERY_REDIS_DB", None),
        ("redis_host", "CELERY_REDIS_HOST", None),
        ("redis_username", "CELERY_REDIS_USERNAME", None),
        ("redis_password", "CELERY_REDIS_PASSWORD", None),
        ("redis_port", "CELERY_REDIS_PORT", None),
    ),
    "values travel as MessagePack, never as pickle or YAML": (
        ("accept_content", "CELERY_ACCEPT_CONTENT", ("json",)),
        ("result_accept_content", "RESULT_ACCEPT_CONTENT", None),
        ("event_serializer", "CELERY_EVENT_SERIALIZER", "json"),
        ("result_serializer", "CELERY_RESULT_SERIALIZER", "json"),
        ("task_serializer", "CELERY_TASK_SERIALIZER", "json"),
    ),
    "periodic tasks are not there yet": (
        ("beat_enable_remote_control", "CELERYBEAT_ENABLE_REMOTE_CONTROL", False),
        ("beat_remote_control_max_tick_age", "CELERYBEAT_REMOTE_CONTROL_MAX_TICK_AGE", None),
        ("beat_max_loop_interval", "CELERYBEAT_MAX_LOOP_INTERVAL", 0),
        ("beat_scheduler", "CELERYBEAT_SCHEDULER", "celery.beat:PersistentScheduler"),
        ("beat_schedule_filename", "CELERYBEAT_SCHEDULE_FILENAME", "celerybeat-schedule"),
        ("beat_sync_every", "CELERYBEAT_SYNC_EVERY", 0),
        ("beat_cron_starting_deadline", "CELERYBEAT_CRON_STARTING_DEADLINE", None),
    ),
    "one URL is read from and written to": (
        ("broker_read_url", "BROKER_READ_URL", None),
        ("broker_write_url", "BROKER_WRITE_URL", None),
    ),
    "jobs are leased to workers: there is no visibility timeout, and options of a driver go into the URL": (
        ("broker_transport_options", "BROKER_TRANSPORT_OPTIONS", {}),
        ("result_backend_transport_options", "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS", {}),
    ),
    "the broker's connections look after themselves; options of a driver go into the URL": (
        ("broker_connection_timeout", "BROKER_CONNECTION_TIMEOUT", 4),
        ("broker_failover_strategy", "BROKER_FAILOVER_STRATEGY", None),
        ("broker_heartbeat", "BROKER_HEARTBEAT", 120),
        ("broker_heartbeat_checkrate", "BROKER_HEARTBEAT_CHECKRATE", 3.0),
        ("broker_login_method", "BROKER_LOGIN_METHOD", None),
        ("broker_native_delayed_delivery_queue_type", "BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE", "quorum"),
        ("broker_pool_limit", "BROKER_POOL_LIMIT", 10),
        ("broker_pool_acquire_timeout", "BROKER_POOL_ACQUIRE_TIMEOUT", None),
        ("redis_backend_use_ssl", "CELERY_REDIS_BACKEND_USE_SSL", None),
        ("redis_max_connections", "CELERY_REDIS_MAX_CONNECTIONS", None),
        ("redis_socket_timeout", "CELERY_REDIS_SOCKET_TIMEOUT", 120.0),
        ("redis_socket_connect_timeout", "CELERY_REDIS_SOCKET_CONNECT_TIMEOUT", None),
        ("redis_retry_on_timeout", "CELERY_REDIS_RETRY_ON_TIMEOUT", False),
        ("redis_socket_keepalive", "CELERY_REDIS_SOCKET_KEEPALIVE", False),
    ),
    "a worker connects again for as long as it takes": (
        ("broker_connection_retry", "BROKER_CONNECTION_RETRY", True),
        ("broker_connection_retry_on_startup", "BROKER_CONNECTION_RETRY_ON_STARTUP", None),
        ("broker_connection_max_retries", "BROKER_CONNECTION_MAX_RETRIES", 100),
        ("broker_channel_error_retry", "BROKER_CHANNEL_ERROR_RETRY", False),
        ("worker_cancel_long_running_tasks_on_connection_loss", "CELERYD_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS", False),
    ),
    "results are kept by the broker, or by the engine of result_backend": (
        ("cache_backend", "CELERY_CACHE_BACKEND", None),
        ("cache_backend_options", "CELERY_CACHE_BACKEND_OPTIONS", {}),
        ("result_cache_max", "CELERY_MAX_CACHED_RESULTS", -1),
        ("result_exchange", "CELERY_RESULT_EXCHANGE", "celeryresults"),
        ("result_exchange_type", "CELERY_RESULT_EXCHANGE_TYPE", "direct"),
        ("result_failure_expires", "CELERY_RESULT_FAILURE_EXPIRES", None),
        ("result_backend_max_sleep_between_retries_ms", "CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS", 10000),
        ("result_backend_max_retries", "CELERY_RESULT_BACKEND_MAX_RETRIES", None),
        ("result_backend_base_sleep_between_retries_ms", "CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS", 10),
        ("result_backend_always_retry", "CELERY_RESULT_BACKEND_ALWAYS_RETRY", False),
        ("database_url", "CELERY_RESULT_DBURI", None),
        ("database_engine_options", "CELERY_RESULT_ENGINE_OPTIONS", {"pool_pre_ping": True, "pool_recycle": 3600}),
        ("database_engine_callback", "DATABASE_ENGINE_CALLBACK", None),
        ("database_short_lived_sessions", "CELERY_RESULT_DB_SHORT_LIVED_SESSIONS", False),
        ("database_table_schemas", "DATABASE_TABLE_SCHEMAS", None),
        ("database_table_names", "CELERY_RESULT_DB_TABLENAMES", None),
        ("database_create_tables_at_setup", "DATABASE_CREATE_TABLES_AT_SETUP", True),
    ),
    "control goes through the broker's own state": (
        ("control_queue_ttl", "CONTROL_QUEUE_TTL", 300.0),
        ("control_queue_expires", "CONTROL_QUEUE_EXPIRES", 10.0),
        ("control_queue_exclusive", "CONTROL_QUEUE_EXCLUSIVE", True),
        ("control_queue_durable", "CONTROL_QUEUE_DURABLE", False),
        ("control_exchange", "CONTROL_EXCHANGE", "celery"),
        ("worker_enable_remote_control", "CELERY_ENABLE_REMOTE_CONTROL", True),
    ),
    "events are always there": (
        ("event_queue_expires", "CELERY_EVENT_QUEUE_EXPIRES", 60.0),
        ("event_queue_ttl", "CELERY_EVENT_QUEUE_TTL", 5.0),
        ("event_queue_prefix", "CELERY_EVENT_QUEUE_PREFIX", "celeryev"),
        ("event_queue_exclusive", "CELERY_EVENT_QUEUE_EXCLUSIVE", True),
        ("event_queue_durable", "CELERY_EVENT_QUEUE_DURABLE", False),
        ("event_exchange", "CELERY_EVENT_EXCHANGE", "celeryev"),
        ("task_send_sent_event", "CELERY_SEND_TASK_SENT_EVENT", False),
        ("worker_send_task_events", "CELERY_SEND_EVENTS", False),
    ),
    "bodies are small or refused: store large data elsewhere": (
        ("result_compression", "CELERY_RESULT_COMPRESSION", None),
        ("task_compression", "CELERY_MESSAGE_COMPRESSION", None),
    ),
    "chords are not there yet": (
        ("result_chord_expires", "CELERY_RESULT_CHORD_EXPIRES", None),
        ("result_chord_retry_interval", "CELERY_RESULT_CHORD_RETRY_INTERVAL", 1.0),
        ("result_chord_join_timeout", "CELERY_RESULT_CHORD_JOIN_TIMEOUT", 3.0),
        ("task_allow_error_cb_on_chord_header", "CELERY_ALLOW_ERROR_CB_ON_CHORD_HEADER", False),
    ),
    "what is accepted is stored": (
        ("result_persistent", "CELERY_RESULT_PERSISTENT", None),
        ("task_default_delivery_mode", "CELERY_DEFAULT_DELIVERY_MODE", 2),
    ),
    "name, arguments and worker of a task are always known": (("result_extended", "CELERY_RESULT_EXTENDED", False),),
    "signed messages are not there": (
        ("security_certificate", "CELERY_SECURITY_CERTIFICATE", None),
        ("security_cert_store", "CELERY_SECURITY_CERT_STORE", None),
        ("security_key", "CELERY_SECURITY_KEY", None),
        ("security_key_password", "CELERY_SECURITY_KEY_PASSWORD", None),
        ("security_digest", "CELERY_SECURITY_DIGEST", "sha256"),
    ),
    "a job is acknowledged when its outcome is written, always": (
        ("task_acks_late", "CELERY_ACKS_LATE", False),
        ("task_acks_on_failure_or_timeout", "CELERY_ACKS_ON_FAILURE_OR_TIMEOUT", True),
        ("task_acks_on_failure", "CELERY_ACKS_ON_FAILURE", None),
        ("task_acks_on_timeout", "CELERY_ACKS_ON_TIMEOUT", None),
    ),
    "there are no kinds of queues": (
        ("task_create_missing_queue_type", "CELERY_CREATE_MISSING_QUEUE_TYPE", "classic"),
        ("task_create_missing_queue_exchange_type", "CELERY_CREATE_MISSING_QUEUE_EXCHANGE_TYPE", None),
        ("task_default_queue_type", "CELERY_DEFAULT_QUEUE_TYPE", "classic"),
    ),
    "an eager result is only returned": (("task_store_eager_result", "CELERY_STORE_EAGER_RESULT", False),),
    "jobs travel in Tidewheel's own format": (
        ("task_protocol", "CELERY_TASK_PROTOCOL", 2),
        ("task_remote_tracebacks", "CELERY_REMOTE_TRACEBACKS", False),
        ("task_repr_maxlevels", "CELERY_REPR_MAXLEVELS", 3),
    ),
    "publishing is tried again within the broker's time limit": (
        ("task_publish_retry", "CELERY_TASK_PUBLISH_RETRY", True),
        (
            "task_publish_retry_policy",
            "CELERY_TASK_PUBLISH_RETRY_POLICY",
            {"max_retries": 3, "interval_start": 0, "interval_max": 1, "interval_step": 0.2},
        ),
    ),
    "priorities are always there": (("task_queue_max_priority", "CELERY_QUEUE_MAX_PRIORITY", None),),
    "a job whose process died is run again, up to 3 times": (
        ("task_reject_on_worker_lost", "CELERY_REJECT_ON_WORKER_LOST", None),
        ("task_retry_on_worker_lost", "CELERY_RETRY_ON_WORKER_LOST", False),
        ("worker_lost_wait", "CELERYD_WORKER_LOST_WAIT", 10.0),
    ),
    "an ignored result is not kept; a failure is in the dead letters": (
        ("task_store_errors_even_if_ignored", "CELERY_STORE_ERRORS_EVEN_IF_IGNORED", False),
    ),
    "STARTED is always known": (("task_track_started", "CELERY_TRACK_STARTED", False),),
    "the worker has no such parts to replace": (
        ("worker_agent", "CELERYD_AGENT", None),
        ("worker_consumer", "CELERYD_CONSUMER", "celery.worker.consumer:Consumer"),
        ("worker_timer", "CELERYD_TIMER", None),
        ("worker_timer_precision", "CELERYD_TIMER_PRECISION", 1.0),
    ),
    "use -c; idle executors cost little": (("worker_autoscaler", "CELERYD_AUTOSCALER", "celery.worker.autoscale:Autoscaler"),),
    "use --grace": (
        ("worker_soft_shutdown_timeout", "CELERYD_SOFT_SHUTDOWN_TIMEOUT", 0.0),
        ("worker_enable_soft_shutdown_on_idle", "CELERYD_ENABLE_SOFT_SHUTDOWN_ON_IDLE", False),
    ),
    "a job goes to a queue, not to a worker": (("worker_direct", "CELERY_WORKER_DIRECT", False),),
    "a job that has ended is never run again": (("worker_deduplicate_successful_tasks", "CELERYD_DEDUPLICATE_SUCCESSFUL_TASKS", False),),
    "logging that you configure yourself is left alone; print() stays print()": (
        ("worker_hijack_root_logger", "CELERYD_HIJACK_ROOT_LOGGER", True),
        ("worker_redirect_stdouts", "CELERY_REDIRECT_STDOUTS", True),
        ("worker_redirect_stdouts_level", "CELERY_REDIRECT_STDOUTS_LEVEL", "WARNING"),
    ),
    "see the worker's --log-format": (
        ("worker_log_color", "CELERYD_LOG_COLOR", None),
        ("worker_log_datefmt", "CELERYD_LOG_DATEFMT", None),
        ("worker_log_format", "CELERYD_LOG_FORMAT", "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"),
        ("worker_task_log_datefmt", "CELERYD_TASK_LOG_DATEFMT", None),
        (
            "worker_task_log_format",
            "CELERYD_TASK_LOG_FORMAT",
            "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s",
        ),
    ),
    "the pool is needed before the app is imported: use -P": (
        ("worker_pool", "CELERYD_POOL", "prefork"),
        ("worker_pool_putlocks", "CELERYD_POOL_PUTLOCKS", True),
        ("worker_pool_restarts", "CELERYD_POOL_RESTARTS", False),
    ),
    "use --start-method": (
        ("worker_pool_start_method", "CELERYD_POOL_START_METHOD", "fork"),
        ("worker_proc_alive_timeout", "CELERYD_PROC_ALIVE_TIMEOUT", 4.0),
    ),
    "a worker claims only what can start soon": (
        ("worker_prefetch_multiplier", "CELERYD_PREFETCH_MULTIPLIER", 4),
        ("worker_eta_task_limit", "CELERYD_ETA_TASK_LIMIT", None),
        ("worker_enable_prefetch_count_reduction", "CELERYD_ENABLE_PREFETCH_COUNT_REDUCTION", True),
        ("worker_disable_prefetch", "CELERYD_DISABLE_PREFETCH", False),
        ("worker_detect_quorum_queues", "CELERYD_DETECT_QUORUM_QUEUES", True),
    ),
    "what is revoked is stored with the job": (("worker_state_db", "CELERYD_STATE_DB", None),),
}

OLD_NAMES = {
    "CELERY_ENABLE_UTC": "enable_utc",
    "CELERY_TASK_RESULT_EXPIRES": "result_expires",
    "CELERY_RESULT_EXPIRES": "result_expires",
    "CELERY_TASK_TIME_LIMIT": "task_time_limit",
    "CELERY_TASK_SOFT_TIME_LIMIT": "task_soft_time_limit",
}
"""Further names that were once in use."""
