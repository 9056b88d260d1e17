"""The command `tidewheel` itself: the list of commands, the options that all of them share, and how errors end."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from tidewheel.cli.failures import explained
from tidewheel.cli.session import Session

__all__ = ["COMMANDS", "Command", "Nested", "root"]

COMMANDS = {
    "worker": "Run jobs.",
    "status": "Show the broker, its queues and its workers.",
    "call": "Publish a job of a task.",
    "result": "Print the value of a job.",
    "jobs": "List jobs, or show one.",
    "cancel": "Cancel jobs.",
    "retry": "Put dead jobs back into their queues.",
    "dead": "List, show or delete dead jobs.",
    "purge": "Delete all jobs of queues that are not running.",
    "db": "Look after the tables of a broker in PostgreSQL.",
    "doctor": "Look for what is wrong, and say what mends it.",
}
"""Every command, with its line in `tidewheel --help`: written here so that help imports none of them."""

ELSEWHERE = {
    "inspect": "tidewheel status shows the workers, tidewheel jobs --state running what they do",
    "control": "tidewheel cancel stops jobs, tidewheel purge empties queues; workers follow signals (SIGTERM)",
    "list": "tidewheel status lists queues and workers",
    "events": "the worker's log has them, as JSON with --log-format json",
    "multi": "start each worker with tidewheel worker, under systemd, supervisord or in a container",
    "beat": "periodic tasks are not here yet",
    "shell": "python -i with your module does it",
}
"""Commands of Celery that are not here, each with what to use instead."""

EPILOG = (
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 unhealthy, 5 timed out, 130 interrupted. "
    "The options above may also stand after the command."
)


def shared_options(*, environment: bool = False) -> list[click.Option]:
    """The options that every command takes, before and after its name. What stands after wins."""

    def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
        session = context.ensure_object(Session)
        if value is not None and value is not False and option.name:
            setattr(session, option.name, value)
        if option.name == "no_color" and session.no_color:
            context.color = False

    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(list(names), expose_value=False, callback=keep, **more)

    where = {"envvar": "TIDEWHEEL_APP", "show_envvar": True} if environment else {}
    return [
        option("-A", "--app", metavar="MODULE[:NAME]", help="The module that holds the app.", **where),
        option("-b", "--broker", metavar="URL", help="The broker, instead of the app's own; also without an app."),
        option("--results", "--result-backend", metavar="URL", help="Where results are kept, instead of where the app says."),
        option("-o", "--output", type=click.Choice(["table", "json", "jsonl"]), help="How to print.  [default: table]"),
        option("-C", "--no-color", is_flag=True, help="No colours (as the environment variable NO_COLOR)."),
        option("-q", "--quiet", is_flag=True, help="Lists: only ids or names. Elsewhere: no remarks."),
        option("-v", "--verbose", is_flag=True, help="Whole tracebacks."),
    ]


class Command(click.Command):
    """A command that takes the shared options too, and lists them apart from its own."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.shared = shared_options()
        self.params = [*self.params, *self.shared]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_options(self, ctx, formatter, self.shared)


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter, shared: Sequence[click.Parameter]) -> None:
    """First a command's own options, then those of all commands."""
    both = [(p, p.get_help_record(ctx)) for p in command.get_params(ctx)]
    for title, rows in (
        ("Options", [row for p, row in both if row is not None and p not in shared]),
        ("Options of all commands", [row for p, row in both if row is not None and p in shared]),
    ):
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


class Nested(click.Group):
    """A command with sub-commands, of which `default` needs no name: `tidewheel dead` is `tidewheel dead list`."""

    command_class = Command

    def __init__(self, *args: Any, default: str = "list", **more: Any) -> None:
        super().__init__(*args, **more)
        self.default = default
        self.shared = shared_options()
        self.params = [*self.params, *self.shared]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] not in ("-h", "--help", "--"):
            option = next((o for o in self.shared if args[at] in o.opts), None)
            if option is None:
                break
            at += 1 if option.is_flag else 2
        if at >= len(args) or args[at] not in (*self.commands, "-h", "--help"):
            args = [*args[:at], self.default, *args[at:]]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_options(self, ctx, formatter, self.shared)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(f"Without a name it is {self.default}; its options: tidewheel {self.name} {self.default} --help.")


class Root(click.Group):
    """Finds commands by their file, and ends every error in one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tidewheel.cli.commands.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            if args[0] in ELSEWHERE:
                raise click.UsageError(f"there is no command {args[0]!r}: {ELSEWHERE[args[0]]}")
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, 1)
            there = f"did you mean {close[0]}?" if close else f"there are: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {there}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        session = ctx.ensure_object(Session)
        if session.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            ctx.color = False
        try:
            try:
                return super().invoke(ctx)
            finally:
                session.close()  # its errors, too, are to be explained
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None
        except BrokenPipeError:
            # Whoever read our output has gone (`| head`). What is left in the buffer must not raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(141) from None
        except Exception as error:
            raise explained(error, session) from error


def _version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        from tidewheel import __version__

        click.echo(f"tidewheel {__version__}")
        ctx.exit()


root = Root(
    name="tidewheel",
    help="Tidewheel: a distributed task queue.",
    epilog=EPILOG,
    params=[
        *shared_options(environment=True),
        click.Option(["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
