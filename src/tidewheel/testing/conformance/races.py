"""Many at once. What must hold whoever wins."""

from __future__ import annotations

import random
import threading
import time

from tidewheel.core.outcome import Again
from tidewheel.testing.conformance.harness import Aside, Rig


class TestRaces:
    def test_every_job_is_handed_out_once(self, rig: Rig) -> None:
        ids = rig.put(400)
        workers = [rig.worker(rig.client()) for _ in range(6)]

        def work(n: int) -> list[str]:
            taken: list[str] = []
            while deliveries := rig.take(workers[n], 1 + n * 3):
                taken += [d.id for d in deliveries]
                assert set(rig.settle(workers[n], deliveries)) == {"ok"}
            return taken

        taken = [id_ for aside in [Aside(work, n) for n in range(6)] for id_ in aside.answer()]
        assert sorted(taken) == sorted(ids)

    def test_a_job_is_cancelled_or_handed_out_never_both(self, rig: Rig) -> None:
        control, worker = rig.control, rig.worker()
        canceller = rig.client().control
        assert control is not None
        assert canceller is not None
        for _ in range(100):
            (id_,) = rig.put()
            start = threading.Barrier(2)

            def cancel(id_: str = id_, start: threading.Barrier = start) -> str:
                start.wait()
                return canceller.cancel([id_])[0]

            cancelling = Aside(cancel)
            start.wait()
            deliveries = rig.take(worker)
            answer = cancelling.answer()
            assert answer == ("requested" if deliveries else "cancelled")
            assert rig.settle(worker, deliveries) == ["ok"] * len(deliveries)

    def test_two_who_settle_the_same_delivery(self, rig: Rig) -> None:
        ids = rig.put(50)
        worker = rig.worker()
        deliveries = rig.take(worker)
        asides = [Aside(rig.settle, worker, [d]) for d in deliveries for _ in range(2)]
        verdicts = [aside.answer()[0] for aside in asides]
        assert sorted(verdicts) == ["gone"] * len(ids) + ["ok"] * len(ids)

    def test_a_sweeper_against_a_worker_that_settles(self, rig: Rig) -> None:
        rig.needs("sweeps")
        for _ in range(20):
            rig.put(10)
            zombie = rig.worker()
            deliveries = rig.take(zombie)
            rig.kill(zombie)
            sweeping = Aside(rig.recover)
            settled = rig.settle(zombie, deliveries).count("ok")
            assert sweeping.answer().recovered + rig.recover().recovered == 10 - settled
            rig.pass_time(1.1)
            assert len(rig.run(rig.worker())) == 10 - settled

    def test_publishers_and_workers_together(self, rig: Rig) -> None:
        published, ended = list[str](), list[str]()
        lock = threading.Lock()

        def publish() -> None:
            client = rig.client()
            for _ in range(20):
                jobs = [rig.job(priority=random.randint(-5, 5)) for _ in range(5)]
                client.broker.publish(jobs)
                with lock:
                    published.extend(job.id for job in jobs)

        def work() -> None:
            # A claim may find nothing though something is on its way back to the queue: only the count tells that all is done.
            worker, deadline = rig.worker(rig.client()), time.monotonic() + 20
            while len(ended) < 300 and time.monotonic() < deadline:
                deliveries = list(worker.claim(["default"], 7, 0.05))
                back = [d for d in deliveries if d.deliveries == 1 and random.random() < 0.3]
                rig.settle(worker, back, Again("returned"))
                keep = [d for d in deliveries if d not in back]
                assert set(rig.settle(worker, keep)) <= {"ok"}
                with lock:
                    ended.extend(d.id for d in keep)

        asides = [Aside(work) for _ in range(3)] + [Aside(publish) for _ in range(3)]
        for aside in asides:
            aside.answer()
        assert sorted(ended) == sorted(published)
        counts = rig.broker.counts(["default"])["default"]
        assert (counts.ready, counts.scheduled, counts.running) == (0, 0, 0)
