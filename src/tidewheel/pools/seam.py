"""What a pool is, and what it is given. A pool decides on which thread or task a run happens, and can interrupt it; nothing else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, Protocol

from tidewheel.context import CancelFlag
from tidewheel.core.job import Delivery
from tidewheel.errors import Cancelled, HardTimeLimit, SoftTimeLimit

Key = tuple[str, int]
Why = Literal["cancel", "soft", "hard", "interrupt"]

STOP_ERRORS: dict[Why, type[BaseException]] = {"cancel": Cancelled, "soft": SoftTimeLimit, "hard": HardTimeLimit, "interrupt": Cancelled}
"""What is raised inside a run for each reason to interrupt it."""


class Execution(Protocol):
    """One run, prepared. See `tidewheel.worker.execute`."""

    key: Key
    is_async: bool
    why: Why | None
    cancel: CancelFlag

    def call(self, drive: Callable[[Coroutine[Any, Any, Any]], Any]) -> None: ...

    async def acall(self) -> None: ...

    def escaped(self, error: BaseException) -> None: ...


class Harness(Protocol):
    """What the executor offers to its pool. Every method may be called from any thread."""

    def begin(self, delivery: Delivery) -> Execution:
        """Prepare a run; tells the worker that it started, where the pool runs several at once."""
        ...

    def ended(self, execution: Any) -> None:  # the very object that `begin` made
        """Decide what the run came to and tell the worker."""
        ...


class Pool(Protocol):
    """Made with `(harness, concurrency)`."""

    slots: int

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        """Accept jobs; they start in this order as soon as there is a free slot."""
        ...

    def take_back(self, keys: Sequence[Key]) -> list[Key]:
        """Drop those of these jobs that have not started; answers which."""
        ...

    def stop(self, key: Key, why: Why) -> None:
        """Raise the error for `why` inside this run, as soon as the interpreter lets us. Nothing happens if it is not running."""
        ...

    def run(self) -> None:
        """Run jobs, on the main thread as far as the pool needs it, until `quit` was called and everything accepted has ended."""
        ...

    def quit(self) -> None: ...
