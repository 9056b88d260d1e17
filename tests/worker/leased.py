"""What holds on every server whose workers have leases and whose jobs can be looked up. Folders with such a server run these on their
own `rig`, whose leases are of three seconds (test_leased.py)."""

from __future__ import annotations

import os
import signal
import time

from rig import Rig, alive, until

__all__ = ["test_a_cancellation_reaches_a_busy_worker_at_once", "test_a_worker_frozen_for_longer_than_its_lease"]


def test_a_worker_frozen_for_longer_than_its_lease(rig: Rig) -> None:
    """Its job runs again elsewhere; its own late outcome is refused, counted and logged; and it goes on as a new one."""
    gate, other_gate = rig.folder / "gate", rig.folder / "other"
    frozen = rig.start("-c", "1", "-n", "frozen")
    result = rig.jobs.hold.delay(str(gate), 3)
    (line,) = rig.started()
    os.kill(frozen.pid, signal.SIGSTOP)
    heir = rig.start("-c", "1", "-n", "heir")
    until("it runs again", lambda: len(rig.history("start")) == 2, 30)
    gate.touch()
    assert result.get(20) == 3
    until("the frozen one's run has ended too", lambda: len(rig.history("end")) == 2)
    os.kill(frozen.pid, signal.SIGCONT)
    until("it is refused", lambda: "outcome.refused" in rig.log(0))
    rig.stop(heir)
    again = rig.jobs.hold.delay(str(other_gate), 5)
    other_gate.touch()
    assert again.get(30) == 5, "the one that was frozen works again"
    assert frozen.poll() is None
    assert rig.app.record(result.id).attempts == 0
    rig.stop(frozen)
    assert "stopped, 1 outcome refused" in rig.log(0)
    assert [h.event for h in rig.app.browse().job(result.id).history] == ["lost"]
    assert not alive(line.pid)


def test_a_cancellation_reaches_a_busy_worker_at_once(rig: Rig) -> None:
    rig.start("-c", "1")
    result = rig.jobs.hold.delay(str(rig.folder / "never"), 1)
    rig.started()
    began = time.monotonic()
    assert result.cancel() == "requested"
    until("it is cancelled", lambda: rig.app.record(result.id).state == "cancelled", 10)
    assert time.monotonic() - began < 3
