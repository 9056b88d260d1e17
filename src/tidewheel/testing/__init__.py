"""What users import in their tests, and the conformance suite that every engine passes (`tidewheel.testing.conformance`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidewheel.testing.inprocess import run_pending, running

__all__ = ["run_pending", "running"]


def __getattr__(name: str) -> Any:
    # The pytest plugin beside this module is loaded in every test run of everybody who has Tidewheel: it must not bring a worker along.
    if name in __all__:
        from tidewheel.testing import inprocess

        return getattr(inprocess, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
