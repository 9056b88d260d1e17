"""What users import in their tests, and the conformance suite that every engine passes (`tidewheel.testing.conformance`)."""

from tidewheel.testing.running import run_pending, running

__all__ = ["run_pending", "running"]
