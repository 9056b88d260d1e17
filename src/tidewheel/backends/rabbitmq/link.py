"""One connection to the server, and the thread that does its reading and writing. This, `driver`, `frames` and `faults` are the places that
know pika.

pika's connection is driven by callbacks in its own thread: so heartbeats go on, and alarms and the end of the connection are heard, while
nobody uses it. Other threads hand work over with `post`, and wait for an answer with `ask`.

    opening ──> open ──> lost          `error` says why; nothing leads back: whoever needs a connection makes a new one
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pika
from pika import exceptions, spec

from tidewheel.backends.rabbitmq.address import Address
from tidewheel.backends.rabbitmq.driver import Connection, Loop
from tidewheel.backends.rabbitmq.faults import translate
from tidewheel.errors import BrokerError, BrokerUnavailable, ConfigurationError
from tidewheel.version import __version__

log = logging.getLogger("tidewheel.rabbitmq")
logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs every refused connection with a traceback; we raise what it tells us

Channel = Any
"""pika's channel, which has no types for a checker."""
ANSWER = 10.0
"""Seconds within which the server answers a question."""


class Answer:
    """What is to be said about a question by the connection's thread, once."""

    __slots__ = ("_error", "_said", "_value")

    def __init__(self) -> None:
        self._said = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def give(self, value: Any = None) -> None:
        if not self._said.is_set():
            self._value = value
            self._said.set()

    def fail(self, error: BaseException) -> None:
        if not self._said.is_set():
            self._error = error
            self._said.set()

    def get(self, timeout: float) -> Any:
        """The value. Raises what was said to have failed, or a `TimeoutError`."""
        if not self._said.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value


