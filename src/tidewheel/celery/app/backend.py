"""The few things that programs ask of `app.backend` and of a connection. Results are Tidewheel's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidewheel.celery.exceptions import NotSupported, OperationalError

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery

__all__ = ["Backend", "Connection"]


class Backend:
    """Where results are."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def get_state(self, task_id: str) -> Any:
        return self.app.AsyncResult(task_id).state

    get_status = get_state

    def get_result(self, task_id: str) -> Any:
        return self.app.AsyncResult(task_id).result

    def get_traceback(self, task_id: str) -> Any:
        return self.app.AsyncResult(task_id).traceback

    def get_task_meta(self, task_id: str, cache: bool = True) -> Any:
        return self.app.AsyncResult(task_id)._get_task_meta()

    def forget(self, task_id: str) -> None:
        self.app.AsyncResult(task_id).forget()

    def store_result(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupported("backend.store_result() is not there: a result is what the task's run came to")

    mark_as_done = mark_as_failure = store_result

    def cleanup(self) -> None:
        """Results go by themselves when they expire."""

    def as_uri(self, include_password: bool = False) -> str:
        return self.app.native.describe().url


class Connection:
    """Not a connection, but what asks the broker whether it is there."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ensure_connection(self, errback: Any = None, max_retries: int | None = None, **kwargs: Any) -> Connection:
        """Raises `OperationalError` when the broker does not answer within its time limit."""
        self._app.native.backend.broker.now()
        return self

    connect = ensure_connection

    @property
    def connected(self) -> bool:
        try:
            self.ensure_connection()
        except OperationalError:
            return False
        return True

    def as_uri(self, include_password: bool = False, mask: str = "**") -> str:
        return self._app.native.describe().url

    def release(self) -> None:
        """Nothing was taken."""

    close = release

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
