"""One server and namespace: opening it, and running verbs on it. All of redis-py's errors are translated here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis import exceptions

from tidewheel.backends import forks
from tidewheel.backends.redis.address import Address
from tidewheel.backends.redis.connections import ANSWER, Connection, Connections, pack, patience
from tidewheel.backends.redis.faults import code, cut, translate
from tidewheel.backends.redis.verbs import Verb, verb
from tidewheel.errors import BrokerCorrupt, BrokerError, BrokerUnavailable, ConfigurationError

OLDEST = (6, 2)
SCHEMA = 1
"""The layout of what we keep there. Written by whoever comes first, checked by everybody."""
PUBLISH = 5.0
"""Seconds within which a publication has an outcome, if it is of an ordinary size."""
EACH = 50e-6
"""Seconds that each job of a large call, or each 2,500 bytes of it, may add to the time it has."""
LARGE = 1000
"""Jobs. A call that is about fewer gets no more time than any other."""

Args = Sequence[bytes | str | int | float]


class Store:
    """A namespace on one server. Usable from many threads; a forked child makes its own connections."""

    def __init__(self, address: Address, *, clock: str = "", monotonic: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self.monotonic = monotonic
        self.slot = f"{{{address.prefix}}}"
        self.connections = Connections(address)
        self.closing: list[Callable[[], None]] = []
        """Called at `close`, by roles that opened something of their own."""
        self.forked: list[Callable[[], None]] = []
        """Called in a forked child."""
        self._clock = clock
        self._flags = True
        self._verbs: dict[str, Verb] = {}
        self._open = False
        forks.tell(self)

    # -- opening and closing --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect and check the server. Raises a `BrokerError` that names the mend."""
        info = self.info()
        where = f"Redis at {self.address.where}"
        version = tuple(int(n) for n in re.findall(r"\d+", info.get("redis_version", ""))[:3])
        if version < OLDEST:
            raise ConfigurationError(f"{where} is version {info.get('redis_version')}; 6.2 or newer is needed (Debian 12 has 7.0)")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise ConfigurationError(
                f"{where} has maxmemory-policy {policy}: it would delete jobs when its memory is full. Set noeviction"
                " (redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf), or use another server for the cache"
            )
        self._flags = version >= (7,)
        self._verbs.clear()
        found = self.command("GET", f"{self.slot}:schema")
        if found is None:
            try:
                self.command("SET", f"{self.slot}:schema", SCHEMA, "NX")
            except BrokerError:
                pass  # full, or cannot save: the next who opens it writes it. Reading and draining must be possible all the same.
        elif int(found) > SCHEMA:
            raise BrokerCorrupt(f"{where}: {self.slot} was written by a newer version of Tidewheel; update this one")
        self._open = True

    def info(self) -> dict[str, str]:
        """What the server says of itself."""
        said: bytes = self.command("INFO")
        pairs = (line.split(":", 1) for line in said.decode(errors="replace").splitlines() if ":" in line)
        return {pair[0]: pair[1] for pair in pairs}

    def close(self) -> None:
        """Close connections. Jobs stay."""
        self._open = False
        while self.closing:
            self.closing.pop()()
        self.connections.close()

    # -- using ----------------------------------------------------------------------------------------------------------

    def run(self, name: str, args: Args = (), *, repeat: bool = True, size: int = 0) -> Any:
        """Run a verb. `repeat`: a second time is harmless, so a connection that turns out to be dead is no reason to fail. `size`: how many
        jobs it is about. Raises `BrokerError`s.
        """
        script = self._verb(name)
        return self._ask(("EVALSHA", script.sha, 1, self.slot, *args), script, repeat=repeat, limit=ANSWER + _extra(size))

    def command(self, *words: bytes | str | int | float, limit: float = ANSWER) -> Any:
        """Run a plain command that can be repeated. Raises `BrokerError`s."""
        return self._ask(words, None, repeat=True, limit=limit)

    def publish(self, name: str, args: Args, size: int) -> tuple[Any, BrokerError | None]:
        """Run a verb that publishes; repeated until its outcome is known or the time is over, for the same ids are stored once.

        Answers the server's answer; or, as the second, the error after which the outcome is not known. Raises `BrokerError`s when
        nothing was stored.
        """
        script = self._verb(name)
        words = ("EVALSHA", script.sha, 1, self.slot, *args)
        extra = _extra(size)
        deadline = time.monotonic() + PUBLISH + extra
        limit = ANSWER + extra
        unknown: BrokerError | None = None
        while True:
            sent = False
            try:
                connection, _ = self.connections.take(min(limit, ANSWER))
                sent = True
                return self._exchange(connection, words, script, limit), None
            except (redis.RedisError, OSError) as error:
                fault = translate(error, self.address)
                if not cut(error):
                    # An answer. If an earlier try did store it, this is no proof of the contrary.
                    if unknown is None:
                        raise fault from error
                elif sent:
                    unknown = fault
                    self.connections.close()
                elif unknown is None:
                    raise fault from error
            limit = deadline - time.monotonic()
            if limit <= 0:
                return None, unknown
            time.sleep(min(0.05, limit))  # it may be restarting

    def _verb(self, name: str) -> Verb:
        if not self._open:
            raise BrokerUnavailable(f"Redis at {self.address.where} is not open in this process; was it closed?")
        script = self._verbs.get(name)
        if script is None:
            script = self._verbs[name] = verb(name, flags=self._flags, clock=self._clock)
        return script

    def _ask(self, words: Args, script: Verb | None, *, repeat: bool, limit: float) -> Any:
        while True:
            used = False
            try:
                connection, used = self.connections.take()
                return self._exchange(connection, words, script, limit)
            except (redis.RedisError, OSError) as error:
                if used and cut(error):
                    # The others that rest are no better. What was lost with it may have been done.
                    self.connections.close()
                    if repeat and not isinstance(error, (exceptions.TimeoutError, TimeoutError)):
                        continue
                raise translate(error, self.address) from error

    def _exchange(self, connection: Connection, words: Args, script: Verb | None, limit: float) -> Any:
        """One command on a connection, which is given back or closed afterwards."""
        try:
            if limit != ANSWER:
                patience(connection, limit)
            connection.send_packed_command([pack(tuple(words))], check_health=False)
            try:
                answer = connection.read_response()
            except exceptions.NoScriptError:
                # It has forgotten its scripts (a restart, SCRIPT FLUSH) and has done nothing.
                assert script is not None
                connection.send_command("EVAL", script.text, *words[2:], check_health=False)
                answer = connection.read_response()
            if limit != ANSWER:
                patience(connection, ANSWER)
        except exceptions.ResponseError as error:
            if code(error) == "NOAUTH" or limit != ANSWER:
                connection.disconnect()
            else:
                self.connections.give(connection)
            raise
        except BaseException:
            connection.disconnect()
            raise
        self.connections.give(connection)
        return answer

    # -- forks ----------------------------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        self.connections.after_fork()
        for drop in self.forked:
            drop()
        self.closing.clear()


def _extra(size: int) -> float:
    return size * EACH if size > LARGE else 0.0
