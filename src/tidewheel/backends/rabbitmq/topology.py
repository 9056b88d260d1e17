"""What lies where on the server. `/` occurs in no name of a queue, so no two of these can be taken for one another.

    <prefix>/<queue>/high normal low    the jobs that are ready, by band of priority: above 0, 0, below 0
    <prefix>/<queue>/dead               the dead letters
    <prefix>/queues                     the names of all queues: the server lists none over AMQP
    <prefix>/reader                     there while somebody looks at dead letters: who has it has the turn
    <prefix>/delay/<k>                  exchange and queue: the ladder of delays
    <prefix>/due                        exchange: from the ladder into the queues
    <prefix>/broadcast, listeners       exchange: to everybody who listens; a queue that only counts them

The ladder is NServiceBus's: a message waits 2^k seconds in the queue of each level k whose bit is set in its delay, and goes down a level
each time, through exchanges that route by the delay in binary, which is the first part of the routing key. All messages of a queue wait
equally long, so none waits behind a longer one.

All queues are quorum queues: durable, synced and replicated, and they count deliveries. Dead-lettering is at-least-once everywhere.
The arguments of a queue cannot be changed once it exists, so they are the same for every version of the server, which ignores those that
it does not know.
"""

from __future__ import annotations

from typing import Any, Literal

from tidewheel.backends.keeping import DEAD_LETTERS

Band = Literal["high", "normal", "low"]
BANDS: tuple[Band, ...] = ("high", "normal", "low")
LEVELS = 28
LONGEST = 2**LEVELS - 1
"""Seconds of the longest delay: 8.5 years."""
DELIVERY_LIMIT = 100
"""Far above our own limits, which act first; only there because the server's default differs between versions."""
UNLIMITED = 1_000_000
CONSUMER_TIMEOUT = 86_400.0
"""Seconds for which a worker may keep a job, where a queue can say so (RabbitMQ 3.12)."""
NODE_TIMEOUT = 1800.0
"""The same where only the node's configuration says so, by default; it cannot be asked for over AMQP."""

Arguments = dict[str, Any]


def band(priority: int) -> Band:
    return "high" if priority > 0 else "low" if priority < 0 else "normal"


class Names:
    """The names under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.due = f"{prefix}/due"
        self.broadcast = f"{prefix}/broadcast"
        self.listeners = f"{prefix}/listeners"
        self.queues = f"{prefix}/queues"
        self.reader = f"{prefix}/reader"

    def jobs(self, queue: str, band: Band) -> str:
        return f"{self.prefix}/{queue}/{band}"

    def dead(self, queue: str) -> str:
        return f"{self.prefix}/{queue}/dead"

    def delay(self, level: int) -> str:
        return f"{self.prefix}/delay/{level}"

    def step(self, seconds: int, destination: str) -> tuple[str, str]:
        """The exchange and the routing key with which a message comes to a destination after so many whole seconds."""
        return self.delay(seconds.bit_length() - 1), ".".join((*f"{seconds:0{LEVELS}b}", destination))


def job_queue(names: Names, queue: str, consumer_timeout: float) -> Arguments:
    return {
        "x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT, "x-overflow": "reject-publish", "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": names.dead(queue), "x-dead-letter-strategy": "at-least-once",
        "x-consumer-timeout": round(1000 * (consumer_timeout or CONSUMER_TIMEOUT)),
    }  # fmt: skip


def dead_queue() -> Arguments:
    return {"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED, "x-message-ttl": round(1000 * DEAD_LETTERS)}


def delay_queue(names: Names, level: int) -> Arguments:
    return {
        "x-queue-type": "quorum", "x-delivery-limit": UNLIMITED, "x-overflow": "reject-publish", "x-message-ttl": 1000 * 2**level,
        "x-dead-letter-exchange": names.delay(level - 1) if level else names.due, "x-dead-letter-strategy": "at-least-once",
    }  # fmt: skip


def queue_list() -> Arguments:
    return {"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED}


def bit(level: int, value: int) -> str:
    """The pattern of routing keys whose delay has this bit."""
    return ".".join((*("*" for _ in range(LEVELS - 1 - level)), str(value), "#"))
