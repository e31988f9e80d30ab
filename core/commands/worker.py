"""`python -m core worker`: the market's bars and what people ask for, until it is stopped."""

from __future__ import annotations

import logging
import os
import signal

from sqlalchemy import Engine

from core.accounts.home import open_accounts
from core.commands.choosing import market_to_work_on
from core.commands.console import beside
from core.commands.replay import fill
from core.errors import CryptoSatXError
from core.jobs.collecting import Collector
from core.jobs.live import LiveCollector
from core.jobs.passed_on import PassedOn
from core.jobs.streams import Streams, WithStreams
from core.market.choice import Market, database_url
from core.market.sources import coinglass, key_of
from core.observing.exposing import exposed
from core.observing.start import start_observing
from core.observing.stored import Databases, tell_of
from core.production import refuse_unless_safe
from core.settings import Settings, load_settings
from core.store import open_store
from core.worker import Worker, collect_garbage_seldom


def command() -> None:
    """Do the work of a market until stopped: its bars, and the backtests that are asked for.

    Of the live market collect, decide and resolve every bar; of another first work through its past.
    On PostgreSQL several may run.
    """
    settings = load_settings()
    start_observing(settings, "worker")
    refuse_unless_safe(settings)
    market = market_to_work_on(settings)
    engine = open_store(database_url(settings, market), market.key)
    accounts = engine if settings.database_url is not None else open_accounts(settings)
    tell_of(lambda: Databases(engine, accounts))
    if market.kind == "live":
        _follow(settings, engine)
    else:
        _serve(settings, market, engine)
    engine.dispose()


def _follow(settings: Settings, engine: Engine) -> None:
    with LiveCollector(settings) as sources:
        collector: Collector = sources
        key, passed_on = key_of(coinglass.SOURCE, settings), None
        if key is not None:
            # What the provider counts is whole; what streams say would be mixed with it.
            passed_on = PassedOn(sources.contracts, sources.prices, key)
        else:
            collector = WithStreams(sources, engine, sources.contracts)
        worker = _stoppable(Worker(engine, collector, settings=settings))
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
            _run(worker)


def _serve(settings: Settings, market: Market, engine: Engine) -> None:
    """A market that has ended: its past once, and then whatever is asked for."""
    try:
        fill(market, engine)
    except CryptoSatXError as error:
        # Its pages say so; another history can be worked on all the same.
        beside.print(f"{market.label} was not worked through: {error}", markup=False)
    worker = _stoppable(Worker(engine, None, market=market, settings=settings))
    beside.print(f"{worker.name} serves {market.label}.", markup=False)
    _run(worker)


def _stoppable(worker: Worker) -> Worker:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: worker.stop())
    return worker


def _run(worker: Worker) -> None:
    collect_garbage_seldom()
    settings = worker.settings or load_settings()
    with exposed(settings, worker.is_well):
        finished = worker.run()
    if not finished:
        # Threads that wait for a source may never end; others take their work up.
        logging.shutdown()
        os._exit(0)
