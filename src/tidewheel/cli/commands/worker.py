"""`tidewheel worker`: turns flags (Celery's, where it has them) into `WorkerOptions`. It never imports the app: executors do."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tidewheel import __version__
from tidewheel.cli import child
from tidewheel.cli.failures import AppImportError, Usage
from tidewheel.cli.pidfile import pidfile
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.words import duration, memory
from tidewheel.core.options import check_name
from tidewheel.errors import ConfigurationError
from tidewheel.events import Emitter, WorkerStarting
from tidewheel.observe.banner import Banner, announce
from tidewheel.observe.logs import FORMATS, Format, LogSettings, apply, level_number, subscribe
from tidewheel.worker.options import Pool, StartMethod, WorkerOptions

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.contract import Description
    from tidewheel.worker.frames import Manifest
    from tidewheel.worker.worker import Worker

POOLS: dict[str, Pool] = {
    "processes": "processes", "threads": "threads", "asyncio": "asyncio", "gevent": "gevent", "eventlet": "eventlet",
    "inline": "inline",
    "prefork": "processes", "solo": "inline", "async": "asyncio", "aio": "asyncio",
}  # fmt: skip
"""What -P takes: our names, then those of Celery and its friends."""

NO_EFFECT = {
    "-E": "events are always there", "-O": "jobs are always handed out fairly", "--without-gossip": "workers do not gossip",
    "--without-mingle": "workers do not mingle", "--without-heartbeat": "a worker without a heartbeat would be taken for dead",
    "--prefetch-multiplier": "a worker claims only what can start soon",
}  # fmt: skip
"""Flags of Celery that are accepted and change nothing, each with the reason that is given."""

NOT_HERE = {
    "-B": "there is no beat (periodic tasks) in Tidewheel yet, so -B cannot start it",
    "--autoscale": "there is no --autoscale: give -c the most jobs at once; idle executors cost little",
    "-D": "a worker does not detach itself: let systemd, supervisord or a container keep it, or use nohup",
}
"""Flags of Celery that are refused, each with what to do instead."""


def pool_name(value: str) -> Pool:
    name = value.lower()
    if name not in POOLS:
        raise click.BadParameter(f"{value!r} is no pool; there are: {', '.join(dict.fromkeys(POOLS.values()))}")
    return POOLS[name]


def queue_names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Names, separated by commas."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(check_name("queue", n.strip()) for n in value.split(",") if n.strip())
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None


def _no_effect(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        flag = option.opts[0]
        ctx.obj.remark(f"{flag} has no effect: {NO_EFFECT[flag]}")


def _not_here(_ctx: click.Context, option: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        raise Usage(NOT_HERE[option.opts[0]])


def worker_name(pattern: str | None) -> str:
    """The name that -n gives, with Celery's %h (host), %n (host without its domain), %d (domain) filled in; `@` becomes `-`."""
    host = socket.gethostname()
    if pattern is None:
        return f"{host}-{os.getpid()}"
    short, _, domain = host.partition(".")
    name = pattern.replace("%h", host).replace("%n", short).replace("%d", domain).replace("@", "-")
    return check_name("worker", name)


def start(session: Session, options: WorkerOptions, logs: LogSettings) -> int:
    """The one call into the worker; what it returns is the exit code."""
    from tidewheel.backends import connect
    from tidewheel.worker.crew import AppBroken
    from tidewheel.worker.service import run

    apply(logs, worker=options.name or "")
    emitter = Emitter()
    subscribe(emitter)
    if options.pool != "inline":
        os.environ[child.SETTINGS] = child.encode(options, logs)

    def say(manifest: Manifest, broker: Description, worker: Worker) -> None:
        if session.quiet:
            return
        announce(
            Banner(
                version=__version__, worker=worker.name, app=options.app, broker=broker, pool=options.pool, concurrency=worker.concurrency,
                queues=tuple(worker.queues), tasks=tuple(manifest.tasks),
            ),
            color=options.color,
        )  # fmt: skip

    def load() -> Tidewheel:
        app = session.load()
        app.events.emit(WorkerStarting(worker=options.name or ""))
        apply(logs, worker=options.name or "")  # once more: the app may have configured logging when it was imported
        subscribe(app.events, child.ONLY)
        return app

    try:
        return run(options, connect=connect, entry=child.command(options.pool), emitter=emitter, announce=say, app=load)
    except AppBroken as error:
        if error.usage:
            raise
        raise AppImportError(options.app, str(error)) from None


