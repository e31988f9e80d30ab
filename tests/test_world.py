"""The product's sources against the stand-in world, over real sockets: well, and in every fault."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import SourceError
from core.market import recording
from core.market.demo import demo_tables
from core.market.files import FILES
from core.market.http import Http, Limits
from core.market.sources import BUDGETS, alternative_me, coinapi, coinglass, lunarcrush
from core.market.sources.venue import Venue
from core.market.symbols import Contract, unify
from tests.world import World
from tests.world.faults import FAULTS

END = datetime(2025, 11, 1, tzinfo=UTC)
DAYS = 16
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SUIUSDT"]
EXCHANGES = ("binance", "bybit", "okx")
# Nothing here waits long: a source that hangs is given up at once.
HASTY = Limits(
    connect=1, read=1, total=1.5, patience=1.5, attempts=1, open_seconds=0.05, longest_open=0.1,
    refused=0.05, budget_share=1.0,
)  # fmt: skip


def small(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Three symbols, and no candle that came late: a venue does not say when a candle came."""
    chosen = {
        name: table[table["symbol"].isin(SYMBOLS)] if "symbol" in table else table
        for name, table in tables.items()
    }
    candles = chosen["candles_1h"]
    closes = candles["open_at"] + pd.Timedelta(hours=1)
    return {**chosen, "candles_1h": candles.assign(published_at=closes)}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return small(demo_tables(days=DAYS, end=END))


@pytest.fixture(scope="module")
def world(tables: dict[str, pd.DataFrame]) -> Iterator[World]:
    with World(tables, lambda: END) as world:
        yield world


@pytest.fixture(autouse=True)
def healthy(world: World) -> Iterator[None]:
    yield
    for source in world.sources:
        world.heal(source)


# Faults are what is tried here, and they come faster than any budget allows.
AMPLE = {
    source: tuple(replace(budget, amount=1_000_000) for budget in budgets)
    for source, budgets in BUDGETS.items()
}


def ask(world: World, questions: Callable[[Http], Awaitable[object]]) -> object:
    async def scene() -> object:
        async with Http(AMPLE, HASTY, endpoints=world.endpoints, now=lambda: END) as http:
            return await questions(http)

    return asyncio.run(scene())  # type: ignore[arg-type]


async def contracts_of(http: Http, venue: str) -> list[Contract]:
    there = Venue(venue, http)
    listed, prices = {venue: await there.contracts()}, {venue: await there.prices()}
    return unify(listed, prices, (venue,))


async def rows_of(http: Http, venue: str, contract: Contract) -> dict[str, pd.DataFrame]:
    """Everything one exchange says of one market."""
    there = Venue(venue, http)
    since = END - timedelta(days=DAYS)
    return {
        "candles_1h": await there.candles(contract, since=since, until=END),
        "funding": await there.funding(contract, since=since),
        "open_interest": await there.open_interest(contract, count=500),
        "long_short": await there.long_short(contract, count=500),
    }


async def fetch(http: Http, venue: str) -> dict[str, pd.DataFrame]:
    """Everything of every market, from one exchange and the providers."""
    contracts = await contracts_of(http, venue)
    parts: dict[str, list[pd.DataFrame]] = {}
    for contract in contracts:
        for name, found in (await rows_of(http, venue, contract)).items():
            parts.setdefault(name, []).append(found)
        asked = await coinglass.fetch_liquidations(http, contract, key="key", count=1000)
        found = coinglass.parse_liquidations(asked.json, contract, asked.seen_at)
        parts.setdefault("liquidations_4h", []).append(found)
        number = 1 + SYMBOLS.index(contract.symbol)
        asked = await lunarcrush.fetch_social_history(http, key="key", coin_id=number)
        found = lunarcrush.parse_social_history(asked.json, contract, asked.seen_at)
        parts.setdefault("social", []).append(found)
    asked = await alternative_me.fetch_fear_greed(http, days=0)
    parts["fear_greed"] = [alternative_me.parse_fear_greed(asked.json, asked.seen_at)]
    return {name: pd.concat(found, ignore_index=True) for name, found in parts.items()}


