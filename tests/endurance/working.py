"""Workers as processes of their own, on a market whose time passes fast.

As a program this is one of them: `python -m tests.endurance.working OPTIONS`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from tests.endurance.clocks import clock_as, options_of
from tests.live_market import ROOT, TablesCollector

HASTY = (
    "connect=1,read=1,total=1.5,patience=3,attempts=1,refused=0.5,open_seconds=0.5,longest_open=2"
)


@dataclass
class Working:
    """How workers are to be started; ``settings`` are those of the product.

    With ``folder`` what is collected lies there as Parquet files, else the sources at the endpoints
    of ``settings`` are asked. ``streams`` are the venues followed where there is a folder.
    ``hasty``: leases and patience are as short as the time of the market is.
    """

    url: str
    clock: Any
    settings: Mapping[str, str]
    spool: Path
    folder: Path | None = None
    streams: tuple[str, ...] = ()
    batches: int = 8
    hasty: bool = True
    tick_seconds: float = 0.1
    log: Path | None = None
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        options = {
            "url": self.url,
            "clock": options_of(self.clock),
            "settings": dict(self.settings),
            "spool": str(self.spool),
            "folder": str(self.folder or ""),
            "streams": list(self.streams),
            "batches": self.batches,
            "hasty": self.hasty,
            "tick_seconds": self.tick_seconds,
        }
        command = [sys.executable, "-m", "tests.endurance.working", json.dumps(options)]
        with (self.log or Path(os.devnull)).open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stderr=log)
        self.started.append(process)
        return process

    def running(self) -> list[subprocess.Popen[bytes]]:
        return [one for one in self.started if one.poll() is None]

    def kill(self) -> None:
        """All of them, as a power cut would."""
        for one in self.running():
            one.kill()
        for one in self.started:
            one.wait(20)


def end(worker: subprocess.Popen[bytes], seconds: float = 40) -> None:
    """Stop a worker as an operator would."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(seconds)


def live_settings(endpoints: Mapping[str, str], **more: str) -> dict[str, str]:
    """The live market at these addresses, with everything else as usual."""
    addresses = ",".join(f"{name}={url}" for name, url in endpoints.items())
    return {"CRYPTOSATX_MARKET": "live", "CRYPTOSATX_ENDPOINTS": addresses, **more}


def settings_of(endpoints: Mapping[str, str], **more: str) -> dict[str, str]:
    """The live market asked more often than venues allow, and given up sooner: its time is fast."""
    from core.market.sources import BUDGETS

    budgets = [f"{name}.{one.name}" for name, several in BUDGETS.items() for one in several]
    changes = {
        "CRYPTOSATX_BUDGETS": ",".join(f"{name}=1000000" for name in budgets),
        "CRYPTOSATX_LIMITS": HASTY,
    }
    return live_settings(endpoints, **changes, **more)


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """Tables where a worker with a ``folder`` finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    return folder


def hasten(change: Callable[[Any, str, Any], None] = setattr) -> None:
    """Whoever is killed every few seconds has to be missed as fast, and a dead socket too."""
    from core import worker
    from core.jobs import durable, live, streams
    from core.market.stream import sockets
    from core.market.stream.connection import Patience

    change(durable, "ALIVE", timedelta(seconds=2))
    change(worker, "BEAT_SECONDS", 0.4)
    change(streams, "HELD", timedelta(seconds=2))
    change(streams, "RENEW_SECONDS", 0.4)
    change(live, "LOOK_SECONDS", 2.0)
    soon = partial(Patience, ping_s=0.3, silent_s=1.5, first_wait_s=0.05, longest_wait_s=0.5)
    change(sockets, "Patience", soon)


def main(options: dict[str, Any]) -> None:
    from core.jobs.live import LiveCollector
    from core.jobs.streams import Streams, WithStreams
    from core.market.sources import key_of
    from core.settings import load_settings
    from core.store.database import open_database
    from core.worker import Worker, collect_garbage_seldom

    collect_garbage_seldom()
    if options["hasty"]:
        hasten()
    settings, clock = load_settings(options["settings"]), clock_as(options["clock"])
    engine = open_database(options["url"])
    with ExitStack() as stack:
        if options["folder"]:
            tables = {one.stem: pd.read_parquet(one) for one in Path(options["folder"]).iterdir()}
            contracts = contracts_of(tables, options["streams"])
            collector: Any = TablesCollector(tables)
        else:
            collector = stack.enter_context(LiveCollector(settings, clock))
            contracts = collector.contracts
            if key_of("coinglass", settings) is None:
                collector = WithStreams(collector, engine, contracts)
        worker = Worker(
            engine,
            collector,
            clock=clock,
            batches=options["batches"],
            tick_seconds=options["tick_seconds"],
            settings=settings,
        )
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: worker.stop())
        if contracts:
            spool, endpoints = Path(options["spool"]), settings.endpoints
            followed = Streams(engine, contracts, worker.name, spool, endpoints, clock)
            stack.enter_context(followed)
        worker.run()
    engine.dispose()


def contracts_of(tables: Mapping[str, pd.DataFrame], venues: list[str]) -> dict[str, Any]:
    """Every market of tables on every venue, by the venue's own names."""
    from core.market.symbols import Contract

    symbols = sorted(tables["candles_1h"]["symbol"].unique())
    found: dict[str, Any] = {}
    for venue in venues:
        found[venue] = {}
        for symbol in symbols:
            base = symbol.removesuffix("USDT")
            name = f"{base}-USDT-SWAP" if venue == "okx" else symbol
            size = 0.01 if venue == "okx" else 1.0
            found[venue][name] = Contract(venue, name, base, "USDT", size, symbol=symbol)
    return found


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
