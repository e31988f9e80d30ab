"""Replies of venues and providers become rows of a recording, or are refused; nothing is guessed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingsError, SourceRefused, SourceReplyWrong
from core.market import files
from core.market.sources import (
    BUDGETS,
    KEYS,
    ORDER,
    alternative_me,
    binance,
    bybit,
    coinapi,
    coingecko,
    coinglass,
    followed,
    lunarcrush,
    okx,
    open_http,
    sources_in_use,
)
from core.market.sources.exchange import to_ms
from core.market.sources.funding import with_intervals
from core.market.sources.venue import Venue
from core.market.symbols import Contract, unify
from core.settings import ROOT, describe_settings, load_settings
from tests.listening import http_answer, run, serving

PAYLOADS = Path(__file__).resolve().parents[2] / "shared" / "payloads"
NOON = datetime(2025, 10, 10, 12, tzinfo=UTC)
MS = to_ms(NOON)
HOUR = 3_600_000
BTC = Contract("binance", "BTCUSDT", "BTC", "USDT", symbol="BTCUSDT")
PEPE = Contract("okx", "PEPE-USDT-SWAP", "PEPE", "USDT", symbol="1000PEPEUSDT", scale=1000)
OKX_BTC = Contract("okx", "BTC-USDT-SWAP", "BTC", "USDT", symbol="BTCUSDT")
BYBIT_BTC = Contract("bybit", "BTCUSDT", "BTC", "USDT", funding_hours=8, symbol="BTCUSDT")


def payload(name: str) -> Any:
    path = PAYLOADS / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip(f"the recorded reply {name} is not here")
    return json.loads(path.read_text(encoding="utf-8"))


def fits(table: pd.DataFrame, source: files.Source) -> pd.DataFrame:
    """The table, after checking that a recording can hold it."""
    files.to_rows(pa.Table.from_pandas(table, preserve_index=False), source)
    return table


def kline(hours_ago: int, close: object = "101.5", **changes: object) -> list[object]:
    """A Binance candle that opened some hours before noon."""
    values = {"open": "100", "high": "102", "low": "99.5", "close": close, "volume": "7"} | changes
    opened = MS - hours_ago * HOUR
    return [opened, *values.values(), opened + HOUR - 1, "705.25", 3, "1", "1", "0"]


def candles(*klines: list[object], seen_at: datetime = NOON) -> pd.DataFrame:
    return fits(binance.parse_candles(list(klines), BTC, seen_at), files.CANDLES)


def test_a_candle_becomes_a_row_published_at_its_close() -> None:
    row = candles(kline(1)).iloc[0]
    assert (row.symbol, row.venue) == ("BTCUSDT", "binance")
    assert (row.open_at, row.published_at) == (NOON - timedelta(hours=1), NOON)
    assert (row.open, row.high, row.low, row.close) == (100, 102, 99.5, 101.5)
    assert (row.volume, row.quote_volume) == (7, 705.25)


def test_the_order_of_a_reply_and_its_duplicates_do_not_matter() -> None:
    oldest_first = candles(kline(3), kline(2), kline(1))
    newest_first = candles(kline(1), kline(2), kline(2), kline(3))
    pd.testing.assert_frame_equal(oldest_first, newest_first)
    assert oldest_first["open_at"].is_monotonic_increasing


def remarks(table: pd.DataFrame) -> str:
    return "; ".join(table.attrs.get("remarks", ()))


@pytest.mark.parametrize(
    ("klines", "said"),
    [
        ([kline(3), kline(2), kline(1), kline(0)], ""),
        ([kline(1), kline(2)], "rows in another order than usual"),
        ([kline(2), kline(2), kline(1)], "rows that came twice or contradict each other: 1"),
        ([kline(2), kline(1, "n/a")], "1 of 2 rows left out: nothing readable in close"),
        ([kline(1), kline(-48)], "1 of 2 rows left out: from the future"),
        ([[*kline(1)[:7], "?", *kline(1)[8:]]], "rows without a readable quote_volume: 1"),
    ],
)
def test_what_is_left_out_or_mended_is_said(klines: list[list[object]], said: str) -> None:
    assert remarks(candles(*klines)) == said


def test_a_share_that_came_with_two_values_is_unknown_and_said() -> None:
    ratios = [{"timestamp": MS - HOUR * hours, "longAccount": "0.6"} for hours in (2, 1)]
    told = [*ratios, {**ratios[1], "longAccount": "0.7"}]
    table = binance.parse_long_short({"long_account_share": told}, BTC, NOON)
    assert table["published_at"].tolist() == [NOON - timedelta(hours=2)]
    assert "contradict each other: 1" in remarks(table)


def test_no_rate_between_settlements_is_nothing_odd() -> None:
    nothing = {"rates": [], "intervals": []}
    assert remarks(binance.parse_all_funding(nothing, {"BTCUSDT": BTC}, NOON)) == ""
    assert "no rows at all" in remarks(binance.parse_funding(nothing, {"BTCUSDT": BTC}, NOON))


def test_a_bar_counts_once_its_close_has_passed_wherever_it_stands() -> None:
    assert len(candles(kline(0), kline(1), kline(2))) == 2
    assert len(candles(kline(2), kline(1), kline(0))) == 2
    early = NOON - timedelta(milliseconds=1)
    assert len(candles(kline(0), kline(1), kline(2), seen_at=early)) == 1
    assert len(candles(kline(1), kline(2), kline(3))) == 3


def test_candles_of_the_future_are_refused() -> None:
    assert len(candles(kline(-5), kline(1))) == 1


def test_two_candles_of_one_hour_that_contradict_each_other_are_both_left_out() -> None:
    assert len(candles(kline(2), kline(1, "101"), kline(1, "100.5"))) == 1


@pytest.mark.parametrize(
    "close",
    ["NaN", math.nan, math.inf, "Infinity", "-5", -5, 0, None, "", "abc", True, [1], "1e999"],
)
def test_a_price_that_is_no_price_takes_its_row_along(close: object) -> None:
    found = candles(kline(2), kline(1, close))
    assert list(found["close"]) == [101.5]


def test_a_candle_whose_close_lies_outside_its_range_is_left_out() -> None:
    assert len(candles(kline(2), kline(1, high="101"))) == 1


def test_a_candle_that_does_not_open_on_the_hour_is_left_out() -> None:
    odd = kline(1)
    odd[0] = MS - HOUR // 2
    assert len(candles(kline(2), odd)) == 1


def test_a_quote_volume_that_cannot_be_read_is_unknown_and_the_bar_stays() -> None:
    odd = kline(1)
    odd[7] = "NaN"
    assert math.isnan(candles(odd)["quote_volume"].iloc[0])


@pytest.mark.parametrize("reply", [[], {}, None, "x", [[MS]], [None], [{"openTime": MS}]])
def test_a_reply_of_another_shape_is_refused(reply: object) -> None:
    with pytest.raises(SourceReplyWrong, match="binance"):
        binance.parse_candles(reply, BTC, NOON)


def test_a_reply_in_which_nothing_can_be_read_names_the_field() -> None:
    with pytest.raises(SourceReplyWrong, match="close"):
        candles(kline(1, "NaN"), kline(2, "NaN"))


def test_a_renamed_field_is_refused_by_name() -> None:
    rates = [{"symbol": "BTCUSDT", "fundingTime": MS, "rate": "0.0001"}]
    with pytest.raises(SourceReplyWrong, match="fundingRate"):
        funding(rates)


def funding(
    rates: list[dict[str, Any]], intervals: list[dict[str, Any]] | None = None, **seen: Any
) -> pd.DataFrame:
    raw = {"rates": rates, "intervals": intervals or []}
    found = binance.parse_funding(raw, {"BTCUSDT": BTC}, seen.get("seen_at", NOON))
    return fits(found, files.FUNDING)


def rate(hours_ago: float, value: str = "0.0001", symbol: str = "BTCUSDT") -> dict[str, Any]:
    return {"symbol": symbol, "fundingTime": MS - int(hours_ago * HOUR) + 9, "fundingRate": value}


def test_funding_is_a_fraction_with_the_interval_the_market_has_now() -> None:
    assert funding([rate(1)])["interval_hours"].item() == 8
    hourly = [{"symbol": "BTCUSDT", "fundingIntervalHours": 1}]
    row = funding([rate(1, "-0.00012")], hourly).iloc[0]
    assert (row.funding_rate, row.interval_hours) == (-0.00012, 1)


def test_an_interval_that_changed_is_told_by_the_settlements() -> None:
    four = [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}]
    found = funding([rate(h) for h in (1, 5, 13, 21)], four)
    assert list(found["interval_hours"]) == [8, 8, 8, 4]


@pytest.mark.parametrize("now", [4, 8])
def test_a_missing_settlement_does_not_make_the_interval_longer(now: int) -> None:
    listed = [{"symbol": "BTCUSDT", "fundingIntervalHours": now}]
    found = funding([rate(h) for h in (1, 5, 13, 17, 21)], listed)
    assert set(found["interval_hours"]) == {4}


def test_where_nobody_says_the_interval_the_rate_waits_for_the_next() -> None:
    def hours(*times: int) -> list[object]:
        rates = [{"symbol": "BTCUSDT", "known_ms": MS + hour * HOUR} for hour in times]
        return [one["interval_hours"] for one in with_intervals(rates, {})]

    assert hours(0, 4, 8, 16) == [4, 4, 4, None]
    assert hours(0, 4, 8, 16, 20) == [4, 4, 4, 4, 4]
    assert hours(0, 4, 8, 16, 24) == [4, 4, 4, 8, 8]
    assert hours(0) == [None]


def test_a_settlement_of_the_future_is_no_settlement() -> None:
    assert len(funding([rate(-0.5), rate(8)])) == 1


def test_funding_of_other_markets_is_not_taken() -> None:
    assert funding([rate(1, symbol="BTCUSD_PERP")]).empty


def test_a_funding_rate_is_never_above_100_percent() -> None:
    assert len(funding([rate(1, "1.5"), rate(9)])) == 1


def test_recorded_funding_of_a_4_hour_market_says_so() -> None:
    raw = {"rates": payload("binance_funding_rate_4h_symbol.json"), "intervals": []}
    hype = Contract("binance", "HYPEUSDT", "HYPE", "USDT", symbol="HYPEUSDT")
    found = fits(binance.parse_funding(raw, {"HYPEUSDT": hype}, NOW_OF_PAYLOADS), files.FUNDING)
    assert len(found) == len(raw["rates"])
    assert set(found["interval_hours"]) == {4}


def test_recorded_funding_of_an_8_hour_market_says_so() -> None:
    raw = {"rates": payload("binance_funding_rate.json"), "intervals": []}
    found = binance.parse_funding(raw, {"BTCUSDT": BTC}, NOW_OF_PAYLOADS)
    assert set(found["interval_hours"]) == {8}
    assert found["funding_rate"].abs().max() < 0.001


NOW_OF_PAYLOADS = datetime(2026, 8, 1, tzinfo=UTC)


def test_recorded_open_interest_is_in_usd_and_in_base_units() -> None:
    raw = payload("binance_open_interest_hist.json")
    found = fits(binance.parse_open_interest(raw, BTC, NOW_OF_PAYLOADS), files.OPEN_INTEREST)
    price = found["open_interest_usd"] / found["open_interest"]
    assert len(found) == len(raw)
    assert price.between(500, 800).all()


def test_recorded_account_shares_are_shares() -> None:
    accounts = payload("binance_global_long_short.json")
    found = binance.parse_long_short({"long_account_share": accounts}, BTC, NOW_OF_PAYLOADS)
    found = fits(found, files.LONG_SHORT)
    assert len(found) == len(accounts)
    assert found["long_account_share"].iloc[0] == 0.7263
    assert found["top_position_long_share"].isna().all()


def test_top_traders_stand_beside_the_accounts_of_their_time_only() -> None:
    def share(hours_ago: int, value: str) -> dict[str, Any]:
        return {"symbol": "BTCUSDT", "longAccount": value, "timestamp": MS - hours_ago * HOUR}

    raw = {
        "long_account_share": [share(2, "0.6"), share(1, "0.61")],
        "top_account_long_share": [share(1, "0.7")],
        "top_position_long_share": [share(3, "0.5"), share(2, "0.55")],
    }
    found = fits(binance.parse_long_short(raw, BTC, NOON), files.LONG_SHORT)
    assert found["top_account_long_share"].tolist() == pytest.approx([math.nan, 0.7], nan_ok=True)
    assert found["top_position_long_share"].tolist() == pytest.approx([0.55, math.nan], nan_ok=True)


def test_recorded_daily_klines_are_read_field_by_field() -> None:
    raw = payload("binance_klines_1d.json")
    found = binance.parse_candles(raw, BTC, NOW_OF_PAYLOADS)
    assert found["close"].iloc[0] == 643.53
    assert found["quote_volume"].iloc[0] == 80_930_592.70051


def test_bybit_sends_the_newest_first_and_turnover_in_quote() -> None:
    listed = [[str(MS - h * HOUR), "100", "102", "99", "101", "5", "505"] for h in (0, 1, 2)]
    raw = {"retCode": 0, "result": {"list": listed}}
    found = fits(bybit.parse_candles(raw, BYBIT_BTC, NOON), files.CANDLES)
    assert list(found["open_at"]) == [NOON - timedelta(hours=2), NOON - timedelta(hours=1)]
    assert found["quote_volume"].iloc[0] == 505


def test_bybit_open_interest_of_all_markets_comes_from_one_reply() -> None:
    one = {"symbol": "BTCUSDT", "openInterest": "10", "openInterestValue": "1000000"}
    raw = {"time": MS + 300, "result": {"list": [one, {**one, "symbol": "OTHERUSDT"}]}}
    found = bybit.parse_all_open_interest(raw, {"BTCUSDT": BYBIT_BTC}, NOON)
    row = fits(found, files.OPEN_INTEREST).iloc[0]
    assert (len(found), row.open_interest_usd, row.open_interest) == (1, 1_000_000, 10)
    assert row.published_at == NOON


def test_bybit_states_the_funding_interval_in_minutes() -> None:
    one = {
        "symbol": "BTCUSDT",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "fundingInterval": 240,
    }
    (contract,) = bybit.parse_contracts({"result": {"list": [one]}})
    assert contract.funding_hours == 4


def test_okx_counts_pepe_alone_and_this_product_a_thousand_of_it() -> None:
    row = [str(MS - HOUR), "0.00001", "0.000012", "0.000009", "0.000011", "3", "30000", "0.3", "1"]
    found = fits(okx.parse_candles({"0": {"data": [row]}}, PEPE, NOON), files.CANDLES).iloc[0]
    assert found.symbol == "1000PEPEUSDT"
    assert found.close == pytest.approx(0.011)
    assert found.volume == pytest.approx(30)
    assert found.quote_volume == pytest.approx(0.3)


def test_okx_bars_count_once_they_are_confirmed() -> None:
    row = [str(MS - HOUR), "1", "1", "1", "1", "1", "1", "1"]
    raw = {"0": {"data": [[*row, "0"]]}}
    assert okx.parse_candles(raw, OKX_BTC, NOON).empty


def test_okx_ratios_become_shares() -> None:
    raw = {
        "long_account_share": {"data": [[str(MS), "3"], [str(MS - HOUR), "1"]]},
        "top_position_long_share": {"data": [[str(MS), "0.25"]]},
    }
    found = fits(okx.parse_long_short(raw, OKX_BTC, NOON), files.LONG_SHORT)
    assert list(found["long_account_share"]) == [0.5, 0.75]
    assert found["top_position_long_share"].iloc[1] == pytest.approx(0.2)


def test_okx_funding_is_the_settled_rate() -> None:
    def settled(hours_ago: int) -> dict[str, str]:
        rates = {"fundingRate": "0.9", "realizedRate": "0.0002"}
        return {"instId": "BTC-USDT-SWAP", "fundingTime": str(MS - hours_ago * HOUR), **rates}

    raw = {"data": [settled(0), settled(4), settled(8)]}
    found = fits(okx.parse_funding(raw, {"BTC-USDT-SWAP": OKX_BTC}, NOON), files.FUNDING)
    assert set(found["funding_rate"]) == {0.0002}
    assert set(found["interval_hours"]) == {4}


def test_okx_open_interest_is_in_coins_and_not_in_contracts() -> None:
    one = {
        "instId": "PEPE-USDT-SWAP",
        "oi": "7",
        "oiCcy": "70000000",
        "oiUsd": "700",
        "ts": str(MS),
    }
    found = okx.parse_all_open_interest({"data": [one]}, {"PEPE-USDT-SWAP": PEPE}, NOON)
    row = fits(found, files.OPEN_INTEREST).iloc[0]
    assert (row.open_interest, row.open_interest_usd) == (70_000, 700)


def test_one_ticker_for_two_coins_is_told_by_the_price() -> None:
    ours = Contract("binance", "HYPEUSDT", "HYPE", "USDT")
    other = Contract("okx", "HYPE-USDT-SWAP", "HYPE", "USDT")
    hyper = Contract("bybit", "HYPERUSDT", "HYPER", "USDT")
    listed = {"binance": [ours], "okx": [other], "bybit": [hyper]}
    order = ("binance", "bybit", "okx")
    prices = {"binance": {"HYPEUSDT": 38.2}, "bybit": {"HYPERUSDT": 0.3}}
    far = unify(listed, prices | {"okx": {"HYPE-USDT-SWAP": 0.021}}, order)
    near = unify(listed, prices | {"okx": {"HYPE-USDT-SWAP": 38.3}}, order)
    assert {(one.venue, one.symbol) for one in far} == {
        ("binance", "HYPEUSDT"),
        ("bybit", "HYPERUSDT"),
    }
    assert ("okx", "HYPEUSDT") in [(one.venue, one.symbol) for one in near]


def test_a_contract_without_a_price_is_not_taken_for_another() -> None:
    listed = {"binance": [BTC], "okx": [OKX_BTC]}
    assert len(unify(listed, {"binance": {"BTCUSDT": 1.0}}, ("binance", "okx"))) == 1


def test_fear_and_greed_is_known_some_minutes_into_its_day() -> None:
    day = datetime(2025, 10, 10, tzinfo=UTC)
    raw = {"data": [{"value": "64", "timestamp": str(int(day.timestamp()))}]}
    found = fits(alternative_me.parse_fear_greed(raw, NOON), files.FEAR_GREED)
    assert found["published_at"].item() == day + timedelta(minutes=5)
    assert alternative_me.parse_fear_greed(raw, day + timedelta(minutes=4)).empty


def test_recorded_fear_and_greed_is_read_whole_and_oldest_first() -> None:
    raw = payload("alternative_me_fng.json")
    found = alternative_me.parse_fear_greed(raw, NOW_OF_PAYLOADS)
    assert len(found) == len(raw["data"])
    assert found["fear_greed"].iloc[-1] == 12
    assert found["published_at"].is_monotonic_increasing


def test_coinglass_totals_are_known_at_the_end_of_their_hour() -> None:
    rows = [
        {"time": MS - h * HOUR, "long_liquidation_usd": "10.5", "short_liquidation_usd": 3}
        for h in (0, 1)
    ]
    found = coinglass.parse_liquidations({"code": 0, "data": rows}, BTC, NOON)
    row = fits(found, files.LIQUIDATIONS).iloc[0]
    assert (len(found), row.venue, row.published_at) == (1, "binance", NOON)
    assert (row.long_liquidations_usd, row.short_liquidations_usd) == (10.5, 3)


def test_coinglass_percent_becomes_a_share() -> None:
    raw = {
        name: {"data": [{"time": MS - HOUR, field: 73.88}]}
        for name, (_, field) in coinglass._LONG_SHORT.items()
    }
    found = fits(coinglass.parse_long_short(raw, BTC, NOON), files.LONG_SHORT)
    assert found["long_account_share"].item() == pytest.approx(0.7388)


def test_every_coinglass_path_and_field_is_in_its_documentation() -> None:
    documented = {one["path"]: one for one in payload("coinglass_endpoints.json")}
    used = {f"{path}/history": [field] for path, field in coinglass._LONG_SHORT.values()}
    used["liquidation/history"] = ["long_liquidation_usd", "short_liquidation_usd"]
    used["open-interest/history"] = ["close"]
    for path, fields in used.items():
        sample = documented[f"/api/futures/{path}"]["sample"]["data"][0]
        assert set(fields) | {"time"} <= set(sample)


@pytest.mark.parametrize("code", ["0", 0])
def test_coinglass_says_success_as_text_or_number(code: object) -> None:
    coinglass._check({"code": code, "data": []})


def test_coinglass_says_what_is_wrong_inside_a_success() -> None:
    with pytest.raises(SourceReplyWrong, match="symbol is wrong"):
        coinglass._check({"code": "400", "msg": "symbol is wrong"})
    with pytest.raises(SourceRefused):
        coinglass._check({"code": "429", "msg": "Too Many Requests"})


def social(*coins: dict[str, Any]) -> pd.DataFrame:
    raw = {"config": {"generated": MS // 1000 - 60}, "data": list(coins)}
    hype = Contract("binance", "HYPEUSDT", "HYPE", "USDT", symbol="HYPEUSDT")
    pepe = Contract("binance", "1000PEPEUSDT", "1000PEPE", "USDT", symbol="1000PEPEUSDT")
    prices = {"HYPEUSDT": 38.2, "1000PEPEUSDT": 0.0111}
    return fits(lunarcrush.parse_social(raw, [hype, pepe], prices, NOON), files.SOCIAL)


def test_a_social_score_belongs_to_the_coin_with_the_price_of_the_market() -> None:
    found = social(
        {"symbol": "HYPE", "price": 0.02, "galaxy_score": 11},
        {"symbol": "HYPE", "price": 38.0, "galaxy_score": 70.5},
        {"symbol": "PEPE", "price": 0.0000111, "galaxy_score": 55},
    ).set_index("symbol")
    assert found.loc["HYPEUSDT", "social_score"] == 70.5
    assert found.loc["1000PEPEUSDT", "social_score"] == 55
    assert set(found["published_at"]) == {NOON - timedelta(seconds=60)}


def test_two_coins_of_one_ticker_and_price_are_both_left_out() -> None:
    one = {"symbol": "HYPE", "price": 38.0, "galaxy_score": 70}
    assert social(one, {**one, "galaxy_score": 20}).empty


def test_the_documented_list_of_lunarcrush_is_read() -> None:
    raw = payload("lunarcrush_coins_list_v2.json")
    price = {"BTCUSDT": raw["data"][0]["price"]}
    found = lunarcrush.parse_social(raw, [BTC], price, NOW_OF_PAYLOADS)
    assert found["social_score"].item() == 67.6


def test_the_documented_history_of_lunarcrush_is_known_at_the_end_of_each_hour() -> None:
    raw = payload("lunarcrush_coins_2_time_series_v2.json")
    found = fits(lunarcrush.parse_social_history(raw, BTC, NOW_OF_PAYLOADS), files.SOCIAL)
    assert found["social_score"].iloc[0] == 64
    assert to_ms(found["published_at"].iloc[0]) == raw["data"][0]["time"] * 1000 + HOUR


def test_coinapi_sends_the_newest_first_with_seven_decimals() -> None:
    def bar(hour: int) -> dict[str, Any]:
        prices = {f"price_{name}": 100.0 for name in ("open", "high", "low", "close")}
        start = f"2025-10-10T{hour:02}:00:00.0000000Z"
        return {"time_period_start": start, **prices, "volume_traded": 2}

    found = fits(coinapi.parse_candles([bar(12), bar(11), bar(10)], BTC, NOON), files.CANDLES)
    assert list(found["published_at"]) == [NOON - timedelta(hours=1), NOON]
    assert found["quote_volume"].isna().all()


def test_coinapi_symbols_are_placed_by_the_name_the_venue_gives() -> None:
    raw = [
        {"symbol_id": "A", "symbol_type": "PERPETUAL", "symbol_id_exchange": "BTCUSDT"},
        {"symbol_id": "B", "symbol_type": "SPOT", "symbol_id_exchange": "BTCUSDT"},
    ]
    assert coinapi.parse_symbols(raw, [BTC]) == {"A": BTC}


def test_coins_are_placed_by_ticker_and_price() -> None:
    def coin(name: str, price: float) -> dict[str, Any]:
        fields = {"id": name, "symbol": "btc", "name": name, "market_cap": 1, "market_cap_rank": 1}
        return {**fields, "current_price": price}

    coins = coingecko.parse_coins([coin("bitcoin", 114_000), coin("bit-cat", 0.1)])
    found = coingecko.match_coins(coins, [BTC], {"BTCUSDT": 114_100})
    assert found["coin_id"].to_dict() == {"BTCUSDT": "bitcoin"}
    assert coingecko.match_coins(coins, [BTC], {}).empty


def test_every_table_has_an_order_and_every_source_a_budget() -> None:
    tables = {"candles_1h_universe" if name == "candles_1h" else name for name in ORDER}
    assert tables == set(files.FILES) - {"candles_1h"}
    for names in ORDER.values():
        assert set(names) <= set(BUDGETS)


def test_the_stream_of_a_provider_is_followed_with_its_key_only() -> None:
    assert followed(load_settings({"CRYPTOSATX_EXCHANGES": "okx"})) == ("okx",)
    with_key = load_settings({"CRYPTOSATX_EXCHANGES": "okx", "COINGLASS_API_KEY": "key"})
    assert followed(with_key) == ("okx", "coinglass")


def test_a_source_that_needs_a_key_is_used_with_one_only() -> None:
    keyless = sources_in_use(load_settings({"CRYPTOSATX_EXCHANGES": "okx, binance"}))
    assert keyless == ("okx", "binance", "alternative_me", "coingecko")
    keyed = sources_in_use(load_settings({"COINGLASS_API_KEY": "k"}))
    assert set(keyed) & set(KEYS) == {"coinglass"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRYPTOSATX_LIMITS", "patients=3"),
        ("CRYPTOSATX_LIMITS", "total=soon"),
        ("CRYPTOSATX_LIMITS", "attempts=0"),
        ("CRYPTOSATX_LIMITS", "budget_share=2"),
        ("CRYPTOSATX_BUDGETS", "coinglass.calls=3"),
        ("CRYPTOSATX_ENDPOINTS", "bitmex=http://127.0.0.1"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        open_http(load_settings({name: value}))


def test_naming_the_sources_does_not_import_every_exchange_there_is() -> None:
    code = "import sys, core.market.sources.venue; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_keys_are_never_shown() -> None:
    chosen = load_settings({"COINGLASS_API_KEY": "very-hidden"})
    shown = {one.name: one.value for one in describe_settings(chosen)}
    assert "very-hidden" not in repr(shown) + repr(chosen)
    assert shown["LUNARCRUSH_API_KEY"] == "not set"


def test_limits_and_budgets_are_settings() -> None:
    chosen = load_settings(
        {
            "CRYPTOSATX_LIMITS": "total=2.5, attempts=1",
            "CRYPTOSATX_BUDGETS": "binance.weight=1000",
        }
    )
    http = open_http(chosen)
    assert (http.limits.total, http.limits.attempts) == (2.5, 1)
    assert http.state("binance").budgets[0].published == 1000


Use = Callable[[Venue], Any]
SINCE = NOON - timedelta(hours=2)


@pytest.mark.parametrize(
    ("venue", "use", "paths"),
    [
        ("binance", lambda v: v.contracts(), ["/fapi/v1/exchangeInfo"]),
        ("binance", lambda v: v.prices(), ["/fapi/v1/premiumIndex"]),
        ("binance", lambda v: v.time(), ["/fapi/v1/time"]),
        ("binance", lambda v: v.candles(BTC, since=SINCE, until=NOON), ["/fapi/v1/klines"]),
        (
            "binance",
            lambda v: v.all_funding({}, since=SINCE),
            ["/fapi/v1/fundingInfo", "/fapi/v1/fundingRate"],
        ),
        ("binance", lambda v: v.open_interest(BTC, count=2), ["/futures/data/openInterestHist"]),
        (
            "binance",
            lambda v: v.long_short(BTC, count=2),
            [
                "/futures/data/globalLongShortAccountRatio",
                "/futures/data/topLongShortAccountRatio",
                "/futures/data/topLongShortPositionRatio",
            ],
        ),
        ("bybit", lambda v: v.contracts(), ["/v5/market/instruments-info"]),
        ("bybit", lambda v: v.all_open_interest({}), ["/v5/market/tickers"]),
        ("bybit", lambda v: v.candles(BTC, since=SINCE, until=NOON), ["/v5/market/kline"]),
        ("bybit", lambda v: v.funding(BTC, since=SINCE), ["/v5/market/funding/history"]),
        ("bybit", lambda v: v.open_interest(BTC, count=2), ["/v5/market/open-interest"]),
        ("bybit", lambda v: v.long_short(BTC, count=2), ["/v5/market/account-ratio"]),
        ("okx", lambda v: v.contracts(), ["/api/v5/public/instruments"]),
        ("okx", lambda v: v.prices(), ["/api/v5/public/mark-price"]),
        ("okx", lambda v: v.candles(OKX_BTC, since=SINCE, until=NOON), ["/api/v5/market/candles"]),
        ("okx", lambda v: v.funding(OKX_BTC, since=SINCE), ["/api/v5/public/funding-rate-history"]),
        ("okx", lambda v: v.all_open_interest({}), ["/api/v5/public/open-interest"]),
        (
            "okx",
            lambda v: v.long_short(OKX_BTC, count=2),
            [
                "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract",
                "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract-top-trader",
                "/api/v5/rubik/stat/contracts/long-short-position-ratio-contract-top-trader",
            ],
        ),
    ],
)
def test_a_venue_is_asked_at_its_own_addresses_and_an_empty_object_is_no_answer(
    venue: str, use: Use, paths: list[str]
) -> None:
    async def test() -> None:
        async with serving(http_answer("{}")) as server:
            chosen = load_settings(
                {"CRYPTOSATX_ENDPOINTS": f"{venue}={server.url}", "CRYPTOSATX_LIMITS": "attempts=1"}
            )
            async with open_http(chosen, now=lambda: NOON) as http:
                with pytest.raises(SourceReplyWrong, match=venue):
                    await use(Venue(venue, http))
                asked = {request.split()[1].split("?")[0] for request in server.requests}
                assert sorted(asked) == paths
                state = http.state(venue)
                assert not state.healthy
                assert set(state.troubles) <= set(paths)

    run(test)


def test_candles_come_over_the_network_as_rows() -> None:
    async def test() -> None:
        body = json.dumps([kline(2), kline(1), kline(0)])
        async with serving(http_answer(body)) as server:
            chosen = load_settings({"CRYPTOSATX_ENDPOINTS": f"binance={server.url}"})
            async with open_http(chosen, now=lambda: NOON) as http:
                found = await Venue("binance", http).candles(BTC, since=SINCE, until=NOON)
                assert len(found) == 2
                assert "symbol=BTCUSDT&interval=1h" in server.requests[0]
                used = {use.name: use.used for use in http.state("binance").budgets}
                assert used == {"weight": 1, "funding": 0, "statistics": 0}

    run(test)


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("okx", '{"code": "50011", "msg": "Too Many Requests", "data": []}'),
        ("bybit", '{"retCode": 10006, "retMsg": "Too many visits!", "result": {}}'),
        ("binance", '{"code": -1003, "msg": "Too many requests"}'),
    ],
)
def test_a_refusal_inside_a_success_stops_further_requests(venue: str, body: str) -> None:
    async def test() -> None:
        async with serving(http_answer(body)) as server:
            chosen = load_settings({"CRYPTOSATX_ENDPOINTS": f"{venue}={server.url}"})
            async with open_http(chosen) as http:
                for _ in range(3):
                    with pytest.raises(SourceRefused):
                        await Venue(venue, http).prices()
                assert len(server.requests) == 1

    run(test)


def test_older_pages_of_okx_are_asked_for_until_the_beginning() -> None:
    def page(first: int, last: int) -> bytes:
        data = [[str(MS - h * HOUR), *["1"] * 8] for h in range(first, last)]
        return http_answer(json.dumps({"code": "0", "data": data}))

    async def test() -> None:
        async with serving(page(1, 4), page(4, 7), page(7, 9)) as server:
            chosen = load_settings({"CRYPTOSATX_ENDPOINTS": f"okx={server.url}"})
            async with open_http(chosen, now=lambda: NOON) as http:
                since = NOON - timedelta(hours=8)
                found = await Venue("okx", http).candles(OKX_BTC, since=since, until=NOON)
                assert len(found) == 8
                assert f"after={MS - 3 * HOUR}" in server.requests[1]

    run(test)


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_GOOD: dict[str, tuple[files.Source, Callable[[Any], pd.DataFrame], Any]] = {
    "binance candles": (
        files.CANDLES,
        lambda raw: binance.parse_candles(raw, BTC, NOON),
        [kline(2), kline(1)],
    ),
    "binance funding": (
        files.FUNDING,
        lambda raw: binance.parse_funding(raw, {"BTCUSDT": BTC}, NOON),
        {"rates": [rate(8), rate(0.5)], "intervals": [{"symbol": "A", "fundingIntervalHours": 4}]},
    ),
    "bybit open interest": (
        files.OPEN_INTEREST,
        lambda raw: bybit.parse_all_open_interest(raw, {"BTCUSDT": BYBIT_BTC}, NOON),
        {
            "time": MS,
            "result": {
                "list": [{"symbol": "BTCUSDT", "openInterest": "1", "openInterestValue": "9"}]
            },
        },
    ),
    "okx candles": (
        files.CANDLES,
        lambda raw: okx.parse_candles({"0": raw}, OKX_BTC, NOON),
        {"data": [[str(MS - HOUR), *["1"] * 8]]},
    ),
    "okx open interest": (
        files.OPEN_INTEREST,
        lambda raw: okx.parse_all_open_interest(raw, {"BTC-USDT-SWAP": OKX_BTC}, NOON),
        {"data": [{"instId": "BTC-USDT-SWAP", "oiCcy": "1", "oiUsd": "9", "ts": str(MS)}]},
    ),
    "okx shares": (
        files.LONG_SHORT,
        lambda raw: okx.parse_long_short({"long_account_share": raw}, OKX_BTC, NOON),
        {"data": [[str(MS), "3"]]},
    ),
    "fear and greed": (
        files.FEAR_GREED,
        lambda raw: alternative_me.parse_fear_greed(raw, NOON),
        {"data": [{"value": "64", "timestamp": str(MS // 1000 - 86_400)}]},
    ),
    "social": (
        files.SOCIAL,
        lambda raw: lunarcrush.parse_social(raw, [BTC], {"BTCUSDT": 9.0}, NOON),
        {
            "config": {"generated": MS // 1000},
            "data": [{"symbol": "BTC", "price": 9, "galaxy_score": 50}],
        },
    ),
    "coinglass": (
        files.LIQUIDATIONS,
        lambda raw: coinglass.parse_liquidations(raw, BTC, NOON),
        {"data": [{"time": MS - HOUR, "long_liquidation_usd": "1", "short_liquidation_usd": 2}]},
    ),
    "coinapi": (
        files.CANDLES,
        lambda raw: coinapi.parse_candles(raw, BTC, NOON),
        [
            {
                "time_period_start": "2025-10-10T10:00:00Z",
                **{f"price_{name}": 1 for name in ("open", "high", "low", "close")},
                "volume_traded": 3,
            }
        ],
    ),
}


def places(found: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a reply where something stands."""
    items = found.items() if isinstance(found, dict) else enumerate(found)
    inner = [(*path, key) for key, _ in items]
    deeper = [
        place
        for key in inner
        if isinstance(found[key[-1]], dict | list)
        for place in places(found[key[-1]], key)
    ]
    return [*inner, *deeper]


@pytest.mark.parametrize("name", _GOOD)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_stands_somewhere_in_a_reply_it_is_read_right_or_refused(
    name: str, data: st.DataObject
) -> None:
    table, parse, good = _GOOD[name]
    undisturbed = fits(parse(good), table)
    assert len(undisturbed)
    bad = json.loads(json.dumps(good))
    *way, last = data.draw(st.sampled_from(places(bad)))
    inside = bad
    for key in way:
        inside = inside[key]
    inside[last] = data.draw(_JUNK)
    try:
        found = parse(bad)
    except SourceReplyWrong:
        return
    fits(found, table)
    assert len(found) <= len(undisturbed)
    assert not (found["published_at" if "published_at" in found else "settled_at"] > NOON).any()
