"""OKX v5, linear swaps. Each call has its own budget; sizes are in contracts where not said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from core.market import files
from core.market.budgets import Budget
from core.market.replies import Reply
from core.market.sources.exchange import Exchange, Params, join, to_ms
from core.market.sources.funding import with_intervals
from core.market.sources.reading import (
    HOUR_MS,
    Wanted,
    get,
    milliseconds,
    number,
    read_listed_candle,
    records,
    rows,
    share_rows,
    text,
)
from core.market.symbols import Contract

VENUE = "okx"
BUDGETS = (
    Budget("instruments", 20, 2),
    Budget("marks", 10, 2),
    Budget("time", 10, 2),
    Budget("candles", 40, 2),
    Budget("past candles", 20, 2),
    Budget("funding", 10, 2),
    Budget("open interest", 20, 2),
    Budget("open interest history", 10, 2),
    Budget("accounts", 5, 2),
    Budget("top accounts", 5, 2),
    Budget("top positions", 5, 2),
    # What is asked for by readers alone; the venue allows each of these at least so much.
    Budget("others", 10, 2),
)
_SWAPS: Params = {"instType": "SWAP"}
_PAGE = 300
_BUDGET_OF = {
    "publicGetPublicInstruments": "instruments",
    "publicGetPublicMarkPrice": "marks",
    "publicGetPublicTime": "time",
    "publicGetMarketCandles": "candles",
    "publicGetMarketHistoryCandles": "past candles",
    "publicGetPublicFundingRateHistory": "funding",
    "publicGetPublicOpenInterest": "open interest",
    "publicGetRubikStatContractsOpenInterestHistory": "open interest history",
    "publicGetRubikStatContractsLongShortAccountRatioContract": "accounts",
    "publicGetRubikStatContractsLongShortAccountRatioContractTopTrader": "top accounts",
    "publicGetRubikStatContractsLongShortPositionRatioContractTopTrader": "top positions",
}
_LONG_SHORT = {
    "long_account_share": "publicGetRubikStatContractsLongShortAccountRatioContract",
    "top_account_long_share": "publicGetRubikStatContractsLongShortAccountRatioContractTopTrader",
    "top_position_long_share": "publicGetRubikStatContractsLongShortPositionRatioContractTopTrader",
}


def charges(method: str, params: Params) -> Mapping[str, int]:  # noqa: ARG001
    return {_BUDGET_OF.get(method, "others"): 1}


async def fetch_contracts(exchange: Exchange) -> Reply:
    return await exchange.get("publicGetPublicInstruments", _SWAPS, fresh_seconds=3600)


def parse_contracts(raw: Any) -> list[Contract]:
    """Linear swaps in USDT that trade, with the base units in a contract."""
    found = []
    for one in records(raw, VENUE, "data"):
        kind, settled = text(one, "ctType", VENUE), text(one, "settleCcy", VENUE)
        if (kind, settled, text(one, "state", VENUE)) == ("linear", "USDT", "live"):
            size = number(get(one, "ctVal", VENUE)) * number(get(one, "ctMult", VENUE))
            if size > 0:
                base = text(one, "ctValCcy", VENUE)
                found.append(Contract(VENUE, text(one, "instId", VENUE), base, "USDT", size))
    return found


async def fetch_prices(exchange: Exchange) -> Reply:
    return await exchange.get("publicGetPublicMarkPrice", _SWAPS)


def parse_prices(raw: Any) -> dict[str, float]:
    """Mark price by the venue's own name; names without a readable one are left out."""
    found = records(raw, VENUE, "data")
    marks = {text(one, "instId", VENUE): number(get(one, "markPx", VENUE)) for one in found}
    return {name: price for name, price in marks.items() if price > 0}


async def fetch_time(exchange: Exchange) -> Reply:
    return await exchange.get("publicGetPublicTime")


def parse_time(raw: Any) -> int | None:
    return milliseconds(get(records(raw, VENUE, "data")[0], "ts", VENUE))


