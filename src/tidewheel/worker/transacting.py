"""The transaction of one run: opened by `job.transaction()`, committed with the job's outcome once the task has returned.

    open        the task's block begins; kept open after it, so that the result of the task can go with it
    commit      the fence is checked and the outcome written on the same connection; anything but `ok` rolls all back
    roll back   the task raised, or the outcome was refused
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from tidewheel.contract import Settlement
from tidewheel.errors import BrokerError, ConfigurationError

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

__all__ = ["ClaimLost", "Transaction"]


class ClaimLost(Exception):
    """The job belongs to somebody else by now, so what this run wrote must not stay."""


class Transaction:
    """See `tidewheel.context.Context.transaction`."""

    __slots__ = ("_app", "_block", "_connection", "_is_async", "cut")

    def __init__(self, app: Tidewheel, *, is_async: bool) -> None:
        self._app = app
        self._is_async = is_async
        self._block: AbstractContextManager[Any] | None = None
        self._connection: Any = None
        self.cut: BrokerError | None = None
        """The connection was lost while the task ran, which is then no failure of the task's."""

    @property
    def is_open(self) -> bool:
        return self._block is not None

    def open(self) -> Any:
        if self._block is None:
            if self._is_async:
                raise ConfigurationError("job.transaction() blocks, so it is for `def` tasks: make this one `def`, on any pool")
            block = self._app.transactions().begin()
            self._connection = block.__enter__()
            self._block = block
        return self._connection

    def connection_of(self, owner: object) -> Any:
        return self._connection if owner is self._app else None

    def roll_back(self, error: BaseException) -> None:
        """Undo what was written. `error` is why; the driver's own error on the way is no news."""
        block, self._block, self._connection = self._block, None, None
        if block is not None:
            try:
                block.__exit__(type(error), error, error.__traceback__)
            except BrokerError as raised:
                self.cut = raised
            except BaseException as raised:
                if raised is not error and not isinstance(raised, Exception):
                    raise

    def commit(self, settlement: Settlement) -> None:
        """Write the outcome, and commit all. Raises `ClaimLost`, `BrokerError`s, or the driver's error, with all rolled back."""
        assert self._block is not None
        try:
            (verdict,) = self._app.transactions().settle([settlement], self._connection)
            if verdict != "ok":
                raise ClaimLost(f"the job was taken from this worker before its transaction was committed ({verdict})")
        except BaseException as error:
            self.roll_back(error)
            raise
        block, self._block, self._connection = self._block, None, None
        block.__exit__(None, None, None)
