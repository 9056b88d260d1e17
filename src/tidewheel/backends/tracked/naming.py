"""Names of queues inside the keeper.

They begin with the carrier's name and a slash, which no name of a user's has. So whoever has the keeper as broker, with a queue of the same
name, never sees these jobs; nor does another carrier.
"""

from __future__ import annotations

from msgspec.structs import replace

from tidewheel.core.job import Delivery, Envelope


class Naming:
    """The two ways between a queue's name and its name inside."""

    def __init__(self, name: str) -> None:
        self._prefix = f"{name}/"

    def inside(self, queue: str) -> str:
        return self._prefix + queue

    def outside(self, queue: str) -> str | None:
        """None: it is not the carrier's."""
        name = queue.removeprefix(self._prefix)
        return None if name == queue or "/" in name else name  # "rabbitmq/shop/q" is of the carrier "rabbitmq/shop"

    def stored(self, envelope: Envelope) -> Envelope:
        """As the keeper has it."""
        return replace(envelope, queue=self.inside(envelope.queue))

    def delivered(self, delivery: Delivery) -> Delivery:
        """As the worker has it."""
        envelope = delivery.envelope
        return replace(delivery, envelope=replace(envelope, queue=self.outside(envelope.queue) or envelope.queue))
