"""Moments of an envelope, ids, and the frozen dresses of a job."""

from __future__ import annotations

import multiprocessing
import threading
import time
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewheel.core.job import ENDED, LIVE, Delivery, Envelope, State, Token
from tidewheel.ids import incarnation, job_id, made_at

NOW = 1000.0
seconds = st.floats(0, 1e6)


@given(seconds, st.none() | seconds)
def test_due_is_the_later_of_delay_and_moment(delay: float, due: float | None) -> None:
    at = Envelope(id="x", task="t", body=b"", delay=delay, due=due).due_at(NOW)
    assert at == max([NOW + delay] + ([due] if due is not None else []))
    assert at >= NOW


@given(st.none() | seconds, st.none() | seconds)
def test_expiry_is_the_earlier_of_lifetime_and_moment(lifetime: float | None, expires: float | None) -> None:
    at = Envelope(id="x", task="t", body=b"", lifetime=lifetime, expires=expires).expires_at(NOW)
    ends = [x for x in (None if lifetime is None else NOW + lifetime, expires) if x is not None]
    assert at == (min(ends) if ends else None)


def test_frozen() -> None:
    envelope = Envelope(id="x", task="t", body=b"")
    with pytest.raises(AttributeError):
        envelope.queue = "other"  # type: ignore[misc]


def test_attempt_counts_from_one() -> None:
    delivery = Delivery(envelope=Envelope(id="x", task="t", body=b""), token=Token("w", 1), published=NOW, attempts=2)
    assert (delivery.id, delivery.attempt) == ("x", 3)


def test_delivery_survives_a_frame() -> None:
    envelope = Envelope(id="x", task="t", body=b"\x00", headers={"a": "b"}, due=3.0)
    delivery = Delivery(envelope=envelope, token=Token("w", 9), published=NOW, losses=1)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(delivery), type=Delivery) == delivery


def test_states_are_live_or_ended() -> None:
    assert set(State.__args__) == LIVE | ENDED
    assert not LIVE & ENDED


def test_ids_are_uuid7_in_order_and_tell_their_time() -> None:
    before = time.time()
    ids = [job_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    for text in (ids[0], ids[-1]):
        value = uuid.UUID(text)
        assert (value.version, value.variant, str(value)) == (7, uuid.RFC_4122, text)
    made = made_at(ids[0])
    assert made is not None
    assert before - 0.001 <= made <= time.time()


def test_ids_of_threads_differ() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend([job_id() for _ in range(2000)])) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(found)) == 8000


def _ids_in_child(queue: multiprocessing.Queue[list[str]]) -> None:
    queue.put([job_id() for _ in range(100)])


def test_ids_of_forked_children_differ() -> None:
    fork = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[str]] = fork.Queue()
    children = [fork.Process(target=_ids_in_child, args=(queue,)) for _ in range(3)]
    for child in children:
        child.start()
    found = [queue.get(timeout=20) for _ in children]
    for child in children:
        child.join(20)
    assert len({i for ids in found for i in ids}) == 300


@pytest.mark.parametrize("text", ["", "job", "x" * 36, str(uuid.UUID(int=0)), "6fa459ea-ee8a-4ca4-894e-db77e160355e"])
def test_what_is_not_a_job_id_has_no_time(text: str) -> None:
    assert made_at(text) is None


def test_incarnations_differ() -> None:
    assert len({incarnation() for _ in range(100)}) == 100
