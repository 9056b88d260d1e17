"""The two engines, as everything here uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidewheel.backends.tracked.naming import Naming
from tidewheel.contract import Broker, Browse, ResultStore, Tracker
from tidewheel.core.job import Envelope


@dataclass(frozen=True)
class Pair:
    carrier: Broker
    keeper: Broker
    tracker: Tracker
    results: ResultStore
    browse: Browse
    """`results` and `browse` are the keeper's; its queues have other names there."""
    naming: Naming

    def waiting(self, ids: Sequence[str]) -> set[str]:
        """Those of these jobs that still need a message."""
        return {i for i, record in self.results.records(ids).items() if record.state in ("scheduled", "ready")} if ids else set()

    def send(self, jobs: Sequence[Envelope]) -> None:
        """Give the carrier messages for these jobs. Raises as `Broker.publish`."""
        if jobs:
            self.carrier.publish([self.naming.sent(job) for job in jobs])

    def message(self, job_id: str) -> Envelope | None:
        """A message for a job that is ready; None: it is not, any more."""
        view = self.browse.job(job_id)
        queue = None if view is None else self.naming.outside(view.queue)
        if view is None or queue is None or view.state != "ready":
            return None
        return Envelope(
            id=view.id, task=view.task, body=view.body, queue=queue, priority=view.priority, expires=view.expires, key=view.key,
            headers=view.headers,
        )  # fmt: skip
