"""What a worker is told when it is started."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidewheel.pools.patches import PATCHES

Pool = Literal["processes", "threads", "asyncio", "gevent", "eventlet", "inline"]
StartMethod = Literal["forkserver", "spawn"]


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker runs. Durations are seconds."""

    app: str
    """What `-A` names."""
    url: str | None = None
    """The broker, where it is not the app's own."""
    results: str | None = None
    """Where results are kept, where it is not as the app says."""
    name: str | None = None
    """How people call it; by default `<host>-<pid>`."""
    pool: Pool = "processes"
    concurrency: int | None = None
    """Jobs at once; by default one for each processor this process may use (`processes`), 20 (`threads`), 1 (`inline`),
    100 in the others."""
    queues: tuple[str, ...] | None = None
    """By default the queues that the app's tasks name, and `default`."""
    exclude: tuple[str, ...] = ()
    start_method: StartMethod = "forkserver"
    max_tasks_per_child: int | None = None
    """An executor is replaced after this many jobs."""
    max_memory_per_child: int | None = None
    """Bytes of resident memory from which on an executor is replaced after its present job."""
    time_limit: float | None = None
    """No run is longer than this, whatever its task allows."""
    soft_time_limit: float | None = None
    grace: float = 25.0
    """Time that running jobs have to end after SIGTERM, before they are interrupted and handed back."""
    kill_after: float = 10.0
    """Time between the cancellation of a run (by request or at its hard limit) and SIGTERM of its process, and again until SIGKILL."""
    burst: bool = False
    """Stop when the queues are empty."""
    color: bool | None = None

    @property
    def forks(self) -> bool:
        """Whether executors are forked off a process that has imported the app. A patched one (pools/patches.py) cannot be."""
        return self.start_method == "forkserver" and self.pool not in (*PATCHES, "inline")
