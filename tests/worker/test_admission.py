"""A broker that lets a job be kept for a limited time only: what runs longer is refused before anything is claimed."""

from __future__ import annotations

import pytest

from tidewheel.contract import RunLimit
from tidewheel.core.options import Options
from tidewheel.errors import ConfigurationError
from tidewheel.worker.admission import admitted
from tidewheel.worker.frames import Manifest
from tidewheel.worker.options import WorkerOptions

pytestmark = pytest.mark.fast

HALF_AN_HOUR = RunLimit(1800.0, "raise it in broker.conf")


def manifest(**limits: float | None) -> Manifest:
    return Manifest("app", "amqp://", {name: Options(time_limit=limit) for name, limit in limits.items()}, frozenset())


def options(time_limit: float | None = None) -> WorkerOptions:
    return WorkerOptions(app="app", time_limit=time_limit, kill_after=10.0)


def test_most_brokers_do_not_mind() -> None:
    assert admitted(options(), manifest(long=None), None) == options()


@pytest.mark.parametrize("limit", [None, 1801.0, 7200.0])
def test_what_may_run_longer_is_refused_with_the_mend(limit: float | None) -> None:
    with pytest.raises(ConfigurationError, match=r"long: .* at most 1740 s, or raise it in broker\.conf"):
        admitted(options(), manifest(long=limit, short=60.0), HALF_AN_HOUR)


def test_many_are_not_all_named() -> None:
    with pytest.raises(ConfigurationError, match=r"a, b, c and 2 more: .* give each a time_limit"):
        admitted(options(), manifest(a=None, b=None, c=None, d=None, e=None), HALF_AN_HOUR)


def test_runs_are_cut_off_in_time() -> None:
    assert admitted(options(), manifest(usual=1800.0), HALF_AN_HOUR).time_limit == 1740.0
    assert admitted(options(60.0), manifest(usual=1800.0), HALF_AN_HOUR).time_limit == 60.0
    assert admitted(options(1790.0), manifest(long=None), HALF_AN_HOUR).time_limit == 1740.0


def test_a_limit_that_leaves_no_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="for 30 s only"):
        admitted(options(), manifest(short=1.0), RunLimit(30.0, "raise it"))
