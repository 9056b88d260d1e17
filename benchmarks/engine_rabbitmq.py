"""The bare engine: what a RabbitMQ server and pika do with a quorum queue and publisher confirms.

`python engine_rabbitmq.py URL MODE COUNT`, one line of JSON. It runs in Tidewheel's environment and stands beside Tidewheel in the same
run: persistent messages of 200 bytes, one connection, one thread that runs pika's own loop (for the latency: two processes, each with a
connection that blocks). No headers, no delays, nobody else is told.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import pika

BODY = b"x" * 200
QUEUE = "bare"
PERSISTENT = pika.BasicProperties(delivery_mode=2)
BURST, PREFETCH = 1000, 200

Row = dict[str, Any]
Done = Callable[[Row], None]


class Publisher:
    """Publishes so many at once, and the next when all of them are confirmed."""

    def __init__(self, channel: Any, count: int, burst: int, done: Callable[[list[float], float], None]) -> None:
        self._channel, self._left, self._burst, self._done = channel, count, burst, done
        self._sent, self._times = 0, list[float]()
        channel.confirm_delivery(self._confirmed, callback=lambda _: self._start())

    def _start(self) -> None:
        self._began = time.perf_counter()
        self._publish()

    def _publish(self) -> None:
        number = min(self._burst, self._left)
        self._left -= number
        self._sent += number
        self._before = time.perf_counter()
        for _ in range(number):
            self._channel.basic_publish("", QUEUE, BODY, PERSISTENT, mandatory=True)

    def _confirmed(self, frame: Any) -> None:
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            raise SystemExit("a publication was refused")
        if frame.method.delivery_tag < self._sent:
            return
        now = time.perf_counter()
        self._times.append(now - self._before)
        if self._left:
            self._publish()
        else:
            self._done(self._times, now - self._began)


def confirmed(channel: Any, count: int, done: Done) -> None:
    """One at a time."""
    Publisher(channel, count, 1, lambda times, _: done({"us": statistics.fmean(times) * 1e6, "p50": statistics.median(times) * 1e6}))


def burst(channel: Any, count: int, done: Done) -> None:
    """A thousand at a time."""
    Publisher(channel, count, BURST, lambda _, took: done({"per_s": count / took}))


def drain(channel: Any, count: int, done: Done) -> None:
    """Consume with a prefetch of 200, and acknowledge every hundredth for those before it."""

    def consume(times: list[float], took: float) -> None:
        channel.basic_qos(prefetch_count=PREFETCH, callback=lambda _: channel.basic_consume(QUEUE, received))

    began, got = 0.0, 0

    def received(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal began, got
        began = began or time.perf_counter()
        got += 1
        if got % 100 == 0 or got == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if got == count:
            done({"per_s": count / (time.perf_counter() - began), "n": count})

    Publisher(channel, count, BURST, consume)


def latency(url: str, count: int) -> None:
    """From the call that publishes, 50 times a second, to the message's arrival in another process; both rest in between."""
    reader, writer = os.pipe()
    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    connection.close()
    if os.fork() == 0:
        _receive(url, count, writer)
        os._exit(0)
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    channel.basic_publish("", QUEUE, b"0", PERSISTENT, mandatory=True)
    os.read(reader, 1)  # it has arrived: the consumer is ready
    time.sleep(1)
    began = time.monotonic()
    for n in range(count):
        time.sleep(max(0.0, began + n / 50 - time.monotonic()))
        channel.basic_publish("", QUEUE, f"{time.monotonic():.9f}".encode(), PERSISTENT, mandatory=True)
    os.wait()


def _receive(url: str, count: int, ready: int) -> None:
    """The other process: says the figures."""
    times: list[float] = []
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_qos(prefetch_count=10)
    for method, _, body in channel.consume(QUEUE):
        times.append((time.monotonic() - float(body)) * 1e3)
        channel.basic_ack(method.delivery_tag)
        os.write(ready, b".")
        if len(times) == count + 1:
            break
    times = sorted(times[1:])
    print(json.dumps({"n": count, "p50": times[count // 2], "p99": times[count * 99 // 100]}), flush=True)


def main(url: str, mode: str, count: int) -> None:
    if mode == "latency":
        latency(url, count)
        return

    def opened(connection: Any) -> None:
        connection.channel(on_open_callback=declare)

    def declare(channel: Any) -> None:
        how = {"confirmed": confirmed, "burst": burst, "drain": drain}[mode]
        channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"}, callback=lambda _: how(channel, count, done))

    def done(row: Row) -> None:
        print(json.dumps(row), flush=True)
        connection.close()

    connection = pika.SelectConnection(
        pika.URLParameters(url), on_open_callback=opened, on_close_callback=lambda *_: connection.ioloop.stop()
    )
    connection.ioloop.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
