"""Tidewheel: a distributed task queue. The public names, and nothing else (pinned by a test)."""

from tidewheel.app import Tidewheel
from tidewheel.context import Context, current
from tidewheel.core.options import Retry
from tidewheel.errors import (
    Abort,
    Cancelled,
    ConfigurationError,
    HardTimeLimit,
    InvalidArguments,
    JobFailed,
    RetryIn,
    Snooze,
    SoftTimeLimit,
    TidewheelError,
)
from tidewheel.middleware import CallNext, Job
from tidewheel.result import Result
from tidewheel.task import Task
from tidewheel.version import __version__

__all__ = [
    "Abort", "CallNext", "Cancelled", "ConfigurationError", "Context", "HardTimeLimit", "InvalidArguments", "Job", "JobFailed",
    "Result", "Retry", "RetryIn", "Snooze", "SoftTimeLimit", "Task", "Tidewheel", "TidewheelError", "__version__", "current",
]  # fmt: skip
