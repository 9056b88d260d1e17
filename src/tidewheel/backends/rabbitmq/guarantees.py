"""What survives what, in words. The server tells little over AMQP: what it does not tell is said to be unknown."""

from __future__ import annotations

from tidewheel.backends.rabbitmq.store import Store
from tidewheel.backends.rabbitmq.topology import CONSUMER_TIMEOUT, NODE_TIMEOUT
from tidewheel.contract import Description, RunLimit

PER_QUEUE = (3, 12)
"""From this version on, a queue may say for how long a worker may keep one of its messages."""
ALONE = (
    "without a store (results=…) RabbitMQ keeps no results, cannot cancel jobs, lists dead ones only, takes no keys, and stores a job twice"
    " that is published twice"
)
COUNTS = "counted are ready and dead jobs only: of delayed and running ones, and of ages, RabbitMQ does not tell over AMQP"


def describe(store: Store, *, alone: bool) -> Description:
    """Raises `BrokerError`s."""
    link = store.publisher().link
    version = str(store.server.get("version", ""))
    notes = [ALONE, COUNTS] if alone else []
    if link.blocked is not None:
        notes.append(f"RabbitMQ takes no jobs now: {link.blocked} (an alarm); give it memory or disk, or let the workers drain the queues")
    said = store.address.consumer_timeout
    if store.version < PER_QUEUE and not said:
        notes.append(
            f"RabbitMQ {version} takes a job from its worker after the node's consumer_timeout, which it does not tell: the default of 30"
            " minutes is assumed; if rabbitmq.conf says another, say so in the URL: ?consumer_timeout=seconds"
        )
    if store.differ:
        notes.append(f"declared by somebody with other arguments, and used as they are: {', '.join(sorted(store.differ))}")
    return Description(
        engine="rabbitmq", version=version, url=store.address.url, level="power loss",
        durability="What was accepted is written to the disks of a majority of the queue's replicas, on a single node to that node's disk.",
        delivery=(
            "At least once. The jobs of a worker whose connection ends run again at once, of one that falls silent after"
            f" {store.address.heartbeat:g} to {2 * store.address.heartbeat:g} s. A crash between outcome and acknowledgement repeats a job."
        ),
        notes=tuple(notes), run_limit=run_limit(store),
    )  # fmt: skip


def run_limit(store: Store) -> RunLimit:
    """For how long the server lets a worker keep one job."""
    said = store.address.consumer_timeout
    if store.version >= PER_QUEUE:
        return RunLimit(said or CONSUMER_TIMEOUT, "say ?consumer_timeout=seconds in the URL, before its queues are made")
    return RunLimit(
        said or NODE_TIMEOUT, "raise consumer_timeout (milliseconds) in rabbitmq.conf and say ?consumer_timeout=seconds in the URL"
    )
