"""Publishing after a commit: arguments are checked as those of `delay` are. See declare.py for how these files work."""

from __future__ import annotations

from typing import assert_type

from declare import add, fetch, rows, send

from tidewheel.django import on_commit


def publishing() -> None:
    assert_type(on_commit(add, 1, y=2), str)
    on_commit(fetch, "u")
    on_commit(rows.using(countdown=3), "p")
    on_commit(send, "a@b", subject="s")


def wrong() -> None:
    on_commit(add, "1")  # type: ignore[arg-type]
    on_commit(add)  # type: ignore[call-arg]
    on_commit(send, "a@b")  # type: ignore[call-arg]
    on_commit(add.delay, 1)  # type: ignore[arg-type]
