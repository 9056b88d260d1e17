"""Taking jobs back from dead workers, and the rest of `sweep`.

A worker is declared dead when its lease is over *and* its beat has not changed between two looks that are a full beat apart on our own
clock; and only if it still has not when we say so (lua/kill.lua). So neither a jump of the server's clock nor a sweeper that was frozen
kills a worker that beats.

    alive     its beat moves
    suspect   its lease is over; seen once                                      our memory only
    dying     declared: it can claim nothing; its jobs are being taken back     key `dying`, so that anybody can go on
    gone      it holds nothing
"""

from __future__ import annotations

import struct
import threading

from tidewheel.backends.keeping import RESULTS, kept, lost_error, visible
from tidewheel.backends.redis import layout
from tidewheel.backends.redis.settling import STEP, settle
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Settlement, Swept
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Counters, Lost, decide

_BEAT = struct.Struct(">Iddd")


def expire(store: Store, limit: int) -> int:
    """End what waits and is too late, about `limit` at most; how many."""
    expired = 0
    while expired < limit:
        some: int = store.run("expire", [STEP, visible(RESULTS), kept(RESULTS, 0.0)], size=STEP)
        expired += some
        if some < STEP:
            break
    return expired


class Upkeep:
    """Remembers whom it suspects. Usable from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._suspects: dict[bytes, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def sweep(self, limit: int) -> Swept:
        """One sweep, of at most about `limit` of each kind."""
        promoted = expired = pruned = recovered = 0
        suspects: list[bytes] = []
        dying: list[bytes] = []
        while max(promoted, pruned) < limit:
            some = min(STEP, limit)
            moved, old, late, suspects, dying = self._store.run("sweep", [some], size=some)
            promoted, pruned = promoted + moved, pruned + old
            if late:
                expired += expire(self._store, limit)
            if max(moved, old) < some:
                break
        dead = self._dead(dict(zip(suspects[::2], suspects[1::2], strict=True)))
        lost = []
        for worker in (*dead, *(d for d in dying if d not in dead)):
            recovered += self._take_back(worker)
            if self._store.run("bury_worker", [worker]):
                lost.append(worker.decode())
        return Swept(promoted=promoted, recovered=recovered, expired=expired, pruned=pruned, lost_workers=tuple(lost))

    def _dead(self, suspects: dict[bytes, bytes]) -> list[bytes]:
        """Those who are declared dead now."""
        now = self._store.monotonic()
        with self._lock:
            seen = self._suspects
            self._suspects = {w: seen[w] if seen.get(w, (b"", 0.0))[0] == beat else (beat, now) for w, beat in suspects.items()}
            over = [(w, beat) for w, (beat, since) in self._suspects.items() if now - since >= _BEAT.unpack(beat)[3]]
        return [worker for worker, beat in over if self._store.run("kill", [worker, beat], repeat=False)]

    def _take_back(self, worker: bytes) -> int:
        """Everything it holds; how many that were."""
        count = 0
        while True:
            answer = self._store.run("owned", [worker, STEP], size=STEP)
            if not answer:
                return count
            error = lost_error(worker.decode())
            batch = []
            for id_, run in zip(answer[::3], answer[2::3], strict=True):
                state = layout.read_run(run)
                outcome = decide(Lost(error), Counters(state.attempts, state.strikes, state.losses), NO_RETRY, cancelled=bool(state.cancel))
                batch.append(Settlement(layout.text(id_), state.token, outcome))
            verdicts = settle(self._store, batch)
            count += verdicts.count("ok")
