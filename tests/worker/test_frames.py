"""Frames survive any cut of the stream, and the ledger never loses or doubles a delivery."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewheel.core.job import Delivery, Envelope, Token
from tidewheel.core.outcome import Again, Cancelled, Dead, Expired, Succeeded
from tidewheel.ids import job_id
from tidewheel.worker.frames import Decoder, Ended, Ready, Reported, Returned, Run, Setup, Started, Stop, ToExecutor, ToWorker, frame
from tidewheel.worker.ledger import Ledger, Seat

KEY = ("0199-x", 7)


def delivery(n: int, losses: int = 0) -> Delivery:
    return Delivery(envelope=Envelope(id=job_id(), task="t", body=bytes([n % 256])), token=Token("w", n), published=1.5, losses=losses)


TO_WORKER = [
    Ready(42),
    Started(KEY),
    Ended(KEY, Succeeded(b"\x01", 3.0), 0.25),
    Ended(KEY, Again("retry", 2.0, "attempts", b"e"), 0.5),
    Ended(KEY, Dead("failed", b"e", "attempts"), 0.5),
    Ended(KEY, Cancelled(), 0.5),
    Ended(KEY, Expired(), 0.5),
    Returned((KEY,)),
    Reported(KEY, b"half"),
]
TO_EXECUTOR = [
    Setup(1, "threads", 4, "/x", None),
    Run((delivery(1), delivery(2))),
    Stop(KEY, "soft"),
]


@given(cuts=st.lists(st.integers(1, 40), max_size=60), data=st.data())
@settings(max_examples=100, deadline=None)
def test_frames_survive_any_cut(cuts: list[int], data: st.DataObject) -> None:
    for messages, union in ((TO_WORKER, ToWorker), (TO_EXECUTOR, ToExecutor)):
        sent = data.draw(st.lists(st.sampled_from(messages), max_size=12))
        stream = b"".join(frame([m]) for m in sent) + frame(sent)
        decoder = Decoder(union)
        got, at = [], 0
        for cut in [*cuts, len(stream)]:
            got += list(decoder.feed(stream[at : at + cut]))
            at += cut
        assert got == sent + sent


class Sim:
    """The ledger under random orders; what it holds is compared with what was put in."""

    def __init__(self, seats: list[int]) -> None:
        self.ledger = Ledger()
        self.number = 0
        self.given: set[tuple[str, int]] = set()
        self.out: set[tuple[str, int]] = set()
        for slots in seats:
            self.open(slots)

    def open(self, slots: int) -> None:
        self.number += 1
        seat = Seat(self.number, slots)
        seat.state = "ready"
        self.ledger.seats[self.number] = seat

    def check(self) -> None:
        held = set(self.ledger.flights) | {(d.envelope.id, d.token.claim) for d in self.ledger.pending}
        assert held == self.given - self.out
        assert len(self.ledger.flights) == sum(len(s.flights) for s in self.ledger.seats.values())
        assert self.ledger.held() == len(held)
        if self.ledger.alone is not None:
            assert list(self.ledger.flights) == [self.ledger.alone], "a suspect does not run alone"
        for seat in self.ledger.seats.values():
            if seat.slots == 1 and seat.flights:
                started = [f.started is not None for f in seat.flights.values()]
                assert started == [True] + [False] * (len(started) - 1)


@given(data=st.data(), seats=st.lists(st.sampled_from([1, 1, 4]), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_the_ledger_neither_loses_nor_doubles(data: st.DataObject, seats: list[int]) -> None:
    sim, n = Sim(seats), 0
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["accept", "accept", "end", "end", "end", "back", "die", "open"]))
        ledger = sim.ledger
        if action == "accept":
            batch = [delivery(n := n + 1, data.draw(st.sampled_from([0, 0, 0, 3]))) for _ in range(data.draw(st.integers(0, 30)))]
            sim.given |= {(d.envelope.id, d.token.claim) for d in batch}
            ledger.accept(batch)
        elif action == "end" and ledger.flights:
            key = data.draw(st.sampled_from(sorted(ledger.flights)))
            flight = ledger.finished(key, data.draw(st.sampled_from([0.00001, 0.01, 5.0])))
            assert flight is not None
            assert ledger.finished(key, 1.0) is None
            sim.out.add(key)
            ledger.seat_pending()
        elif action == "back" and ledger.flights:
            for keys in ledger.unstarted().values():
                sim.out |= {(d.envelope.id, d.token.claim) for d in ledger.returned(keys)}
        elif action == "die" and ledger.seats:
            number = data.draw(st.sampled_from(sorted(ledger.seats)))
            _, running, unstarted = ledger.unseat(number)
            sim.out |= {f.key for f in running} | {(d.envelope.id, d.token.claim) for d in unstarted}
        elif action == "open":
            sim.open(data.draw(st.sampled_from([1, 4])))
        sim.check()
    while sim.ledger.held():
        if not sim.ledger.seats:
            sim.open(2)
        sim.ledger.seat_pending()
        assert sim.ledger.flights, "work is pending, executors are idle, and nothing is given to them"
        for key in list(sim.ledger.flights):
            sim.ledger.finished(key, 0.001)
            sim.out.add(key)
        sim.check()
