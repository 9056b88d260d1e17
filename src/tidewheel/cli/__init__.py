"""The command line. One file per command in `commands/`, imported when that command is called. Reference: docs/reference/cli.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 ok, 1 failure, 2 usage, 3 not found, 4 unhealthy, 5 timed out, 130 interrupted."""
    try:
        from tidewheel.cli.root import root

        root.main(args=argv, prog_name="tidewheel")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(0)
