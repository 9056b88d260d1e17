"""How an envelope is written down in the keeper and in the carrier.

In the keeper the names of queues begin with the carrier's name and a slash, which no name of a user's has. So whoever has the keeper as
broker, with a queue of the same name, never sees these jobs; nor does another carrier. In the carrier a key is a header, for a broker that
cannot look keys up takes none.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from tidewheel.core.job import Delivery, Envelope

KEY = "tidewheel.key"
"""The header: the key and its window, as JSON."""

_keys = msgspec.json.Decoder(tuple[str, float])


class Naming:
    """The ways there and back."""

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

    def sent(self, envelope: Envelope) -> Envelope:
        """As the carrier has it."""
        if envelope.key is None:
            return envelope
        text = msgspec.json.encode((envelope.key, envelope.key_window)).decode()
        return replace(envelope, key=None, headers={**envelope.headers, KEY: text})

    def carried(self, delivery: Delivery) -> Delivery:
        """A message, as the keeper takes it."""
        envelope = delivery.envelope
        if KEY in envelope.headers:
            headers = dict(envelope.headers)
            try:
                key, window = _keys.decode(headers.pop(KEY))
            except msgspec.DecodeError:
                pass  # somebody's own header of that name
            else:
                envelope = replace(envelope, key=key, key_window=window, headers=headers)
        return replace(delivery, envelope=self.stored(envelope))