class Link:
    """One connection. Open when it is made; usable from many threads until it is `lost`."""

    def __init__(self, address: Address, purpose: str, lost: Callable[[BrokerError], None] | None = None) -> None:
        """Connect. `lost` is called once, in the connection's thread, when it has ended. Raises `BrokerError`s."""
        self.address = address
        self.error: BrokerError | None = None
        self.blocked: str | None = None
        """Why the server takes no publications on this connection (an alarm)."""
        self.unblocked: Callable[[], None] | None = None
        """Called in the connection's thread when it takes them again."""
        self.server: dict[str, Any] = {}
        """What it says of itself."""
        self._lost = lost
        self._dropped = False
        self._lock = threading.Lock()
        self._waiting: set[Answer] = set()
        self._side: Channel = None
        self._side_lock = threading.Lock()
        self._asked: Answer | None = None
        """What waits for an answer on that channel."""
        self._opened = opened = Answer()
        try:
            self._loop = Loop()
            self._connection = Connection(
                _parameters(address, purpose), self._loop, on_open_callback=opened.give,
                on_open_error_callback=self._unopened, on_close_callback=self._closed,
            )  # fmt: skip
        except Exception as error:
            raise translate(error, address) from error
        self._thread = threading.Thread(target=self._run, args=(opened,), name=f"tidewheel-rabbitmq-{purpose}", daemon=True)
        try:
            self._thread.start()
            opened.get(2 * address.connect_timeout + 1)
        except BaseException as error:
            self.drop()
            if isinstance(error, Exception):
                raise translate(error, address) from error
            raise  # Ctrl-C
        self._connection.add_on_connection_blocked_callback(self._on_blocked)
        self._connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self.server = dict(getattr(self._connection, "server_properties", None) or {})

    # -- from any thread ------------------------------------------------------------------------------------------------

    def post(self, call: Callable[[], None]) -> None:
        """Let the connection's thread call this soon, in order. Nothing happens when it has ended."""
        with self._lock:
            if self.error is None:
                self._loop.add_callback_threadsafe(call)

    def call(self, call: Callable[[], None]) -> None:
        """The same, but in the caller's thread and at once if the connection's has nothing to do."""
        if self._dropped or not self._loop.turn.acquire(blocking=False):
            self.post(call)  # behind the end of it, if that is under way
            return
        try:
            if self.error is None:
                call()
        except Exception as error:
            log.exception("writing to a connection to RabbitMQ failed")
            self.drop(BrokerUnavailable(f"writing to RabbitMQ at {self.address.where} failed: {error}"))
        finally:
            self._loop.turn.release()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """In the connection's thread: call this after a while."""
        self._loop.call_later(seconds, call)

    def ask(self, begin: Callable[[Answer], None], timeout: float = ANSWER) -> Any:
        """Let the connection's thread begin something, and wait for what it comes to. Raises pika's errors and `BrokerError`s."""
        answer = Answer()

        def call() -> None:
            try:
                begin(answer)
            except Exception as error:
                answer.fail(error)

        with self._lock:
            if self.error is not None:
                raise self.error
            self._waiting.add(answer)
            self._loop.add_callback_threadsafe(call)
        try:
            return answer.get(timeout)
        except TimeoutError:
            error = BrokerUnavailable(f"RabbitMQ at {self.address.where} does not answer in time; is it overloaded, or the network down?")
            self.drop(error)
            raise error from None
        finally:
            with self._lock:
                self._waiting.discard(answer)

    def channel(self, closed: Callable[[BaseException], None] | None = None) -> Channel:
        """A new channel. `closed` is told, in the connection's thread, when the server ends it."""

        def begin(answer: Answer) -> None:
            def ended(_: Channel, reason: BaseException) -> None:
                answer.fail(reason)
                if closed is not None:
                    closed(reason)

            channel = self._connection.channel(on_open_callback=answer.give)
            channel.add_on_close_callback(ended)

        return self.ask(begin)

    def command(self, begin: Callable[[Channel, Answer], None], timeout: float = ANSWER) -> Any:
        """Ask something whose refusal ends its channel: one at a time, on a channel for such questions. Raises pika's errors."""
        with self._side_lock:
            if self._side is None or not self._side.is_open:
                self._side = self.channel(self._side_closed)
            channel = self._side

            def start(answer: Answer) -> None:
                self._asked = answer
                begin(channel, answer)

            return self.ask(start, timeout)

    def close(self) -> None:
        """Say goodbye, and wait until that is done."""
        self.post(self._goodbye)
        if self._thread is not threading.current_thread():
            self._thread.join(2)
            if self._thread.is_alive():
                self.drop()
                self._thread.join(2)

    def drop(self, error: BrokerError | None = None) -> None:
        """End it without a word to the server."""
        self._dropped = True
        reason = error or BrokerUnavailable(f"the connection to RabbitMQ at {self.address.where} was given up")
        try:
            self._loop.add_callback_threadsafe(lambda: self._abort(reason))
        except Exception:
            pass  # it is over already

    # -- in the connection's thread -------------------------------------------------------------------------------------

    @property
    def piece(self) -> int:
        """The most bytes of a body that fit into a frame."""
        return self._connection.piece

    def send(self, channel: Channel, data: bytes) -> None:
        """Whole frames for this channel. Raises pika's error if it is not open."""
        channel._raise_if_not_open()
        self._connection.send(data)

    def confirmed(self, channel: Channel, told: Callable[[int, bool], None]) -> None:
        """Whom to tell of confirmations: of all until this one, or of this one alone."""
        self._connection.confirmed[channel.channel_number] = told

    def _side_closed(self, reason: BaseException) -> None:
        if self._asked is not None:
            self._asked.fail(reason)

    def _run(self, opened: Answer) -> None:
        reason: BaseException = exceptions.ConnectionClosedByClient(200, "closed")
        try:
            self._loop.start()
        except Exception as error:
            log.exception("the thread of a connection to RabbitMQ failed")
            reason = error
        opened.fail(reason)
        self._end(reason)
        try:
            self._loop.close()
        except Exception:
            log.debug("closing the loop of a connection failed", exc_info=True)

    def _goodbye(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        elif not self._connection.is_closing:
            self._loop.stop()

    def _abort(self, reason: Exception) -> None:
        self._end(reason)
        if not self._connection.is_closed:
            self._connection._terminate_stream(reason)  # pyright: ignore  # what pika's own heartbeat does with a dead peer; `_closed` follows

    def _unopened(self, _: Any, reason: BaseException) -> None:
        self._opened.fail(reason)
        self._loop.stop()

    def _closed(self, _: Any, reason: BaseException) -> None:
        self._end(reason)
        self._loop.stop()

    def _end(self, reason: BaseException) -> None:
        with self._lock:
            if self.error is not None:
                return
            error = translate(reason, self.address)
            self.error = error if isinstance(error, BrokerError) else BrokerUnavailable(str(error))
            waiting, self._waiting = self._waiting, set()
        for answer in waiting:
            answer.fail(self.error)
        if self._lost is not None:
            self._lost(self.error)

    def _on_blocked(self, _: Any, method: Any) -> None:
        reason = method.method.reason
        self.blocked = (reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) or "an alarm"

    def _on_unblocked(self, *_: Any) -> None:
        self.blocked = None
        if self.unblocked is not None:
            self.unblocked()


def _parameters(address: Address, purpose: str) -> Any:
    options = None
    if address.tls:
        try:
            context = ssl.create_default_context(cafile=address.ca)
            if address.cert is not None:
                context.load_cert_chain(address.cert, address.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"broker URL {address.url!r}: a TLS file cannot be used: {error}") from None
        options = pika.SSLOptions(context, address.host)
    return pika.ConnectionParameters(
        host=address.host, port=address.port, virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.username, address.password), heartbeat=round(address.heartbeat) or 1,
        ssl_options=options, socket_timeout=address.connect_timeout, stack_timeout=2 * address.connect_timeout,
        client_properties={"product": "Tidewheel", "version": __version__, "connection_name": f"tidewheel {purpose}"},
    )  # fmt: skip


def cancel(channel: Channel, tag: str, done: Callable[[Any], object]) -> None:
    """End a consumer. What arrives before or just after the server has agreed arrives as ever, until `forget`: pika's own `basic_cancel`
    would reject it, which the server counts as if its worker had been lost."""
    channel._rpc(spec.Basic.Cancel(consumer_tag=tag), done, [(spec.Basic.CancelOk, {"consumer_tag": tag})])


def forget(channel: Channel, tag: str) -> None:
    """Expect nothing more from a consumer that was ended."""
    channel._cleanup_consumer_ref(tag)
