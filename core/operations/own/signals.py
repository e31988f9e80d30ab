"""Signals: the newest of all markets, one whole, and those of a market's past."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, cast

import pandas as pd
from pydantic import Field
from sqlalchemy import Connection

from core.market.frame import SOURCES
from core.operations.cursors import read_cursor, write_cursor
from core.operations.own.shared import (
    Factors,
    Values,
    factors_of,
    market_state,
    record_state,
    stored_signal,
    values_of,
)
from core.operations.registry import Context, Operation, Parameters, WrongParameters
from core.operations.values import (
    END,
    MODE,
    START,
    SYMBOL,
    VERSION,
    Cursor,
    Direction,
    Limit,
    Line,
    Mode,
    Moment,
    Number,
    Page,
    Result,
    RiskMode,
    Symbol,
    Verdict,
    Version,
    Whole,
    Word,
    check_symbols,
    direction_of,
    known,
    page_of,
)
from core.overview import ALL, chosen, market_rows
from core.signals.factors import BY_NAME
from core.signals.words import explain
from core.store.coins import load_coins
from core.store.signals import last_signal_id, last_times, load_closes, load_history, load_newest
from core.store.tracing import load_origin, load_outcomes_of, load_provenance
from core.store.verdicts import last_verdict_id, load_verdict_of, load_verdicts_for
from core.verdicts import settle, settle_row

Show = Literal["all", "with_signal", "long", "short", "neutral", "no_signal"]
Sort = Literal[
    "conviction", "score_high", "score_low", "verdict", "agreement", "coverage", "risen", "fallen",
    "oldest", "rank", "symbol",
]  # fmt: skip
# The words of the page, which are the keys of `core.overview`.
SHOWN: Mapping[str, str] = {
    "all": ALL,
    "with_signal": "With a signal",
    "long": "Long",
    "short": "Short",
    "neutral": "Neutral",
    "no_signal": "No signal",
}
SORTED: Mapping[str, str] = {
    "conviction": "Highest conviction",
    "score_high": "Highest score",
    "score_low": "Lowest score",
    "verdict": "Best verdict",
    "agreement": "Most agreement",
    "coverage": "Most coverage",
    "risen": "Most risen",
    "fallen": "Most fallen",
    "oldest": "Oldest data",
    "rank": "Most valuable coin",
    "symbol": "Symbol A to Z",
}
SOURCE = "Source of values: candles, funding, open_interest, long_short, liquidations, social, fear_greed."


class Said(Result):
    """What a signal says."""

    symbol: str = Field(description=SYMBOL)
    time: datetime = Field(description="Close of the bar, UTC.")
    direction: Direction | None = Field(description="LONG, SHORT, NEUTRAL; null: no signal.")
    score: Number = Field(description="0..100, 50 neutral, above bullish; null: no signal.")
    conviction: Number = Field(description="0..100, twice the distance of the score from 50.")
    agreement: Number = Field(description="0..1, 1 when all factors lean the same way.")
    coverage: Number = Field(description="0..1, the share of the factors' weight that is known.")
    verdict: Verdict | None = Field(
        description="The verdict that stands, of rules and model the more cautious; null: no signal."
    )
    multiplier: Number = Field(description="Size that stands, times the normal risk: 0..1.5.")
    risk_mode: RiskMode | None = Field(description="How much speaks against a trade, by rules.")
    rules_verdict: Verdict | None = Field(description="The verdict by rules alone.")
    rules_multiplier: Number = Field(description="Size by rules alone, times the normal risk.")
    lowered: bool = Field(description="Whether a language model lowered what the rules allow.")
    last_price: Number = Field(description="Close of the bar, quote currency.")
    no_signal: Word = Field(description="Why there is no signal; null where there is one.")


class Listed(Said):
    """The newest signal of a market, as the Signals page lists it."""

    coin: Word = Field(description="Name of the coin where it is certain, else null.")
    rank: Whole = Field(description="Rank of the coin by market value; null: not known.")
    change_24h: Number = Field(description="Change of the close over 24 h, fraction.")
    factors: Factors = Field(description="Each factor of the score.")


class NewestAsked(Parameters):
    """Filters and order are those of the Signals page."""

    mode: Mode = Field("balanced", description=MODE)
    show: Show = Field("all", description="Which markets, by what their signal says.")
    verdict: tuple[Verdict, ...] = Field(
        (), max_length=4, description="Only these verdicts that stand; none: any."
    )
    search: Line = Field("", max_length=64, description="Part of a symbol or of a coin's name.")
    sort: Sort = Field(
        "conviction",
        description="Order; markets without the value come last, equal ones by symbol.",
    )
    limit: Limit = 100
    cursor: Cursor = None


def newest(context: Context, asked: NewestAsked) -> dict[str, Any]:
    """Later pages show the markets as they were at the first one, whatever is stored meanwhile."""
    place = read_cursor("signals_newest", asked, asked.cursor, tuple[int, int, str])
    with context.reading() as conn:
        last, last_verdict, after = place or (last_signal_id(conn), last_verdict_id(conn), "")
        rows = _rows(conn, asked.mode, last, last_verdict)
    found = chosen(
        rows,
        show=SHOWN[asked.show],
        verdicts=asked.verdict,
        search=asked.search,
        order=SORTED[asked.sort],
    )
    if after:
        found = found.iloc[_behind(found, after) :]
    listed = [(str(symbol), row) for symbol, row in found.head(asked.limit + 1).iterrows()]
    return page_of(
        listed,
        asked.limit,
        lambda each: write_cursor("signals_newest", asked, (last, last_verdict, each[0])),
        lambda each: _line(*each),
    )


def _behind(found: pd.DataFrame, symbol: str) -> int:
    if symbol not in found.index:
        raise WrongParameters({"cursor": "its market is not listed any more: begin again"})
    return int(found.index.get_indexer(pd.Index([symbol]))[0]) + 1


def _rows(conn: Connection, mode: str, last: int, last_verdict: int) -> pd.DataFrame:
    stored = load_newest(conn, mode, last)
    if stored.empty:
        return market_rows(stored, pd.DataFrame())
    through = stored.index.get_level_values("time").max().to_pydatetime()
    return market_rows(
        stored,
        load_closes(conn, 24, through),
        load_coins(conn),
        load_verdicts_for(conn, stored.index, mode, last_verdict),
    )


def _line(symbol: str, row: pd.Series) -> Listed:
    return Listed(
        **said_of(symbol, row["time"], row),
        coin=row["coin"] or None,
        rank=known(row["rank"]),
        change_24h=row["change_24h"],
        factors=Factors(**factors_of(row)),
    )


def said_of(symbol: str, time: datetime, row: pd.Series) -> dict[str, Any]:
    """The fields of `Said` of a settled row."""
    names = ("score", "conviction", "agreement", "coverage", "multiplier", "rules_multiplier")
    texts = ("verdict", "risk_mode", "rules_verdict", "no_signal")
    return {
        "symbol": symbol,
        "time": time,
        "direction": direction_of(row["direction"]),
        **{name: known(row.get(name)) for name in (*names, *texts)},
        "lowered": bool(row["lowered"]),
        "last_price": known(row["close"] if "close" in row else row["last_price"]),
    }


class OneAsked(Parameters):
    symbol: Symbol = Field(description=SYMBOL, examples=["BTCUSDT"])
    mode: Mode = Field("balanced", description=MODE)
    time: Moment | None = Field(
        None, description="Close of the bar, ISO 8601 with a zone; by default the newest."
    )
    version: Version | None = Field(None, description=VERSION)


class Factor(Result):
    """What one factor measured, and what it added to the score."""

    factor: str = Field(description="Name of the factor.")
    title: str = Field(description="The same for people.")
    weight: float = Field(description="Its share of the profile's weight, 0..1.")
    raw: Number = Field(description="What was measured, in the factor's own unit.")
    normal: Number = Field(description="Mean of that over the history before the bar.")
    z: Number = Field(description="Distance from normal in standard deviations.")
    value: Number = Field(description="The factor, 0..100, above 50 bullish.")
    points: Number = Field(description="Its part of score - 50.")
    words: str = Field(description="The same in a sentence.")
    source: str = Field(description=SOURCE)
    age_hours: Number = Field(description="Age of the source's newest value at the bar, hours.")


class Seen(Result):
    """Where the values of a source came from, as far as that was observed here."""

    source: str = Field(description=SOURCE)
    venue: str = Field(description="Whose values they were.")
    published_at: datetime = Field(description="When they were published, UTC.")
    seen_at: datetime = Field(description="When they were seen here, UTC.")


class Outcome(Result):
    """What became of a signal at one horizon."""

    horizon: str = Field(description="1h, 4h or 24h after the entry.")
    net_return: Number = Field(description="Return after costs, fraction, unleveraged.")
    gross_return: Number = Field(description="Return before costs, fraction.")
    r_multiple: Number = Field(description="Net result in units of the risk.")
    barrier: Word = Field(description="What was touched first: stop, target or horizon.")
    barrier_r: Number = Field(description="Result at that barrier in units of the risk.")
    traded: bool = Field(description="False: a counterfactual, nothing was traded.")


class Entry(Result):
    """Where a row stands in the ledger."""

    position: int = Field(description="Number of the entry, from 1.")
    hash: str = Field(description="SHA-256 of the chain up to it, 64 hexadecimal digits.")


class Ages(Result):
    """How old the newest value of each source was at the bar, hours; null: not known."""

    candles: Number = Field(description="Prices.")
    funding: Number = Field(description="Funding.")
    open_interest: Number = Field(description="Open interest.")
    long_short: Number = Field(description="Accounts that are long.")
    liquidations: Number = Field(description="Liquidations.")
    social: Number = Field(description="Social score.")
    fear_greed: Number = Field(description="Fear & greed.")


class Signal(Said):
    """One signal with everything that it rests on."""

    mode: str = Field(description="Mode of the profile that made it.")
    profile_version: str = Field(description="Version of that profile.")
    reasons: list[str] = Field(description="Why the rules came to their verdict.")
    risk_points: Number = Field(description="How many things the rules count against a trade.")
    volatility_ratio: Number = Field(description="Volatility of 24 h over that of 30 days.")
    atr: Number = Field(description="Average true range of closed 4 h bars, quote currency.")
    normal_atr: Number = Field(description="What that usually is for this market.")
    factors: list[Factor] = Field(description="The eight factors, the largest part first.")
    values: Values = Field(description="The bar's own values.")
    ages: Ages = Field(description="Ages of the sources.")
    provenance: list[Seen] = Field(
        description="Whose values they were; empty on a market that is not observed live."
    )
    outcomes: list[Outcome] = Field(description="What became of it, as far as that is known.")
    recorded_at: datetime = Field(description="When it was stored, UTC.")
    ledger: Entry | None = Field(description="Its entry in the ledger.")


def one(context: Context, asked: OneAsked) -> Signal:
    """The row as it was stored, with where it comes from and what became of it."""
    with context.reading() as conn:
        check_symbols(conn, [asked.symbol])
        stored = stored_signal(conn, asked.symbol, asked.mode, asked.time, asked.version)
        time = cast("tuple[str, pd.Timestamp]", stored.name)[1].to_pydatetime()
        about = (asked.symbol, asked.mode, time, asked.version)
        row = settle_row(stored, load_verdict_of(conn, *about))
        origin, outcomes = load_origin(conn, *about), load_outcomes_of(conn, *about)
        assert origin is not None, "a stored signal has an origin"
        seen = load_provenance(conn, asked.symbol, time, origin.recorded_at)
    plain: dict[str, Any] = {str(name): value for name, value in row.items()}
    entry = origin.entry
    return Signal(
        **said_of(asked.symbol, time, row),
        mode=origin.profile.name,
        profile_version=origin.version,
        reasons=list(row["reasons"]),
        **{
            name: known(row.get(name))
            for name in ("risk_points", "volatility_ratio", "atr", "normal_atr")
        },
        factors=[_factor(part, plain) for part in explain(plain, origin.profile)],
        values=Values(**values_of(plain)),
        ages=Ages(**{source: known(row.get(f"age_{source}")) for source in SOURCES}),
        provenance=[Seen(source=source, **vars(where)) for source, where in seen.items()],
        outcomes=[
            Outcome(horizon=str(horizon), **{str(k): known(v) for k, v in found.items()})
            for horizon, found in outcomes.to_dict("index").items()
        ],
        recorded_at=origin.recorded_at,
        ledger=None if entry is None else Entry(position=entry.position, hash=entry.hash.hex()),
    )


def _factor(part: Any, row: Mapping[str, Any]) -> Factor:
    source = BY_NAME[part.factor].source
    fields = {name: getattr(part, name) for name in ("factor", "title", "weight", "raw", "normal")}
    return Factor(
        **fields,
        z=part.z,
        value=part.value,
        points=part.points,
        words=part.sentence,
        source=source,
        age_hours=known(row.get(f"age_{source}")),
    )


class HistoryAsked(Parameters):
    symbol: Symbol = Field(description=SYMBOL, examples=["BTCUSDT"])
    mode: Mode = Field("balanced", description=MODE)
    start: Moment | None = Field(None, description=START)
    end: Moment | None = Field(None, description=END)
    limit: Limit = 100
    cursor: Cursor = None


class Past(Said):
    """One signal of a market's past, without what it was made from."""

    profile_version: str = Field(description="Version of the profile that made it.")


