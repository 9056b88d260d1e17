"""What is said to everybody who listens."""

from __future__ import annotations

import queue

import pytest

from tidewheel.testing.conformance.harness import PROMPT, Rig


class TestBroadcast:
    def test_everybody_who_listens_hears_it(self, rig: Rig) -> None:
        heard: list[queue.SimpleQueue[bytes]] = [queue.SimpleQueue() for _ in range(2)]
        ends = [rig.broadcaster.listen(heard[0].put)]
        other = rig.client().broadcaster
        assert other is not None
        ends.append(other.listen(heard[1].put))
        message = bytes(range(256))
        assert rig.broadcaster.send(message) == 2
        assert rig.broadcaster.send(b"") == 2
        for ears in heard:
            assert [ears.get(timeout=PROMPT) for _ in range(2)] == [message, b""]
        for end in ends:
            end()

    def test_nothing_is_kept_for_who_comes_later(self, rig: Rig) -> None:
        assert rig.broadcaster.send(b"early") == 0
        heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        end = rig.broadcaster.listen(heard.put)
        rig.broadcaster.send(b"now")
        assert heard.get(timeout=PROMPT) == b"now"
        end()

    def test_who_ends_it_hears_no_more(self, rig: Rig) -> None:
        heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        rig.broadcaster.listen(heard.put)()
        assert rig.broadcaster.send(b"late") == 0
        with pytest.raises(queue.Empty):
            heard.get(timeout=0.05)
