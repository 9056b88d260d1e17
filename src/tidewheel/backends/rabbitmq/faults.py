"""What the server or the way to it answers instead of an answer, in our words: what is wrong, where, and what mends it."""

from __future__ import annotations

import socket
import ssl

from pika import exceptions

from tidewheel.backends.rabbitmq.address import PASSWORD, Address
from tidewheel.errors import BrokerError, BrokerUnavailable, ConfigurationError

NOT_FOUND, REFUSED, LOCKED, DIFFERENT = 404, 403, 405, 406


def reply_code(error: BaseException) -> int:
    """The number with which the server closed a channel or a connection; 0: it did not."""
    return error.reply_code if isinstance(error, (exceptions.ChannelClosed, exceptions.ConnectionClosed)) else 0


def translate(error: BaseException, address: Address) -> BrokerError | ConfigurationError:
    """The `BrokerError` for an error of pika's or of the network's."""
    if isinstance(error, (BrokerError, ConfigurationError)):
        return error
    where = f"RabbitMQ at {address.where}"
    root = _root(error)
    said = _plain(root)
    match root:
        case exceptions.ProbableAuthenticationError() | exceptions.AuthenticationError():
            guest = "; the user guest may only connect from the server's own machine" if address.username == "guest" else ""
            return BrokerUnavailable(f"{where} wants another user or password; put it into the URL or into {PASSWORD}{guest}")
        case exceptions.ProbableAccessDeniedError():
            return BrokerUnavailable(_no_vhost(where, address))
        case exceptions.IncompatibleProtocolError() | exceptions.ProtocolSyntaxError():
            return BrokerUnavailable(
                f"what listens at {address.where} does not speak AMQP 0-9-1; is it RabbitMQ, and its AMQP port (5672)?"
            )
        case exceptions.AMQPHeartbeatTimeout():
            return BrokerUnavailable(f"{where} has been silent for longer than its heartbeat; is it overloaded, or the network down?")
        case ssl.SSLCertVerificationError():
            return BrokerUnavailable(f"{where}: its certificate is not trusted ({said}); name its authority with ?ca=/path/of/ca.pem")
        case ssl.SSLError():
            return BrokerUnavailable(f"{where}: no TLS connection ({said}); is this its TLS port (5671)?")
        case exceptions.ConnectionClosed() if root.reply_code == 530:
            return BrokerUnavailable(_no_vhost(where, address))
        case exceptions.ConnectionClosed() if root.reply_code == 320:
            return BrokerUnavailable(f"{where} has closed the connection ({root.reply_text})")
        case exceptions.ChannelClosed() if root.reply_code == REFUSED:
            p = address.prefix
            return BrokerUnavailable(
                f"{where} does not allow its user what Tidewheel needs ({root.reply_text}); allow it: rabbitmqctl set_permissions"
                f" -p {address.vhost} {address.username} '^{p}/.*' '^({p}/.*|amq\\.default)$' '^{p}/.*'"
            )
        case exceptions.ConnectionClosed() | exceptions.ChannelClosed():
            return BrokerUnavailable(f"{where} refuses: {root.reply_text}")
        case socket.gaierror():
            return BrokerUnavailable(f"{where} cannot be reached: there is no such host")
        case TimeoutError():
            return BrokerUnavailable(f"{where} does not answer in time; is it overloaded, or the network down?")
        case _:
            return BrokerUnavailable(f"{where} cannot be reached ({said}); is it running?")


def _no_vhost(where: str, address: Address) -> str:
    return (
        f"{where} has no vhost {address.vhost!r}, or {address.username} may not enter it: rabbitmqctl add_vhost {address.vhost}, then"
        f" rabbitmqctl set_permissions -p {address.vhost} {address.username} '.*' '.*' '.*'"
    )


def _root(error: BaseException) -> BaseException:
    """The error behind pika's own wrappings of it."""
    seen = 0
    while seen < 10:
        inner: BaseException | None = None
        errors = getattr(error, "exceptions", None)  # AMQPConnectorException groups
        if errors:
            inner = errors[-1]
        elif getattr(error, "exception", None) is not None:
            inner = error.exception  # type: ignore[attr-defined]
        elif isinstance(error, exceptions.AMQPConnectionError) and error.args and isinstance(error.args[-1], BaseException):
            inner = error.args[-1]
        if inner is None:
            return error
        error, seen = inner, seen + 1
    return error


def _plain(error: BaseException) -> str:
    """What it says, on one line."""
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(". ")
