"""Results of jobs that another engine carries."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tidewheel.backends.keeping import archived, visible
from tidewheel.backends.redis import layout
from tidewheel.backends.redis.publishing import Arg
from tidewheel.backends.redis.settling import STEP
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Final

_HEAD = struct.Struct(">IBdIB")


class Archive:
    """See `tidewheel.contract.Archive`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, batch: Sequence[Final]) -> None:
        for start in range(0, len(batch), STEP):
            some = batch[start : start + STEP]
            args: list[Arg] = []
            for final in some:
                r = archived(final, 0.0)  # the moment is the server's
                state = layout.STATES.index(r.state)
                head = _HEAD.pack(final.deliveries, state, visible(final.outcome.ttl), final.attempts, r.value is not None)
                args += (layout.raw(final.id), head + r.reason.encode(), r.error or b"", r.value or b"")
            self._store.run("keep", args, size=len(some))