@click.command("worker", cls=Command, context_settings={"auto_envvar_prefix": "TIDEWHEEL_WORKER"})
@click.option("-l", "--loglevel", default="info", show_default=True, help="debug, info, warning, error or critical.")
@click.option("--log-format", type=click.Choice(FORMATS), default="auto", show_default=True, help="auto: text on a terminal, else JSON.")
@click.option("-f", "--logfile", help="Write the logs to the end of this file.")
@click.option("-P", "--pool", type=pool_name, metavar="POOL", default="processes", show_default=True, help=f"{', '.join(POOLS)}.")
@click.option("-c", "--concurrency", type=click.IntRange(1), help="Jobs at once.  [default: by pool; processes: one for each processor]")
@click.option("-Q", "--queues", type=queue_names, metavar="NAME[,NAME...]", help="Only these queues.  [default: those of the app's tasks]")
@click.option("-X", "--exclude-queues", type=queue_names, metavar="NAME[,NAME...]", default=(), help="Not these queues.")
@click.option("-n", "--name", "--hostname", help="The worker's name; %h is the host, %n the same without its domain.  [default: %h-PID]")
@click.option("--max-tasks-per-child", type=click.IntRange(1), metavar="N", help="Replace an executor after so many jobs.")
@click.option("--max-memory-per-child", type=memory, metavar="SIZE", help="Replace an executor that has grown beyond this (KiB, or 200M).")
@click.option("--time-limit", type=duration, metavar="SECONDS", help="No run is longer than this, whatever its task allows.")
@click.option("--soft-time-limit", type=duration, metavar="SECONDS", help="After this, SoftTimeLimit is raised in a run.")
@click.option(
    "--start-method", "--pool-start-method", type=click.Choice(["forkserver", "spawn"]), default="forkserver", show_default=True,
    help="How executors come about.",
)
@click.option("--grace", type=duration, metavar="SECONDS", default=25.0, help="On SIGTERM, time for running jobs to end.  [default: 25]")
@click.option("--kill-after", type=duration, metavar="SECONDS", default=10.0, help="Until a stubborn run is killed.  [default: 10]")
@click.option("--burst", is_flag=True, help="Stop when the queues are empty.")
@click.option("--pidfile", "pid_file", help="Write the process id here, and refuse to start twice.")
@click.option("-E", "--task-events", is_flag=True, expose_value=False, callback=_no_effect, help="Accepted, without effect.")
@click.option("-O", "--optimization", metavar="NAME", expose_value=False, callback=_no_effect, help="Accepted, without effect.")
@click.option("--without-gossip", is_flag=True, expose_value=False, callback=_no_effect, help="Accepted, without effect.")
@click.option("--without-mingle", is_flag=True, expose_value=False, callback=_no_effect, help="Accepted, without effect.")
@click.option("--without-heartbeat", is_flag=True, expose_value=False, callback=_no_effect, help="Accepted, without effect.")
@click.option("--prefetch-multiplier", metavar="N", expose_value=False, callback=_no_effect, help="Accepted, without effect.")
@click.option("-B", "--beat", is_flag=True, expose_value=False, callback=_not_here, help="Refused: there is no beat yet.")
@click.option("--autoscale", metavar="MAX,MIN", expose_value=False, callback=_not_here, help="Refused: use -c.")
@click.option("-D", "--detach", is_flag=True, expose_value=False, callback=_not_here, help="Refused: use systemd or the like.")
@click.pass_obj
def command(
    session: Session,
    loglevel: str,
    log_format: Format,
    logfile: str | None,
    pool: Pool,
    concurrency: int | None,
    queues: tuple[str, ...] | None,
    exclude_queues: tuple[str, ...],
    name: str | None,
    max_tasks_per_child: int | None,
    max_memory_per_child: int | None,
    time_limit: float | None,
    soft_time_limit: float | None,
    start_method: StartMethod,
    grace: float,
    kill_after: float,
    burst: bool,
    pid_file: str | None,
) -> NoReturn:
    """Run jobs until it is told to stop.

    Ctrl-C or SIGTERM: it takes no more jobs and lets the running ones end (see --grace). Every option can also be given in the
    environment, as TIDEWHEEL_WORKER_CONCURRENCY=8.
    """
    if session.app is None:
        raise Usage("which app? Name its module with -A (tidewheel -A shop.tasks worker) or in TIDEWHEEL_APP")
    level_number(loglevel)
    color = False if click.get_current_context().color is False else None
    options = WorkerOptions(
        app=session.app, url=session.broker, results=session.results, name=worker_name(name), pool=pool, concurrency=concurrency,
        queues=queues, exclude=exclude_queues, start_method=start_method, max_tasks_per_child=max_tasks_per_child,
        max_memory_per_child=max_memory_per_child, time_limit=time_limit, soft_time_limit=soft_time_limit, grace=grace,
        kill_after=kill_after, burst=burst, color=color,
    )  # fmt: skip
    with pidfile(pid_file):
        raise SystemExit(start(session, options, LogSettings(level=loglevel, format=log_format, color=color, file=logfile)))
