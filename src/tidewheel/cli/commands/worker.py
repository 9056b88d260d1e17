"""`tidewheel worker`: turns flags (Celery's, where it has them) into `WorkerOptions`. It never imports the app: executors do."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import click

from tidewheel.cli.failures import USAGE, Failure
from tidewheel.cli.pidfile import pidfile
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.words import DURATION, MEMORY
from tidewheel.core.options import check_name
from tidewheel.observe.logs import FORMATS, Format, LogSettings, apply, level_number
from tidewheel.worker.options import Pool, StartMethod, WorkerOptions

POOLS: dict[str, Pool] = {
    "processes": "processes", "threads": "threads", "asyncio": "asyncio", "inline": "inline",
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


class PoolName(click.ParamType):
    name = "pool"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Pool:
        name = str(value).lower()
        if name in POOLS:
            return POOLS[name]
        if name in ("eventlet", "gevent"):
            self.fail(
                f"the {name} pool is not there yet; it comes with the extra tidewheel[{name}]. Use -P asyncio (async def tasks) or "
                f"-P threads (def tasks that wait for I/O) instead",
                param, ctx,
            )  # fmt: skip
        self.fail(f"{value!r} is no pool; there are: processes, threads, asyncio, inline", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "[processes|threads|asyncio|inline]"


class Queues(click.ParamType):
    """Names, separated by commas."""

    name = "queues"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = tuple(n.strip() for n in value.split(",")) if isinstance(value, str) else tuple(value)
        for name in names:
            check_name("queue", name)
        return names

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "QUEUE[,QUEUE...]"


def _no_effect(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        flag = option.opts[0]
        ctx.obj.remark(f"{flag} has no effect: {NO_EFFECT[flag]}")


def _not_here(_ctx: click.Context, option: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        raise Failure(NOT_HERE[option.opts[0]], USAGE)


def worker_name(pattern: str | None) -> str | None:
    """The name that -n gives, with Celery's %h (host), %n (host without its domain), %d (domain) filled in; `@` becomes `-`."""
    if pattern is None:
        return None
    host = socket.gethostname()
    short, _, domain = host.partition(".")
    name = pattern.replace("%h", host).replace("%n", short).replace("%d", domain).replace("@", "-")
    return check_name("worker", name)


def start(options: WorkerOptions, logs: LogSettings) -> int:
    """The one call into the worker; what it returns is the exit code."""
    from tidewheel.backends import connect
    from tidewheel.observe.banner import announce
    from tidewheel.worker.service import run  # type: ignore[import-not-found,unused-ignore]

    apply(logs, worker=options.name or "")
    code: int = run(options, connect=connect, logs=logs, banner=announce)
    return code


@click.command("worker", cls=Command, context_settings={"auto_envvar_prefix": "TIDEWHEEL_WORKER"})
@click.option("-l", "--loglevel", default="info", show_default=True, help="debug, info, warning, error or critical.")
@click.option("--log-format", type=click.Choice(FORMATS), default="auto", show_default=True, help="auto: text on a terminal, else JSON.")
@click.option("-f", "--logfile", help="Write the logs to the end of this file.")
@click.option("-P", "--pool", type=PoolName(), default="processes", help="How jobs run at once.  [default: processes]")
@click.option("-c", "--concurrency", type=click.IntRange(1), help="Jobs at once.  [default: by pool; processes: one for each processor]")
@click.option("-Q", "--queues", type=Queues(), help="Only these queues.  [default: those of the app's tasks]")
@click.option("-X", "--exclude-queues", type=Queues(), default=(), help="Not these queues.")
@click.option("-n", "--name", "--hostname", help="The worker's name; %h is the host, %n the same without its domain.  [default: %h-PID]")
@click.option("--max-tasks-per-child", type=click.IntRange(1), metavar="N", help="Replace an executor after so many jobs.")
@click.option("--max-memory-per-child", type=MEMORY, help="Replace an executor that has grown beyond this (KiB, or 200M).")
@click.option("--time-limit", type=DURATION, help="No run is longer than this, whatever its task allows.")
@click.option("--soft-time-limit", type=DURATION, help="After this, SoftTimeLimit is raised in a run.")
@click.option("--start-method", "--pool-start-method", type=click.Choice(["forkserver", "spawn"]), help="How executors start.  [default: forkserver]")
@click.option("--grace", type=DURATION, default=25.0, help="On SIGTERM, time for running jobs to end.  [default: 25]")
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
    start_method: StartMethod | None,
    grace: float,
    burst: bool,
    pid_file: str | None,
) -> NoReturn:
    """Run jobs until it is told to stop.

    Ctrl-C or SIGTERM: it takes no more jobs and lets the running ones end (see --grace). Every option can also be given in the
    environment, as TIDEWHEEL_WORKER_CONCURRENCY=8.
    """
    if session.app is None:
        raise Failure("which app? Name its module with -A (tidewheel -A shop.tasks worker) or in TIDEWHEEL_APP", USAGE)
    level_number(loglevel)
    color = False if click.get_current_context().color is False else None
    options = WorkerOptions(
        app=session.app, url=session.broker, name=worker_name(name), pool=pool, concurrency=concurrency, queues=queues,
        exclude=exclude_queues, start_method=start_method or "forkserver", max_tasks_per_child=max_tasks_per_child,
        max_memory_per_child=max_memory_per_child, time_limit=time_limit, soft_time_limit=soft_time_limit, grace=grace, burst=burst,
        color=color,
    )  # fmt: skip
    with pidfile(pid_file):
        raise SystemExit(start(options, LogSettings(level=loglevel, format=log_format, color=color, file=logfile)))
