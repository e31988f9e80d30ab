"""`python -m core worker`: the live market, bar after bar, until it is stopped."""

from __future__ import annotations

import os
import signal

from core.commands.choosing import market_to_work_on
from core.commands.console import beside
from core.jobs.collecting import Collector
from core.jobs.live import LiveCollector
from core.jobs.passed_on import PassedOn
from core.jobs.streams import Streams, WithStreams
from core.market.choice import database_url
from core.market.sources import coinglass, key_of
from core.settings import load_settings
from core.store import open_store
from core.worker import Worker


def command() -> None:
    """Collect, decide and resolve every bar of the live market until stopped; several may run."""
    settings = load_settings()
    market = market_to_work_on(settings)
    engine = open_store(database_url(settings, market), market.key)
    with LiveCollector(settings) as sources:
        collector: Collector = sources
        key, passed_on = key_of(coinglass.SOURCE, settings), None
        if key is not None:
            # What the provider counts is whole; what streams say would be mixed with it.
            passed_on = PassedOn(sources.contracts, sources.prices, key)
        else:
            collector = WithStreams(sources, engine, sources.contracts)
        worker = Worker(engine, collector, settings=settings)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: worker.stop())
        if settings.model is not None:
            beside.print(f"Signals are put before {settings.model} too.", markup=False)
        beside.print(f"{worker.name} works on {', '.join(settings.exchanges)}.", markup=False)
        spool = settings.data_dir / "spool"
        with Streams(
            engine,
            sources.contracts,
            worker.name,
            spool,
            settings.endpoints,
            passed_on=passed_on,
        ):
            finished = worker.run()
        if not finished:
            # Threads that wait for a source may never end; others take their work up.
            os._exit(0)
    engine.dispose()
