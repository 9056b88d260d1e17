"""The contract (`tidewheel.contract`) as tests. An engine that passes them can be trusted with jobs.

To run them on an engine of your own, tell them with a `Harness` how to get an empty store, how to let time pass, and how to make a
worker die, and import the rest into a test module:

    # tests/test_conformance.py
    import pytest
    from tidewheel.testing.conformance import *          # every test, and the fixture `rig`
    from tidewheel.testing.conformance import Harness

    class MyHarness(Harness):
        def connect(self): return my_engine.connect(self.url)           # opened by the suite; called for every client
        def advance(self, seconds): self.clock.offset += seconds        # without this the suite really waits: set `tick` to 0.3
        def kill(self, consumer): consumer.connection.abort()           # what SIGKILL leaves behind
        def recover(self, backend): …                                   # sweep until dead workers have been noticed

    @pytest.fixture
    def harness(tmp_path):
        harness = MyHarness(…)
        yield harness
        harness.close()

One module per verb and role, and `laws` with the ten laws. Tests of a role that the engine does not fill are skipped.
"""

from tidewheel.testing.conformance.archive import TestArchive
from tidewheel.testing.conformance.async_transactions import TestAsyncTransactions
from tidewheel.testing.conformance.beat import TestBeat
from tidewheel.testing.conformance.broadcast import TestBroadcast
from tidewheel.testing.conformance.browse import TestBrowse
from tidewheel.testing.conformance.carrier import TestCarrier
from tidewheel.testing.conformance.claim import TestClaim
from tidewheel.testing.conformance.control import TestControl
from tidewheel.testing.conformance.counts import TestCounts
from tidewheel.testing.conformance.harness import Harness, Rig, rig
from tidewheel.testing.conformance.keys import TestKeys
from tidewheel.testing.conformance.laws import TestLaws
from tidewheel.testing.conformance.publish import TestPublish
from tidewheel.testing.conformance.races import TestRaces
from tidewheel.testing.conformance.results import TestResults
from tidewheel.testing.conformance.settle import TestSettle
from tidewheel.testing.conformance.sweep import TestSweep
from tidewheel.testing.conformance.tracker import TestTracker
from tidewheel.testing.conformance.transactions import TestTransactions

__all__ = [
    "Harness", "Rig", "TestArchive", "TestAsyncTransactions", "TestBeat", "TestBroadcast", "TestBrowse", "TestCarrier", "TestClaim",
    "TestControl", "TestCounts", "TestKeys", "TestLaws", "TestPublish", "TestRaces", "TestResults", "TestSettle", "TestSweep",
    "TestTracker", "TestTransactions", "rig",
]  # fmt: skip
