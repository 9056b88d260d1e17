"""`gevent`: many `def` jobs at once on one OS thread, in greenlets of gevent."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from tidewheel.pools.greenlets import Greenlets


class Gevent(Greenlets):
    def _spawn(self, action: Callable[[], None]) -> None:
        gevent.spawn(action)

    def _soon(self, action: Callable[[], None]) -> None:
        gevent.get_hub().loop.run_callback(action)
