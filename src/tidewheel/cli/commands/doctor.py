"""`tidewheel doctor`: runs the checks in `tidewheel.cli.checks` and shows what they found."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from tidewheel.cli.checks import Finding, ok, problem, warning
from tidewheel.cli.checks.jobs import jobs
from tidewheel.cli.checks.machine import clock, versions
from tidewheel.cli.commands.status import STORE, missing
from tidewheel.cli.failures import UNHEALTHY, explained
from tidewheel.cli.output import terminal_width, write_object
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session, sqlite_file
from tidewheel.cli.words import count
from tidewheel.errors import BrokerError, ConfigurationError
from tidewheel.observe.text import escape

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.contract import Backend

MARKS = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "red")}


@click.command("doctor", cls=Command)
@click.pass_obj
def command(session: Session) -> None:
    """Look for what is wrong, and say what mends it.

    The app (with -A), the broker, its storage, workers, queues and jobs. Changes nothing, makes no database. Exits with 4 when it finds
    a problem; warnings alone do not count.
    """
    findings = list(examine(session))
    problems = sum(f.level == "problem" for f in findings)
    warnings = sum(f.level == "warning" for f in findings)
    item: dict[str, Any] = {
        "healthy": problems == 0, "problems": problems, "warnings": warnings,
        "findings": [{"check": f.check, "level": f.level, "text": f.text, "fix": f.fix or None} for f in findings],
    }  # fmt: skip
    shown = [f for f in findings if f.level != "ok"] if session.quiet else findings
    write_object(session, item, "\n".join(_lines(shown)))
    if session.output == "table":
        session.remark(f"{count(problems, 'problem')}, {count(warnings, 'warning')}")
    if problems:
        raise click.exceptions.Exit(UNHEALTHY)


def examine(session: Session) -> Iterator[Finding]:
    yield from versions()
    app, finding = _app(session)
    if finding is not None:
        yield finding
    if app is None:
        return
    if app.tasks or session.app is not None:
        from tidewheel.cli.checks.app import tasks

        yield from tasks(app)
    file = sqlite_file(app.url)
    if file is not None:
        from tidewheel.cli.checks.storage import storage

        yield from storage(file)
        if not file.exists():
            return
    backend, found = _broker(app)
    yield from found
    yield from _safely("clock", lambda: clock(backend.broker if backend is not None else None))
    if backend is not None:
        yield from _safely("jobs", lambda: jobs(backend))


def _app(session: Session) -> tuple[Tidewheel | None, Finding | None]:
    """The user's app, or one without tasks over the broker that -b names; and how its import went."""
    if session.app is None:
        from tidewheel.app import Tidewheel

        app = Tidewheel(session.broker)
        session.adopt(app)
        return app, warning("app", "not looked at", "name it: tidewheel -A … doctor")
    try:
        app = session.load()
    except Exception as error:  # whatever the import raises is the finding
        failure = explained(error, session)
        fix = "\n".join(filter(None, ("mend what this says:" if failure.details else "", failure.details))) or "name the module with -A"
        return None, problem("app", failure.message, fix)
    return app, ok("app", f"{session.app} imported")


def _broker(app: Tidewheel) -> tuple[Backend | None, list[Finding]]:
    try:
        backend = app.backend
        told = backend.broker.describe()
    except (BrokerError, ConfigurationError) as error:
        return None, [problem("broker", str(error), "see that the URL is right and that the engine runs")]
    kept = f"{told.level}: {told.durability}"
    found = [
        ok("broker", f"{told.engine} {told.version} at {told.url}"),
        ok("durability", kept)
        if told.level != "volatile"
        else warning("durability", kept, "use a broker that keeps jobs, such as sqlite:///tidewheel.db"),
    ]
    if told.delivery:
        found.append(ok("delivery", told.delivery))
    if told.results:
        found.append(ok("results", told.results))
    if lacks := missing(backend):
        found.append(warning("roles", f"this broker cannot {', '.join(lacks)}", STORE))
    found += [warning("broker", note, "") for note in told.notes]  # a note names its mend itself
    return backend, found


def _safely(check: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check whose broker goes away under it is a finding too."""
    try:
        yield from look()
    except BrokerError as error:
        yield problem(check, str(error), "see that the engine runs, and look again")


def _lines(findings: list[Finding]) -> Iterator[str]:
    margin = " " * 8
    columns = max(60, terminal_width() or 100)
    for f in findings:
        mark, color = MARKS[f.level]
        text = textwrap.wrap(escape(f"{f.check}: {f.text}"), columns - len(margin), break_long_words=False, break_on_hyphens=False)
        yield click.style(mark, fg=color) + " " + ("\n" + margin).join(text)
        if f.fix:
            first, _, rest = f.fix.partition("\n")
            yield f"{margin}-> {escape(first)}" + (("\n" + textwrap.indent(escape(rest, keep="\n\t"), margin + "   ")) if rest else "")
