"""Liquidations: single ones as venues report them, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self

import pandas as pd
from pydantic import Field, model_validator
from sqlalchemy import Connection

from core.market import liquidation_sums as sums
from core.market.liquidation_windows import (
    HOUR,
    PAST,
    Stretch,
    usual_venues,
    venues_known,
)
from core.operations.cursors import read_cursor, write_cursor
from core.operations.registry import Context, Operation, Parameters
from core.operations.values import (
    END,
    START,
    SYMBOL,
    Cursor,
    Limit,
    Line,
    Moment,
    Number,
    Page,
    Result,
    Symbol,
    Time,
    check_symbols,
    known,
    page_of,
)
from core.store import liquidation_reading as reading
from core.store.liquidations import load_events_before, load_gaps, load_streams
from core.store.signals import market_range

Window = Literal["15m", "1h", "4h", "24h", "7d"]
# The words of the page.
_WINDOWS = {"15m": "15 min", "1h": "1 h", "4h": "4 h", "24h": "24 h", "7d": "7 d"}
Step = Literal["1m", "5m", "15m", "1h"]
_STEPS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
MOST_SLOTS = 1_000
VENUE = "Only these venues, such as binance, or coinglass:bitget for what a provider passes on; none: all."
SIDES = "Only of these markets; none: all."
LOWER = "Lower bounds: no venue reports every liquidation."

Venues = tuple[Line, ...]
Symbols = tuple[Symbol, ...]


class LiquidationsAsked(Parameters):
    symbol: Symbols = Field((), max_length=50, description=SIDES)
    venue: Venues = Field((), max_length=50, description=VENUE)
    start: Moment | None = Field(None, description=START)
    end: Moment | None = Field(None, description=END)
    least_usd: float = Field(0, ge=0, le=1e12, description="Only events of so many USD or more.")
    limit: Limit = 100
    cursor: Cursor = None


class Liquidation(Result):
    """One liquidation as a venue reported it."""

    symbol: str = Field(description=SYMBOL)
    venue: str = Field(description="Who reported it; provider:venue where it was passed on.")
    liquidated_side: Literal["long", "short"] = Field(description="Whose position was closed.")
    price: Number = Field(description="Price in quote currency, as the venue gives it.")
    quantity: Number = Field(description="Base units.")
    usd: Number = Field(description="Value, USD.")
    occurred_at: datetime = Field(description="When it happened, by the venue, UTC.")
    received_at: datetime = Field(description="When it was received here, UTC.")
    identity: str = Field(description="What tells it apart among the venue's events.")


def events(context: Context, asked: LiquidationsAsked) -> dict[str, Any]:
    place = read_cursor("liquidations_events", asked, asked.cursor, tuple[Moment, str, str])
    with context.reading() as conn:
        check_symbols(conn, asked.symbol)
        found = load_events_before(
            conn,
            place,
            limit=asked.limit + 1,
            start=asked.start,
            end=asked.end,
            venues=asked.venue or None,
            symbols=asked.symbol or None,
            least_usd=asked.least_usd,
        )
    names = list(Liquidation.model_fields)
    return page_of(
        found.to_dict("records"),
        asked.limit,
        lambda row: write_cursor(
            "liquidations_events",
            asked,
            (row["occurred_at"].to_pydatetime(), row["identity"], row["venue"]),
        ),
        lambda row: Liquidation(**{name: known(row[name]) for name in names}),
    )


class MinutesAsked(Parameters):
    symbol: Symbols = Field((), max_length=50, description=SIDES)
    venue: Venues = Field((), max_length=50, description=VENUE)
    step: Step = Field("1h", description="Length of a slot.")
    start: Moment | None = Field(
        None, description=f"{START} By default a day before the end; {MOST_SLOTS:,} slots at most."
    )
    end: Moment | None = Field(None, description=f"{END} By default now.")
    limit: Limit = 500
    cursor: Cursor = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError("start must lie before end")
        return self


class Slot(Result):
    """What one venue reported of one market in a slot of time."""

    slot: datetime = Field(description="When the slot begins, UTC.")
    symbol: str = Field(description=SYMBOL)
    venue: str = Field(description="Who reported it.")
    long_usd: Number = Field(description=f"Longs that were liquidated, USD. {LOWER}")
    short_usd: Number = Field(description=f"Shorts that were liquidated, USD. {LOWER}")


def minutes(context: Context, asked: MinutesAsked) -> dict[str, Any]:
    place = read_cursor("liquidations_sums", asked, asked.cursor, tuple[Moment, Moment, str, str])
    step = timedelta(minutes=_STEPS[asked.step])
    # Later pages are of the stretch of the first one.
    end = place[0] if place is not None else asked.end or context.now
    start = asked.start or end - timedelta(days=1)
    start = max(sums.floor_time(start, step), sums.ceil_time(end, step) - MOST_SLOTS * step)
    with context.reading() as conn:
        check_symbols(conn, asked.symbol)
        found = reading.load_sums(conn, start, end, step)
    found = _chosen(found, asked.venue, asked.symbol)
    found = found.sort_values(["slot", "symbol", "venue"], ascending=[False, True, True])
    rows = found if place is None else found[_behind(found, place[1:])]
    return page_of(
        rows.head(asked.limit + 1).to_dict("records"),
        asked.limit,
        lambda row: write_cursor(
            "liquidations_sums",
            asked,
            (end, row["slot"].to_pydatetime(), row["symbol"], row["venue"]),
        ),
        lambda row: Slot(**{name: known(row[name]) for name in Slot.model_fields}),
    )


def _chosen(found: pd.DataFrame, venues: Sequence[str], symbols: Sequence[str]) -> pd.DataFrame:
    for name in ("symbol", "venue"):
        found[name] = found[name].astype(object)
    kept = pd.Series(data=True, index=found.index)
    if venues:
        kept &= found["venue"].isin(list(venues))
    if symbols:
        kept &= found["symbol"].isin(list(symbols))
    return found[kept]


def _behind(found: pd.DataFrame, place: tuple[datetime, str, str]) -> pd.Series:
    slot, symbol, venue = found["slot"], found["symbol"], found["venue"]
    same = slot == place[0]
    return (slot < place[0]) | (
        same & ((symbol > place[1]) | ((symbol == place[1]) & (venue > place[2])))
    )


class TotalsAsked(Parameters):
    window: Window = Field("24h", description="How far back from now, as on the page.")
    symbol: Symbols = Field((), max_length=50, description=SIDES)
    venue: Venues = Field(
        (),
        max_length=50,
        description=f"{VENUE} By default venues that a provider passes on and that are followed "
        "themselves are left out, so that nothing counts twice.",
    )


class Sides(Result):
    """Longs and shorts, never netted."""

    name: str = Field(description="The market, or the venue.")
    long_usd: Number = Field(description=f"Longs that were liquidated, USD. {LOWER}")
    short_usd: Number = Field(description=f"Shorts that were liquidated, USD. {LOWER}")


class Flow(Result):
    """Longs and shorts of one slot."""

    slot: datetime = Field(description="When the slot begins, UTC.")
    long_usd: Number = Field(description="USD; null: not known.")
    short_usd: Number = Field(description="USD; null: not known.")


class Gap(Result):
    """Time in which a stream was not heard."""

    venue: str = Field(description="Whose stream.")
    started_at: datetime = Field(description="Since when, UTC.")
    ended_at: Time = Field(description="Until when, UTC; null: it lasts.")
    reason: str = Field(description="Why.")


class Totals(Result):
    """What a window adds up to; a lower bound."""

    start: datetime = Field(description="Beginning of the window, UTC.")
    end: datetime = Field(description="End of its last slot, UTC.")
    step_seconds: int = Field(description="Length of a slot, seconds.")
    of_bars: bool = Field(description="Hourly totals of bars; single events are known live only.")
    long_usd: Number = Field(description=f"All longs, USD. {LOWER}")
    short_usd: Number = Field(description=f"All shorts, USD. {LOWER}")
    by_symbol: list[Sides] = Field(description="By market, the largest together first.")
    by_venue: list[Sides] = Field(description="By venue, the same; empty of bars.")
    slots: list[Flow] = Field(description="Over time.")
    gaps: list[Gap] = Field(description="When which stream was not heard.")
    venues: list[str] = Field(description="Whose reports are counted.")
    left_out: list[str] = Field(description="Venues that would repeat what is counted.")


def totals(context: Context, asked: TotalsAsked) -> Totals:
    with context.reading() as conn:
        check_symbols(conn, asked.symbol)
        if context.market.kind == "live":
            return _live(conn, context.now, asked)
        return _of_bars(conn, asked, context.now)


def _live(conn: Connection, now: datetime, asked: TotalsAsked) -> Totals:
    at = Stretch.of(_WINDOWS[asked.window], now)
    streams = load_streams(conn)
    known_venues = venues_known(reading.load_pairs(conn, now - PAST), streams)
    venues, left_out = usual_venues(known_venues)
    if asked.venue:
        venues, left_out = asked.venue, ()
    rows = sums.choose(reading.load_sums(conn, at.start, step=at.step), venues, asked.symbol)
    first = reading.load_first_known(conn)
    gaps = sums.complete_gaps(load_gaps(conn, at.start), first, streams, at.start, now)
    gaps = gaps[gaps["ended_at"].isna() | (gaps["ended_at"] > at.start)]
    slots = sums.add_up(rows, sums.slots_of(at.start, at.end, at.step))
    return _totals(at, rows, slots, sums.of_streams(gaps, venues), venues, left_out)


def _of_bars(conn: Connection, asked: TotalsAsked, now: datetime) -> Totals:
    span = market_range(conn)
    at = Stretch.of(_WINDOWS[asked.window], now if span is None else span[1], hourly=True)
    found = reading.load_bar_totals(conn, at.start, at.end)
    rows = found.assign(slot=found["time"] - HOUR, venue="").drop(columns="time")
    rows["symbol"] = rows["symbol"].astype(object)
    rows = sums.choose(rows, ("",), asked.symbol).dropna(subset=list(sums.SIDES))
    slots = sums.slots_of(at.start, at.end, HOUR)
    added = sums.add_up(rows, slots)
    added[~slots.isin(rows["slot"])] = float("nan")
    return _totals(at, rows, added, pd.DataFrame(columns=list(sums.GAP_COLUMNS)), (), ())


def _totals(
    at: Stretch,
    rows: pd.DataFrame,
    slots: pd.DataFrame,
    gaps: pd.DataFrame,
    venues: Sequence[str],
    left_out: Sequence[str],
) -> Totals:
    return Totals(
        start=at.start,
        end=at.end,
        step_seconds=int(at.step.total_seconds()),
        of_bars=not len(venues),
        long_usd=slots["long_usd"].sum(),
        short_usd=slots["short_usd"].sum(),
        by_symbol=_ranked(rows, "symbol"),
        by_venue=_ranked(rows, "venue") if len(venues) else [],
        slots=[
            Flow(slot=slot, long_usd=row["long_usd"], short_usd=row["short_usd"])
            for slot, row in slots.iterrows()
        ],
        gaps=[
            Gap(
                venue=row["venue"],
                started_at=row["started_at"],
                ended_at=row["ended_at"],
                reason=row["reason"],
            )
            for row in gaps.to_dict("records")
        ],
        venues=list(venues),
        left_out=list(left_out),
    )


def _ranked(rows: pd.DataFrame, by: str) -> list[Sides]:
    found = sums.rank(rows, by)
    return [
        Sides(name=str(name), long_usd=row["long_usd"], short_usd=row["short_usd"])
        for name, row in found.iterrows()
    ]


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        "liquidations_events",
        "Single liquidations",
        "Liquidations as venues report them, the newest first; known on the live market only, for 30 "
        "days. Venues leave some out: Binance reports at most one per market and second.",
        "liquidations",
        "trader",
        "liquidations.read",
        LiquidationsAsked,
        events,
        result=Page[Liquidation],
        examples=({"symbol": ["BTCUSDT"], "least_usd": 100_000},),
        path="/liquidations/events",
    ),
    Operation(
        "liquidations_sums",
        "Sums of liquidations over time",
        "Longs and shorts per slot of time, market and venue, the newest slot first; of the live market.",
        "liquidations",
        "trader",
        "liquidations.read",
        MinutesAsked,
        minutes,
        result=Page[Slot],
        examples=({"symbol": ["BTCUSDT"], "step": "1h"},),
        path="/liquidations/sums",
    ),
    Operation(
        "liquidations_totals",
        "Totals of liquidations",
        "What a window adds up to by side, market, venue and over time, with the gaps in what was heard; "
        "on simulated and recorded markets the hourly totals of the bars.",
        "liquidations",
        "trader",
        "liquidations.read",
        TotalsAsked,
        totals,
        result=Totals,
        examples=({"window": "24h"},),
        path="/liquidations/totals",
    ),
)
