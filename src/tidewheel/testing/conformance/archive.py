"""Results of jobs that another engine carries."""

from __future__ import annotations

import pytest

from tidewheel.contract import Final
from tidewheel.core.outcome import Cancelled, Dead, Expired, Succeeded
from tidewheel.ids import job_id
from tidewheel.testing.conformance.harness import PROMPT, Aside, Rig


def final(outcome: Succeeded | Dead | Cancelled | Expired | None = None, *, id_: str = "", deliveries: int = 1, attempts: int = 0) -> Final:
    return Final(id=id_ or job_id(), deliveries=deliveries, attempts=attempts, outcome=outcome or Succeeded(b"v"))


class TestArchive:
    def test_every_ending_can_be_read(self, rig: Rig) -> None:
        ends = [final(Succeeded(b"v")), final(Dead("failed", b"error"), attempts=3), final(Cancelled()), final(Expired())]
        rig.archive.keep(ends)
        records = rig.results.records([e.id for e in ends])
        said = [(r.state, r.value, r.error, r.reason, r.attempts) for e in ends for r in [records[e.id]]]
        assert said == [
            ("succeeded", b"v", None, "", 0), ("dead", None, b"error", "failed", 3), ("cancelled", None, None, "", 0),
            ("expired", None, None, "", 0),
        ]  # fmt: skip
        assert all(r.id == e.id and r.finished == pytest.approx(rig.broker.now(), abs=5) for e in ends for r in [records[e.id]])

    def test_other_clients_can_read_it(self, rig: Rig) -> None:
        end = final()
        rig.archive.keep([end])
        other = rig.client()
        assert other.results is not None
        assert other.results.records([end.id])[end.id].value == b"v"

    def test_repeating_it_is_harmless(self, rig: Rig) -> None:
        end = final()
        rig.archive.keep([end])
        rig.archive.keep([end])
        assert rig.results.records([end.id])[end.id].value == b"v"

    def test_a_later_delivery_replaces_an_earlier_one(self, rig: Rig) -> None:
        end = final()
        rig.archive.keep([end])
        rig.archive.keep([final(Dead("failed", b"error"), id_=end.id, deliveries=2)])
        record = rig.results.records([end.id])[end.id]
        assert (record.state, record.value, record.error) == ("dead", None, b"error")

    def test_an_earlier_delivery_changes_nothing(self, rig: Rig) -> None:
        end = final(Succeeded(b"second"), deliveries=2)
        rig.archive.keep([end])
        rig.archive.keep([final(Succeeded(b"first"), id_=end.id, deliveries=1)])
        assert rig.results.records([end.id])[end.id].value == b"second"

    def test_no_value_is_kept_without_a_time_to_live(self, rig: Rig) -> None:
        end = final(Succeeded(b"secret", ttl=0.0))
        rig.archive.keep([end])
        record = rig.results.records([end.id])[end.id]
        assert (record.state, record.value) == ("succeeded", None)

    def test_it_is_not_shown_after_its_time_to_live(self, rig: Rig) -> None:
        end = final(Succeeded(b"v", ttl=2 * rig.tick))
        rig.archive.keep([end])
        rig.pass_time(1)
        assert end.id in rig.results.records([end.id])
        rig.pass_time(1.1)
        assert rig.results.records([end.id]) == {}
        assert rig.results.wait([end.id], 0) == {}
        rig.broker.sweep()
        assert rig.results.records([end.id]) == {}

    def test_waiting_ends_when_it_is_kept(self, rig: Rig) -> None:
        end = final()
        archive, results = rig.archive, rig.results
        waiting = Aside(results.wait, [job_id(), end.id], 30)
        archive.keep([end])
        assert {i: r.value for i, r in waiting.answer(within=PROMPT).items()} == {end.id: b"v"}

    def test_it_can_be_forgotten(self, rig: Rig) -> None:
        end = final()
        rig.archive.keep([end])
        assert rig.results.forget([end.id]) == 1
        assert rig.results.records([end.id]) == {}
        assert rig.results.forget([end.id]) == 0

    def test_it_is_nobody_s_job(self, rig: Rig) -> None:
        end = final(Dead("failed", b"error"))
        rig.archive.keep([end])
        assert not any(c.dead for c in rig.broker.counts().values())
        if rig.backend.control is not None:
            assert list(rig.control.revive([end.id])) == [False]
            assert list(rig.control.cancel([end.id])) == ["unknown"]

    def test_thousands_at_once(self, rig: Rig) -> None:
        ends = [final() for _ in range(3000)]
        rig.archive.keep(ends)
        assert len(rig.results.records([e.id for e in ends])) == 3000