def test_what_the_sources_say_is_bar_for_bar_the_recording_behind_them(
    world: World, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    fetched = ask(world, lambda http: fetch(http, "binance"))
    recording.write(tmp_path / "told", tables)
    recording.write(tmp_path / "heard", fetched)  # type: ignore[arg-type]
    told, heard = recording.load(tmp_path / "told"), recording.load(tmp_path / "heard")
    pd.testing.assert_frame_equal(heard, told, check_exact=False, rtol=1e-9)
    assert len(told) > 1_000
    assert told.notna().all(axis=1).mean() > 0.5


@pytest.mark.parametrize("venue", EXCHANGES)
def test_an_exchange_says_what_the_tables_hold(
    world: World, tables: dict[str, pd.DataFrame], venue: str
) -> None:
    async def questions(http: Http) -> dict[str, pd.DataFrame]:
        contracts = await contracts_of(http, venue)
        assert [contract.symbol for contract in contracts] == SYMBOLS
        return await rows_of(http, venue, contracts[2])

    heard = ask(world, questions)
    for name, found in heard.items():  # type: ignore[attr-defined]
        assert len(found) > 50, name
        hold_against(found, tables[name], name)


def hold_against(found: pd.DataFrame, table: pd.DataFrame, name: str) -> int:
    """Every value that was heard is the one that was told; how many there were."""
    source = FILES[name]
    keys = [*(("symbol",) if source.per_symbol else ()), source.times[0]]
    both = found.merge(table, on=keys, how="left", suffixes=("", "_told"), indicator=True)
    assert (both["_merge"] == "both").all(), f"{name}: a row that never was"
    compared = 0
    for column in (*source.numbers, *source.optional):
        if column in found and f"{column}_told" in both:
            heard = both[column].to_numpy(dtype=float)
            told = both[f"{column}_told"].to_numpy(dtype=float)
            known = ~np.isnan(heard)
            np.testing.assert_allclose(heard[known], told[known], rtol=1e-9, err_msg=column)
            compared += int(known.sum())
    return compared


async def ask_each(http: Http, venue: str, contract: Contract) -> dict[str, object]:
    """Rows or the error, table by table."""
    there, since = Venue(venue, http), END - timedelta(days=DAYS)
    calls = {
        "candles_1h": there.candles(contract, since=since, until=END),
        "funding": there.funding(contract, since=since),
        "open_interest": there.open_interest(contract, count=500),
        "long_short": there.long_short(contract, count=500),
    }
    answers = await asyncio.gather(*calls.values(), return_exceptions=True)
    return dict(zip(calls, answers, strict=True))


def contract_of(venue: str, symbol: str = "BTCUSDT") -> Contract:
    base = symbol.removesuffix("USDT")
    name = f"{base}-USDT-SWAP" if venue == "okx" else symbol
    return Contract(venue, name, base, "USDT", symbol=symbol, funding_hours=8.0)


def hold(answers: dict[str, object], tables: dict[str, pd.DataFrame]) -> tuple[int, list[str]]:
    """Whatever came is right and whatever failed is said; how many values, and the failures."""
    values, failures = 0, []
    for name, answer in answers.items():
        if isinstance(answer, pd.DataFrame):
            values += hold_against(answer, tables[name], name)
        else:
            assert isinstance(answer, SourceError), repr(answer)
            failures.append(str(answer))
    return values, failures


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("venue", EXCHANGES)
def test_no_fault_makes_a_wrong_number(
    world: World, tables: dict[str, pd.DataFrame], venue: str, fault: str
) -> None:
    async def questions(http: Http) -> dict[str, object]:
        return await ask_each(http, venue, contract_of(venue))

    with world.failing(venue, fault):
        answers = ask(world, questions)
    values, failures = hold(answers, tables)  # type: ignore[arg-type]
    if fault in ("newest_first", "duplicates", "strings", "future", "late", "nan"):
        assert values > 100, "what can be read is read"
    if fault in ("refuse", "hang", "reset", "429", "418", "500", "html", "truncated", "renamed"):
        assert failures, "the failure is said"
    assert all(venue in words for words in failures)
    ask(world, lambda http: recovered(http, tables, venue))


async def liquidations(http: Http) -> pd.DataFrame:
    contract = contract_of("binance")
    asked = await coinglass.fetch_liquidations(http, contract, key="key", count=1000)
    return coinglass.parse_liquidations(asked.json, contract, asked.seen_at)


async def social(http: Http) -> pd.DataFrame:
    asked = await lunarcrush.fetch_social_history(http, key="key", coin_id=1)
    return lunarcrush.parse_social_history(asked.json, contract_of("binance"), asked.seen_at)


async def fear_greed(http: Http) -> pd.DataFrame:
    asked = await alternative_me.fetch_fear_greed(http, days=0)
    return alternative_me.parse_fear_greed(asked.json, asked.seen_at)


async def spare_candles(http: Http) -> pd.DataFrame:
    contract = contract_of("binance")
    asked = await coinapi.fetch_symbols(http, "binance", key="key")
    (symbol_id,) = coinapi.parse_symbols(asked.json, [contract])
    asked = await coinapi.fetch_candles(http, symbol_id, key="key", count=100)
    return coinapi.parse_candles(asked.json, contract, asked.seen_at)


PROVIDERS = {
    "coinglass": liquidations,
    "lunarcrush": social,
    "alternative_me": fear_greed,
    "coinapi": spare_candles,
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_fault_of_a_provider_makes_a_wrong_number(world: World, provider: str) -> None:
    async def answer(http: Http) -> pd.DataFrame | SourceError:
        try:
            return await PROVIDERS[provider](http)
        except SourceError as error:
            return error

    told = ask(world, PROVIDERS[provider])
    assert isinstance(told, pd.DataFrame)
    assert len(told) >= DAYS - 1
    said = set()
    for fault in FAULTS:
        with world.failing(provider, fault):
            heard = ask(world, answer)
        if isinstance(heard, pd.DataFrame):
            hold_to_what_was_told(heard, told)
        else:
            assert provider in str(heard)
            said.add(fault)
    assert {"refuse", "hang", "reset", "429", "418", "500", "html", "truncated"} <= said


def hold_to_what_was_told(heard: pd.DataFrame, told: pd.DataFrame) -> None:
    """Every value that was heard is one that was told at the same time."""
    times = [name for name in told if isinstance(told[name].dtype, pd.DatetimeTZDtype)]
    heard = heard[heard[times[0]] >= told[times[0]].min()]  # one that is late says older things
    both = heard.merge(told, on=times, how="left", suffixes=("", "_told"))
    for name in heard.select_dtypes("number"):
        known = both[name].notna()
        np.testing.assert_allclose(both.loc[known, name], both.loc[known, f"{name}_told"])


async def recovered(http: Http, tables: dict[str, pd.DataFrame], *venues: str) -> float:
    """Seconds until every venue gives everything again; a minute is too long."""
    began = time.monotonic()
    for venue in venues:
        while True:
            values, failures = hold(await ask_each(http, venue, contract_of(venue)), tables)
            if values > 100 and not failures:
                break
            assert time.monotonic() - began < 60, failures
            await asyncio.sleep(0.05)
    return time.monotonic() - began


def three_at_random(
    world: World, tables: dict[str, pd.DataFrame], seed: int, seconds: float
) -> dict[str, int]:
    chance = random.Random(seed)
    counted = {"rounds": 0, "values": 0, "failures": 0}

    async def questions(http: Http) -> None:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            for venue in EXCHANGES:
                faults = chance.sample(FAULTS, 3)
                await asyncio.to_thread(world.fail, venue, *faults)
            answers = await asyncio.gather(
                *(ask_each(http, venue, contract_of(venue)) for venue in EXCHANGES)
            )
            for answer in answers:
                values, failures = hold(answer, tables)
                counted["values"] += values
                counted["failures"] += len(failures)
            for venue in EXCHANGES:
                await asyncio.to_thread(world.heal, venue)
            counted["rounds"] += 1
        counted["recovered_ms"] = round(1000 * await recovered(http, tables, *EXCHANGES))

    ask(world, questions)
    return counted


def test_three_faults_at_a_time_make_no_wrong_number(
    world: World, tables: dict[str, pd.DataFrame]
) -> None:
    counted = three_at_random(world, tables, seed=1, seconds=4)
    assert counted["failures"] > 0


@pytest.mark.long
def test_three_faults_at_a_time_for_ten_minutes(
    world: World, tables: dict[str, pd.DataFrame]
) -> None:
    seconds = float(os.environ.get("FAULT_SECONDS", "600"))
    counted = three_at_random(world, tables, seed=2, seconds=seconds)
    print(f"\n{seconds:g} s, three faults at a time: {counted}")  # noqa: T201 - the figures
    assert counted["values"] > 0


def test_a_key_is_needed_where_the_provider_wants_one(world: World) -> None:
    async def questions(http: Http) -> None:
        with pytest.raises(SourceError, match="coinglass"):
            await coinglass.fetch_open_interest(http, contract_of("binance"), key="", count=5)

    ask(world, questions)


def test_the_world_counts_what_it_is_asked(world: World) -> None:
    before = world.sources["binance"].requests

    async def questions(http: Http) -> None:
        await Venue("binance", http).prices()

    ask(world, questions)
    assert world.sources["binance"].requests == before + 1
    spent, allowed = world.sources["binance"].peaks()["weight"]
    assert 10 <= spent < allowed == 2400
