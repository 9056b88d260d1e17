"""What the worker itself decides about a run, when its executor cannot: limits, and what the death of an executor means."""

from __future__ import annotations

import random

from tidewheel.core.job import Delivery
from tidewheel.core.options import NO_RETRY, Options, effective
from tidewheel.core.outcome import AnyEnding, AnyOutcome, Counters, Crashed, Interrupted, Lost, OverTime, Stopped, decide
from tidewheel.errors import ErrorRecord
from tidewheel.task import OVERRIDES
from tidewheel.wire.failures import encode_error
from tidewheel.worker.frames import Manifest
from tidewheel.worker.ledger import Flight, Seat
from tidewheel.worker.options import WorkerOptions

_UNDECLARED = Options(retry=NO_RETRY)


class Judge:
    """Knows the tasks' options from the manifest, and the worker's own caps on limits."""

    def __init__(self, manifest: Manifest, options: WorkerOptions) -> None:
        self.manifest = manifest
        self._options = options

    def policy(self, delivery: Delivery) -> Options:
        """The options of one job: its task's, with those of its call."""
        declared = self.manifest.tasks.get(delivery.envelope.task, _UNDECLARED)
        header = delivery.envelope.headers.get(OVERRIDES) if delivery.envelope.headers else None
        try:
            return effective(declared, header)
        except ValueError:
            return declared  # the executor says what is wrong with it

    def limits(self, delivery: Delivery) -> tuple[float | None, float | None]:
        """Soft and hard limit of a run, seconds; None: none."""
        policy = self.policy(delivery)
        return _least(policy.soft_time_limit, self._options.soft_time_limit), _least(policy.time_limit, self._options.time_limit)

    def outcome(self, delivery: Delivery, ending: AnyEnding, *, cancelled: bool = False) -> AnyOutcome:
        policy = self.policy(delivery)
        counters = Counters(delivery.attempts, delivery.strikes, delivery.losses)
        return decide(ending, counters, policy.retry, ttl=policy.result_ttl, cancelled=cancelled, dice=random.random())

    def death(self, flight: Flight, seat: Seat, why: str, *, blame: bool, stopping: bool) -> AnyEnding:
        """How a run ended whose executor died: `why` says how that died, `blame` whether exactly this run can have killed it."""
        if flight.why == "hard":
            limit = self.limits(flight.delivery)[1]
            text = f"ran longer than its time limit of {limit:g} s" if limit is not None else "ran longer than its time limit"
            return OverTime(encode_error(ErrorRecord(type="tidewheel.errors.HardTimeLimit", message=text)))
        if flight.why == "cancel":
            return Stopped()
        if flight.why == "interrupt" or seat.forced or stopping:
            return Interrupted()
        text = f"the executor that ran it died: {why}"
        error = encode_error(ErrorRecord(type="tidewheel.worker.ExecutorDied", message=text))
        return Crashed(error) if blame else Lost(error)


def _least(one: float | None, other: float | None) -> float | None:
    return min((x for x in (one, other) if x is not None), default=None)
