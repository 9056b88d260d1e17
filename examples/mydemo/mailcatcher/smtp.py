"""The SMTP side: takes mails into a `Mailbox`, and behaves as badly as real mail servers do at the addresses that ask for it.

    …@refused.example    is refused for good (550)
    …@greylist.example   is put off once (451), as servers do that do not know the sender yet
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

REFUSED = "refused.example"
GREYLISTED = "greylist.example"


@dataclass(frozen=True)
class Mail:
    """A mail that arrived."""

    number: int
    to: str
    message: EmailMessage
    arrived: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def header(self, name: str) -> str:
        return str(self.message.get(name, ""))

    def part(self, kind: str) -> str:
        """The text of the part `plain` or `html`."""
        part = self.message.get_body((kind,))
        return part.get_content() if isinstance(part, EmailMessage) else ""

    @property
    def links(self) -> list[str]:
        return re.findall(r"https?://\S+", self.part("plain"))

    def as_dict(self) -> dict[str, Any]:
        names = ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted")
        headers = {name: self.header(name) for name in names}
        return {
            "number": self.number, "to": self.to, "arrived": self.arrived.isoformat(), "headers": headers,
            "text": self.part("plain"), "html": self.part("html"), "links": self.links,
        }  # fmt: skip


class Mailbox:
    """The mails, in memory, in the order of arrival. For any thread."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []
        self._news = threading.Condition()

    def add(self, to: str, content: bytes) -> None:
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        with self._news:
            self._mails.append(Mail(len(self._mails) + 1, to, message))
            self._news.notify_all()

    def mails(self, to: str | None = None) -> list[Mail]:
        with self._news:
            return [m for m in self._mails if to is None or m.to == to]

    def wait(self, to: str, count: int = 1, timeout: float = 30.0) -> list[Mail]:
        """The mails to an address, as soon as there are so many. Raises `TimeoutError`."""
        arrived: Callable[[], list[Mail]] = lambda: [m for m in self._mails if m.to == to]  # noqa: E731
        with self._news:
            if not self._news.wait_for(lambda: len(arrived()) >= count, timeout):
                raise TimeoutError(f"{len(arrived())} of {count} mails to {to} arrived within {timeout:g} s")
            return arrived()


class Hold:
    """One transmission that is held in the middle: the mail was sent, and the "250 OK" does not come."""

    def __init__(self, stored: bool) -> None:
        self.stored = stored
        """Whether the server has taken the mail by then. If so, a sender that dies now will send it a second time."""
        self.reached = threading.Event()
        self.dropped = threading.Event()
        """The sender has gone."""


class Reception:
    """What the SMTP server asks at each step (aiosmtpd's handler)."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.holds: dict[str, Hold] = {}
        self.said: list[tuple[str, int]] = []
        """Each answer to a RCPT: the address and the code."""
        self._known: set[str] = set()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        domain = address.rpartition("@")[2].lower()
        reply = "250 OK"
        if domain == REFUSED:
            reply = f"550 5.1.1 <{address}>: no such mailbox here"
        elif domain == GREYLISTED and address not in self._known:
            self._known.add(address)
            reply = "451 4.7.1 We do not know you yet, come back later"
        else:
            envelope.rcpt_tos.append(address)
        self.said.append((address, int(reply[:3])))
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        for address in envelope.rcpt_tos:
            hold = self.holds.pop(address, None)
            if hold is None or hold.stored:
                self.mailbox.add(address, content)
            if hold is not None:
                await self._hold(hold)
        return "250 OK"

    async def _hold(self, hold: Hold) -> None:
        """Until the connection is lost: aiosmtpd cancels this then."""
        hold.reached.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            hold.dropped.set()


class MailServer:
    """The SMTP server on a port of this machine, in a thread of its own. Can be stopped and started again; the mailbox stays."""

    def __init__(self, port: int, mailbox: Mailbox | None = None) -> None:
        self.port = port
        self.mailbox = mailbox or Mailbox()
        self.reception = Reception(self.mailbox)
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(self.reception, hostname="127.0.0.1", port=self.port, server_hostname="mailcatcher.example")
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def hold(self, address: str, *, stored: bool) -> Hold:
        """Hold the next mail to this address in the middle of its transmission."""
        hold = self.reception.holds[address] = Hold(stored)
        return hold
