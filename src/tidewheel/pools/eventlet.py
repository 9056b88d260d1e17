"""`eventlet`: many `def` jobs at once on one OS thread, in greenlets of eventlet."""

from __future__ import annotations

from collections.abc import Callable

import eventlet  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from eventlet import hubs  # pyright: ignore[reportMissingTypeStubs]

from tidewheel.pools.greenlets import Greenlets


class Eventlet(Greenlets):
    def _spawn(self, action: Callable[[], None]) -> None:
        eventlet.spawn(action)  # not spawn_n: only a GreenThread tells its hub how it ended

    def _soon(self, action: Callable[[], None]) -> None:
        hubs.get_hub().schedule_call_global(0, action)
