"""What makes an executor's process cooperative, for the pools of greenlets: the first thing that is run in it, before any other import.

Patching late is patching half: whoever has done `from socket import socket`, or made a lock, keeps what does not yield. So neither an
executor's own code nor the app is imported before; and such an executor is started anew instead of forked off a process that has
imported the app, because an event hub does not survive a fork. The worker itself is never patched: its broker's drivers are as
they are in every other pool.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from tidewheel.errors import ConfigurationError

PATCHES: Mapping[str, str] = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    # eventlet warns of itself whenever it is imported; the worker says it once (`REMARKS`).
    "eventlet": (
        "import warnings; warnings.filterwarnings('ignore', r'\\s*Eventlet is deprecated'); import eventlet; eventlet.monkey_patch()"
    ),
}
"""By pool: the statements that patch a process."""

REMARKS = {"eventlet": "eventlet is deprecated, its authors only keep it alive: -P gevent, -P threads and -P asyncio are there to stay"}
"""What a worker with this pool logs when it starts."""

INSTEAD = {
    "gevent": "Nothing more is needed for -P asyncio (for async def tasks) and -P threads (for def tasks that wait for others)",
    "eventlet": "Its authors only keep it alive: prefer -P gevent, or -P asyncio and -P threads, which need nothing more",
}


def check(pool: str) -> None:
    """Raise `ConfigurationError` when the library of this pool is not installed. Imports nothing."""
    if pool in PATCHES and importlib.util.find_spec(pool) is None:
        raise ConfigurationError(f"-P {pool} needs the library {pool}: pip install 'tidewheel[{pool}]'. {INSTEAD[pool]}")