async def fetch_candles(
    exchange: Exchange, contract: Contract, *, since: datetime, until: datetime, background: bool
) -> Reply:
    """Newest first, in pages that go back until ``since``."""
    first, last = to_ms(since), to_ms(until)
    asked: dict[str, Any] = {"instId": contract.name, "bar": "1H"}
    newest = min(max((last - first) // HOUR_MS + 2, 3), _PAGE)
    reply = await exchange.get(
        "publicGetMarketCandles", {**asked, "limit": newest}, background=background
    )
    pages = [reply]
    while (oldest := _oldest_ms(pages[-1])) is not None and oldest > first:
        older = {**asked, "after": oldest, "limit": _PAGE}
        pages.append(
            await exchange.get("publicGetMarketHistoryCandles", older, background=background)
        )
        if _oldest_ms(pages[-1]) == oldest:
            break
    return join(**{str(at): page for at, page in enumerate(pages)})


def parse_candles(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of candles_1h; a bar counts once its close has passed and the venue has confirmed it."""
    first, *others = raw.values()
    listed = records(first, VENUE, "data") + [
        row for page in others for row in records(page, VENUE, "data", empty=True)
    ]
    found = [read_candle(one, contract) for one in listed if is_confirmed(one)]
    return rows(Wanted(files.CANDLES, VENUE, seen_at, newest_first=True), found)


def is_confirmed(one: Any) -> bool:
    """Whether the venue says that a candle will not change any more."""
    return str(get(one, 8, VENUE)) == "1"


def read_candle(one: Any, contract: Contract) -> dict[str, object]:
    """What a candle as the venue lists it says of a row."""
    return read_listed_candle(one, contract, VENUE, volume_at=6, quote_at=7)


async def fetch_funding(
    exchange: Exchange, contract: Contract, *, since: datetime, background: bool
) -> Reply:
    """The settled rates after ``since``, and two days before that tell their interval; at most 100."""
    first = to_ms(since) - 48 * HOUR_MS
    asked = {"instId": contract.name, "before": first, "limit": 100}
    return await exchange.get("publicGetPublicFundingRateHistory", asked, background=background)


def parse_funding(raw: Any, contracts: Mapping[str, Contract], seen_at: datetime) -> pd.DataFrame:
    """Rows of funding: rates as settled, a fraction per the time since the settlement before."""
    found = [
        {
            "symbol": contracts[name].symbol,
            "known_ms": milliseconds(get(one, "fundingTime", VENUE)),
            "funding_rate": get(one, "realizedRate", VENUE),
        }
        for one in records(raw, VENUE, "data", empty=True)
        if (name := text(one, "instId", VENUE)) in contracts
    ]
    timed = with_intervals(found, {})
    known = [one for one in timed if one["interval_hours"] is not None]
    return rows(Wanted(files.FUNDING, VENUE, seen_at, newest_first=True), known)


async def fetch_all_open_interest(exchange: Exchange) -> Reply:
    return await exchange.get("publicGetPublicOpenInterest", _SWAPS)


def parse_all_open_interest(
    raw: Any, contracts: Mapping[str, Contract], seen_at: datetime
) -> pd.DataFrame:
    """Rows of open_interest of every market, in base units and, where it is given, in USD."""
    found = []
    for one in records(raw, VENUE, "data"):
        if contract := contracts.get(text(one, "instId", VENUE)):
            time = milliseconds(get(one, "ts", VENUE))
            in_base = number(get(one, "oiCcy", VENUE)) / contract.scale
            usd = one.get("oiUsd")
            found.append(_open_interest(contract, time and min(time, to_ms(seen_at)), usd, in_base))
    return rows(Wanted(files.OPEN_INTEREST, VENUE, seen_at, newest_first=True), found)


async def fetch_open_interest(
    exchange: Exchange, contract: Contract, *, count: int, background: bool
) -> Reply:
    """The past of one market."""
    asked = {"instId": contract.name, "period": "1H", "limit": min(count, 100)}
    method = "publicGetRubikStatContractsOpenInterestHistory"
    return await exchange.get(method, asked, background=background)


def parse_open_interest(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of open_interest from lists of time, contracts, base units and USD."""
    found = [
        _open_interest(
            contract,
            milliseconds(get(one, 0, VENUE)),
            get(one, 3, VENUE),
            number(get(one, 2, VENUE)) / contract.scale,
        )
        for one in records(raw, VENUE, "data", empty=True)
    ]
    return rows(Wanted(files.OPEN_INTEREST, VENUE, seen_at, newest_first=True), found)


async def fetch_long_short(
    exchange: Exchange, contract: Contract, *, count: int, background: bool
) -> Reply:
    """The accounts and both kinds of top traders; top traders may be missing, the accounts not."""
    asked = {"instId": contract.name, "period": "1H", "limit": min(count, 100)}
    return await exchange.get_group(_LONG_SHORT, asked, background=background)


def parse_long_short(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of long_short, from ratios of longs to shorts."""
    shares = {
        name: list(_shares(records(raw[name], VENUE, "data", empty=True)))
        for name in _LONG_SHORT
        if name in raw
    }
    wanted = Wanted(files.LONG_SHORT, VENUE, seen_at, newest_first=True)
    return share_rows(wanted, contract, shares)


def _shares(found: Iterable[Any]) -> Iterable[tuple[int | None, float]]:
    for one in found:
        ratio = number(get(one, 1, VENUE))
        yield milliseconds(get(one, 0, VENUE)), ratio / (1 + ratio) if ratio >= 0 else float("nan")


def _oldest_ms(reply: Reply) -> int | None:
    """The oldest time in a page, None where it is empty or cannot be read."""
    page = reply.json.get("data") if isinstance(reply.json, Mapping) else None
    times = [milliseconds(row[0]) for row in page or [] if isinstance(row, list) and row]
    return min((time for time in times if time is not None), default=None)


def _open_interest(
    contract: Contract, time: int | None, usd: object, in_base: float
) -> dict[str, object]:
    amounts = {"open_interest_usd": usd, "open_interest": in_base}
    return {"symbol": contract.symbol, "known_ms": time, **amounts}
