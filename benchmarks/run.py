"""Tidewheel on one engine beside its peers and the bare engine, in one run: `python benchmarks/run.py` (see benchmarks/README.md)."""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import pathlib
import re
import shutil
import signal
import sys
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import bare
import machine
import report
import venvs
from cases import CASES, SIZES, Rows, Size
from server_postgres import Postgres
from server_rabbitmq import RabbitMQ
from server_redis import Redis
from services import Service
from stage import Stage, Variant
from table_postgres import POSTGRES
from table_rabbitmq import RABBITMQ
from table_redis import REDIS
from table_sqlite import SQLITE

ADAPTERS = ("tidewheel_", "celery_", "huey_", "dramatiq_", "wakaq_", "pgqueuer_")
TABLES = {table.engine: table for table in (SQLITE, REDIS, POSTGRES, RABBITMQ)}
SERVERS: dict[str, type[Service]] = {kind.name: kind for kind in (Redis, Postgres, RabbitMQ)}
QUICKLY = {"sqlite": "ABCDEFGHI", "redis": "ABCDEFHI", "postgres": "ABCDEFHI", "rabbitmq": "ABCDEFGHI"}
"""The cases of a quick look; on Redis and PostgreSQL G takes a minute, because it is a lease that tells that a worker is dead."""
ONCE = "GH"
"""Cases that take a peer a minute or more; peers do them in the first repeat only."""


def variants(engine: str) -> dict[str, Variant]:
    """Those of this engine's table."""
    found = {}
    for name in ADAPTERS:
        adapter = importlib.import_module(f"adapters.{name}")
        found |= {v: Variant(v, adapter, settings) for v, settings in adapter.VARIANTS.items()}
    return {name: v for name, v in found.items() if engine in v.engines}


class Run:
    def __init__(self, chosen: list[Variant], cases: list[str], repeat: int, size: Size, *, engine: str | None, calm: float) -> None:
        """`engine`: the bare one that is measured, too."""
        self.chosen, self.cases, self.repeat, self.size, self.engine, self.calm = chosen, cases, repeat, size, engine, calm
        self.rows: list[dict[str, Any]] = []
        self.servers: dict[str, Service] = {}
        """Those that run; each is started when it is first needed."""
        self.out = venvs.ROOT / f"rows-{datetime.datetime.now():%Y%m%d-%H%M%S}.jsonl"
        self.data = venvs.ROOT / "data"

    def __enter__(self) -> Run:
        self.data.mkdir(parents=True, exist_ok=True)
        source = venvs.snapshot() if any(v.ours for v in self.chosen) else None
        for variant in self.chosen:
            variant.venv = venvs.environment(variant.adapter.VENV, variant.adapter.PACKAGES)
            variant.source = source
        self.source = source
        return self

    def __exit__(self, *exc: object) -> None:
        for server in self.servers.values():
            server.stop()
        if self.source is not None:
            shutil.rmtree(self.source, ignore_errors=True)

    def measure(self) -> None:
        """Repeats outside, variants inside: what is compared is measured side by side."""
        for repeat in range(self.repeat):
            for case in self.cases:
                if self.engine is not None:
                    self._note("engine", self._bare(case, self.engine))
                for variant in self.chosen:
                    if case in variant.cases and (variant.ours or repeat == 0 or case not in ONCE):
                        self._note(variant.name, self._case(case, variant))

    def _server(self, name: str) -> Service:
        if name not in self.servers:
            self.servers[name] = SERVERS[name](self.data)
        return self.servers[name]

    def _bare(self, case: str, engine: str) -> Rows:
        if engine == "sqlite":
            return bare.sqlite(case, self.data, self.size)
        return bare.served(case, self._server(engine), venvs.environment("tidewheel", []), self.size)

    def _case(self, case: str, variant: Variant) -> Rows:
        def new(n: int, **how: Any) -> Stage:
            return Stage(variant, self.data, [self._server(name) for name in variant.services], n, **how)

        return CASES[case](new, self.size)

    def _note(self, name: str, rows: Rows) -> None:
        if self.calm:
            machine.calm(0.25, self.calm)
        while True:
            noise, began = machine.others(), time.monotonic()
            try:
                label, figures = next(rows)
            except StopIteration:
                return
            except Exception as error:  # a peer that fails is a finding, not a reason to stop
                label, figures = "error", {"error": re.sub(r"(/[\w.+@-]+)+/", "", f"{type(error).__name__}: {str(error)[-800:]}")}
            took = time.monotonic() - began
            row = {"variant": name, "case": label, "took": took, "others": (machine.others() - noise) / max(took, 0.01), **figures}
            self.rows.append(row)
            with open(self.out, "a") as file:
                file.write(json.dumps(row) + "\n")
            shown = " ".join(f"{k}={round(v, 3) if isinstance(v, float) else v}" for k, v in row.items() if k not in ("variant", "case"))
            print(f"{name:24} {label:10} {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=TABLES, default="sqlite", help="what Tidewheel runs on (default: sqlite)")
    parser.add_argument("--only", help="peers or variants, separated by commas: tidewheel,celery,engine (the bare one) … (default: all)")
    parser.add_argument("--cases", help="for example ABF (default: all)")
    parser.add_argument("--repeat", type=int, help="how often (3; with --quick 1)")
    parser.add_argument(
        "--quick", action="store_true", help="a look of some minutes: small sizes, no huey, peers not in H, no G on Redis and PostgreSQL"
    )
    parser.add_argument(
        "--calm", type=float, default=0, metavar="S", help="before each measurement wait up to S seconds until others use little CPU"
    )
    parser.add_argument("--docs", action="store_true", help="also put the table into docs/explanation/benchmarks.md")
    opt = parser.parse_args()
    table = TABLES[opt.engine]
    peers = [p.partition("-")[0] for p in table.peers if not (opt.quick and p == "huey")]
    only = opt.only.split(",") if opt.only else ["tidewheel", "engine", *peers]
    cases = [c for c in CASES if c in (opt.cases or (QUICKLY[opt.engine] if opt.quick else "".join(CASES))).upper()]
    known = variants(opt.engine)
    chosen = [v for name, v in known.items() if name in only or name.partition("-")[0] in only]
    if opt.quick:
        for peer in (v for v in chosen if not v.ours):
            peer.cases = [c for c in peer.cases if c != "H"]
    unknown = [name for name in only if name != "engine" and not any(name in (v, v.partition("-")[0]) for v in known)]
    if unknown or not cases:
        parser.error(f"unknown: {', '.join(unknown) or opt.cases}; there are {', '.join(known)}, engine, and the cases {''.join(CASES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    if not machine.quiet_neighbours():
        print("(other programs have an equal share of this machine; start this with `setsid -w` to come first)")
    venvs.ROOT.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    repeat, size = opt.repeat or (1 if opt.quick else 3), SIZES[opt.engine][opt.quick]
    with Run(chosen, cases, repeat, size, engine=opt.engine if "engine" in only else None, calm=opt.calm) as run:
        run.measure()
        servers = [server.version() for server in run.servers.values()]
        text = report.page(table, run.rows, run.chosen, servers, minutes=(time.monotonic() - began) / 60)
    print("\n" + text)
    written = venvs.ROOT / f"results-{opt.engine}.md"
    written.write_text(text)
    print(f"written to {written}; every measurement is in {run.out}")
    if opt.docs:
        report.into_docs(table, text)


if __name__ == "__main__":
    main()