def history(context: Context, asked: HistoryAsked) -> dict[str, Any]:
    """The newest bar first."""
    place = read_cursor("signals_history", asked, asked.cursor, tuple[Moment])
    with context.reading() as conn:
        check_symbols(conn, [asked.symbol])
        times = last_times(
            conn,
            asked.symbol,
            asked.mode,
            limit=asked.limit + 1,
            before=None if place is None else place[0],
            start=asked.start,
            end=asked.end,
        )
        if not times:
            return {"items": [], "next_cursor": None}
        stored = load_history(conn, asked.symbol, asked.mode, times[-1], times[0])
        index = pd.MultiIndex.from_product([[asked.symbol], stored.index], names=["symbol", "time"])
        said = load_verdicts_for(conn, index, asked.mode).droplevel("symbol")
    rows = settle(stored, said).iloc[::-1]
    return page_of(
        list(rows.iterrows()),
        asked.limit,
        lambda each: write_cursor("signals_history", asked, (each[0].to_pydatetime(),)),
        lambda each: Past(
            **said_of(asked.symbol, each[0], each[1]), profile_version=each[1]["profile_version"]
        ),
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        "signals_newest",
        "Newest signals of all markets",
        "The newest signal of every market in one mode: direction, score, the eight factors, the "
        "verdict that stands, price and its change. Filters and orders are those of the Signals page.",
        "signals",
        "trader",
        "signals.read",
        NewestAsked,
        newest,
        result=Page[Listed],
        examples=({"mode": "balanced", "show": "long", "verdict": ["CONFIRM"]},),
        path="/signals",
        state=market_state,
    ),
    Operation(
        "signals_one",
        "One signal, whole",
        "One signal with what it was made from: factors with raw inputs and their normal, ages and "
        "origin of the sources, the reasons, both verdicts, what became of it, and its entry in the "
        "ledger.",
        "signals",
        "trader",
        "signals.read",
        OneAsked,
        one,
        result=Signal,
        examples=({"symbol": "BTCUSDT", "mode": "balanced"},),
        path="/signals/{symbol}",
        state=record_state,
    ),
    Operation(
        "signals_history",
        "Signals of a market's past",
        "Every stored signal of one market in one mode, the newest first.",
        "signals",
        "trader",
        "signals.read",
        HistoryAsked,
        history,
        result=Page[Past],
        examples=({"symbol": "BTCUSDT", "limit": 24},),
        path="/signals/{symbol}/history",
        state=record_state,
    ),
)
