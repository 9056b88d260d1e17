"""A carrier that cannot look jobs up (RabbitMQ), and a keeper that knows them: `Tidewheel("amqp://…", results="redis://…")`.

The keeper holds each job as an ordinary row of its own: ids, keys, results, progress, cancellation, counters, dead letters and history
are its proven work. The carrier has the whole envelope as a message and does the dispatch. Verdicts are the keeper's, and so is the
clock; what the carrier counts is only heard as a witness.

Two engines share no transaction, so each verb is two writes in an order that makes the second one repeatable:

    verb      first                  then                            who dies between leaves
    -------   --------------------   -----------------------------   ------------------------------------------------------------
    publish   the row                the message                     a row without message: `resend` sends it
    claim     the message            the row (`take`)                a message that comes again
    settle    the outcome            follow-ups, acknowledgement     a message that comes again and is not run; `resend` sends what followed
    revive    the row                the message                     a row without message: `resend` sends it
    cancel    the row                a tombstone for the message     a message that `take` refuses for as long as the row is kept

Nothing here counts on a message being there once. A second one of the same job waits while that runs and is dropped when it has ended;
a missing one is sent again. So jobs survive the loss of the messages (the keeper has them) and of the rows (the carrier has them).

`naming.py` queues inside the keeper · `broker.py` publishing, upkeep · `consumer.py` a worker's session · `resend.py` messages that are
missing · `tombs.py` messages that must not run · `control.py`, `browse.py` the roles of the same name. Decision 0016 has the reasons.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tidewheel.backends.tracked.broker import Broker
from tidewheel.backends.tracked.browse import Browse
from tidewheel.backends.tracked.control import Control
from tidewheel.backends.tracked.naming import Naming
from tidewheel.backends.tracked.pair import Pair
from tidewheel.backends.tracked.resend import Resend
from tidewheel.backends.tracked.tombs import Tombs
from tidewheel.contract import Backend
from tidewheel.errors import MissingRole

__all__ = ["tracked"]


def tracked(carrier: Backend, keeper: Backend, name: str, *, clock: Callable[[], float] = time.time) -> Backend:
    """The roles of both. `name` is the carrier's, and tells its jobs in the keeper from those of others. Raises `MissingRole`."""
    if keeper.tracker is None or keeper.results is None or keeper.browse is None or keeper.control is None or keeper.archive is None:
        raise MissingRole(
            "this engine cannot keep the jobs of a broker that cannot look them up: use redis://, postgresql:// or sqlite:///"
        )
    pair = Pair(carrier.carrier or carrier.broker, keeper.broker, keeper.tracker, keeper.results, keeper.browse, Naming(name))
    tombs = Tombs(pair, keeper.archive, clock)
    control = Control(pair, keeper.control, tombs)
    return Backend(
        Broker(pair, control, tombs, Resend(pair, clock)), keeper.results, Browse(pair), control,
        broadcaster=carrier.broadcaster or keeper.broadcaster, migrations=keeper.migrations,
    )  # fmt: skip
