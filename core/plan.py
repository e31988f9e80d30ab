"""The plan of a trade: where to stop, where to take the profit, and how much to trade."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from core.market.frame import label_codes, labels
from core.market.grid import Floats, Grid, Ints, window_mean
from core.verdicts.rules import VERDICTS
from core.verdicts.standing import as_frame

Flags = npt.NDArray[np.bool_]

ATR_PERIOD = 14
ATR_BAR_HOURS = 4
NORMAL_ATR_HOURS = 720
SIZE_FLOOR, SIZE_CEILING = 0.25, 2.0
CAPS: tuple[str, ...] = ("none", "leverage", "size ceiling", "size floor", "lot")
_FIRST_SKIPPED = VERDICTS.index("WAIT")

# Risk mode: stop distance in ATR, target in multiples of the risk. A trade that was avoided is
# followed as if it had been taken with the widest stop.
_LEVELS: Mapping[str, tuple[float, float]] = {
    "AGGRESSIVE": (1.5, 2.0),
    "NORMAL": (2.0, 2.5),
    "REDUCED": (2.5, 3.0),
    "AVOID": (2.5, 3.0),
}
_BASE_STOP_ATR = _LEVELS["NORMAL"][0]
# What a plan is made from.
_MADE_FROM = ("close", "direction", "verdict", "multiplier", "risk_mode", "atr", "normal_atr")


class Account(BaseModel):
    """The trader's side of a plan.

    ``risk_fraction`` of ``equity_usd`` is lost when the stop is hit at multiplier 1. ``lots`` are
    the smallest quantities per symbol, in base units; ``lot`` serves all others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    equity_usd: Annotated[float, Field(gt=0, le=1e12)] = 10_000
    risk_fraction: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    leverage: Annotated[float, Field(ge=1, le=125)] = 5
    maintenance_margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.005
    lot: Annotated[Decimal, Field(gt=0)] = Decimal("0.001")
    lots: Mapping[str, Annotated[Decimal, Field(gt=0)]] = {}


def wilder_atr(high: pd.Series, low: pd.Series, close: pd.Series, period: int = 14) -> pd.Series:
    """Average true range by Wilder's smoothing, in the unit of the price.

    The first ``period`` values are NaN; the next is the mean of the true ranges so far. Bars with
    a missing value are skipped. Source: J. Welles Wilder, New Concepts in Technical Trading
    Systems (1978); the same numbers as TA-Lib's ATR.

    >>> bars = pd.Series([10.0, 11, 12, 11, 12])
    >>> wilder_atr(bars + 1, bars - 1, bars, period=2).tolist()
    [nan, nan, 2.0, 2.0, 2.0]
    """
    tops, bottoms, ends = (
        series.to_numpy(dtype=np.float64)[None, :] for series in (high, low, close)
    )
    return pd.Series(_wilder(tops, bottoms, ends, period)[0], index=close.index, name="atr")


def _wilder(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """`wilder_atr` of every row of (symbols, times) at once."""
    symbols, times = close.shape
    result = np.full(close.shape, np.nan)
    last_close, average = np.full(symbols, np.nan), np.zeros(symbols)
    seen = np.zeros(symbols, dtype=np.int64)
    for at in range(times):
        top, bottom, end = high[:, at], low[:, at], close[:, at]
        known = ~(np.isnan(top) | np.isnan(bottom) | np.isnan(end))
        span = np.maximum(top, last_close) - np.minimum(bottom, last_close)
        usable = known & ~np.isnan(span)
        seen += usable
        warm = usable & (seen <= period)
        average[warm] += span[warm]
        average[warm & (seen == period)] /= period
        late = usable & (seen > period)
        average[late] = (average[late] * (period - 1) + span[late]) / period
        ready = usable & (seen >= period)
        result[ready, at] = average[ready]
        last_close = np.where(known, end, last_close)
    return result


def atr_columns(frame: pd.DataFrame, since: pd.Timestamp | None = None) -> tuple[Floats, Floats]:
    """ATR of the last closed 4 h bar at each row, and its normal for the price, as row arrays.

    Of the rows from ``since`` on, or of all.

    The normal is the close times the mean of ATR / close over 30 days: what the range would be if
    the symbol were as volatile as it usually is. NaN until 14 bars have closed, and in a row whose
    last 4 h bar is older than two such bars. A bar with a gap inside is no bar.
    """
    grid = Grid.of(frame.index)
    newest = grid.since(since)
    unknown = np.full(len(newest.rows), np.nan)
    if not {"high", "low", "close"} <= set(frame.columns):
        return unknown, unknown
    high, low, close = (grid.spread(frame[name].to_numpy()) for name in ("high", "low", "close"))
    per_bar = grid.bars(ATR_BAR_HOURS)
    ends = _closed_bar_ends(grid, per_bar)
    if not len(ends):
        return unknown, unknown
    inside = [ends - back for back in range(per_bar)]
    top = functools.reduce(np.maximum, [high[:, at] for at in inside])
    bottom = functools.reduce(np.minimum, [low[:, at] for at in inside])
    whole = ~np.isnan(functools.reduce(np.add, [close[:, at] for at in inside]))
    coarse = np.where(whole, _wilder(top, bottom, close[:, ends], ATR_PERIOD), np.nan)
    atr = _held(coarse, ends, grid.shape[1], stale=2 * per_bar)
    with np.errstate(invalid="ignore"):
        share = atr / close
    bars = grid.bars(NORMAL_ATR_HOURS)
    normal = window_mean(share, bars, grid.bars(24), newest.first) * close[:, newest.first :]
    return newest.collect(atr[:, newest.first :]), newest.collect(normal)


def _closed_bar_ends(grid: Grid, per_bar: int) -> Ints:
    """Columns at which a 4 h bar of the UTC day closes, with all of it inside the grid."""
    span = per_bar * grid.step_ns
    times = grid.start_ns + grid.step_ns * np.arange(grid.shape[1])
    return np.flatnonzero((times % span == 0) & (np.arange(grid.shape[1]) >= per_bar - 1))


def _held(coarse: Floats, ends: Ints, times: int, stale: int) -> Floats:
    """The last known value of ``coarse`` at every column, for at most ``stale`` columns."""
    last = np.where(np.isnan(coarse), -1, np.arange(len(ends)))
    last = np.maximum.accumulate(last, axis=1)
    bar_of = np.searchsorted(ends, np.arange(times), side="right") - 1
    newest = np.where(bar_of >= 0, last[:, bar_of], -1)
    values = np.take_along_axis(coarse, np.maximum(newest, 0), axis=1)
    age = np.arange(times) - ends[np.maximum(newest, 0)]
    return np.where((newest >= 0) & (age <= stale), values, np.nan)


def plan(judged: pd.DataFrame, account: Account | None = None) -> pd.DataFrame:
    """The judged frame widened by a plan for ``account``, over the same (symbol, time) index.

    Adds ``atr``, ``normal_atr``, ``entry_price`` (the close, for a trade at the next bar),
    ``stop_price``, ``target_price``, ``liquidation_price``, ``quantity`` (base units, a whole
    number of lots), ``notional_usd``, ``risk_usd``, ``size_multiplier`` (0.25..2, of the size that
    the symbol's normal volatility would give, before rounding to the lot), ``binding_cap`` (what limited the size, or "none")
    and ``no_plan`` (why there is none, else None). WAIT and SKIP with a direction have no plan but
    ``counterfactual_entry_price``, ``_stop_price`` and ``_target_price``: what would have been.

    Where ``judged`` already has ``atr`` and ``normal_atr``, they are used, so that a stored row
    can be planned again for another account.
    """
    account = account or Account()
    if not {"atr", "normal_atr"} <= set(judged.columns):
        atr, normal = atr_columns(judged)
        judged = judged.assign(atr=atr, normal_atr=normal)
    return judged.assign(**_added(judged, account))


def _added(judged: pd.DataFrame, account: Account) -> dict[str, Any]:
    """The columns that a plan adds."""
    levels = _Levels.of(judged)
    sizes = _Sizes.of(judged, levels, account)
    verdict = label_codes(judged["verdict"], VERDICTS)
    refusal = _refusals(verdict, levels, sizes)
    traded = refusal == _PLANNED
    skipped = (verdict >= _FIRST_SKIPPED) & levels.possible
    prices = {"entry_price": levels.entry, "stop_price": levels.stop, "target_price": levels.target}
    numbers = {
        "liquidation_price": sizes.liquidation,
        "quantity": sizes.quantity,
        "notional_usd": sizes.quantity * levels.entry,
        "risk_usd": sizes.quantity * levels.distance,
        "size_multiplier": sizes.multiplier,
    }
    added: dict[str, Any] = {
        name: np.where(traded, values, np.nan) for name, values in (prices | numbers).items()
    }
    for name, values in prices.items():
        added[f"counterfactual_{name}"] = np.where(skipped, values, np.nan)
    added["binding_cap"] = labels(np.where(traded, sizes.cap, -1), CAPS, judged.index)
    added["no_plan"] = labels(refusal, _refusal_texts(account), judged.index)
    return added


def plan_row(row: pd.Series, account: Account | None = None) -> dict[str, Any]:
    """A judged and stored row, named (symbol, time), with the plan that `plan` makes of it.

    A frame would have each of its columns put in by itself, which takes longer than the plan.
    """
    made_from = {name: row[name] for name in _MADE_FROM if name in row.index}
    judged = as_frame(pd.Series(made_from, name=row.name, dtype=object))
    added = _added(judged, account or Account())
    said = {str(name): value for name, value in row.items()}
    return said | {name: values.item() for name, values in added.items()}


@dataclass(frozen=True)
class _Levels:
    """Entry, stop and target of every row with a direction, traded or not."""

    direction: Floats
    entry: Floats
    stop: Floats
    target: Floats
    distance: Floats
    possible: Flags

    @classmethod
    def of(cls, judged: pd.DataFrame) -> _Levels:
        mode = label_codes(judged["risk_mode"], list(_LEVELS))
        stops, rewards = np.array([*_LEVELS.values(), (np.nan, np.nan)])[mode].T
        direction, entry, atr = (_floats(judged, name) for name in ("direction", "close", "atr"))
        distance = stops * atr
        stop, target = entry - direction * distance, entry + direction * rewards * distance
        directed = np.abs(direction) == 1
        possible = directed & (distance > 0) & (stop > 0) & (target > 0)
        return cls(direction, entry, stop, target, distance, possible)


@dataclass(frozen=True)
class _Sizes:
    """How much to trade, what limited it, and the checks a plan must pass."""

    quantity: Floats
    multiplier: Floats
    cap: Ints
    liquidation: Floats
    beyond_liquidation: Flags
    over_risk: Flags
    base_unknown: Flags

    @classmethod
    def of(cls, judged: pd.DataFrame, levels: _Levels, account: Account) -> _Sizes:
        entry, distance, direction = levels.entry, levels.distance, levels.direction
        multiplier = _floats(judged, "multiplier")
        risk = account.equity_usd * account.risk_fraction
        with np.errstate(invalid="ignore", divide="ignore"):
            base = risk / (_BASE_STOP_ATR * _floats(judged, "normal_atr"))
            wanted = risk * multiplier / distance
            within = np.clip(wanted, SIZE_FLOOR * base, SIZE_CEILING * base)
            leveraged = account.equity_usd * account.leverage / entry
            capped = np.minimum(within, leveraged)
            room = 1 / account.leverage - account.maintenance_margin
            liquidation = entry * (1 - direction * room)
            beyond = direction * (levels.stop - liquidation) <= 0
            over_risk = within * distance > risk * np.maximum(multiplier, 1) * (1 + 1e-9)
        rows = levels.possible & (multiplier > 0)
        quantity = _round_down(capped, judged.index, rows, account)
        with np.errstate(invalid="ignore", divide="ignore"):
            cap = np.select(
                [leveraged < within, within < wanted, within > wanted, quantity < 0.99 * capped],
                [CAPS.index(name) for name in ("leverage", "size ceiling", "size floor", "lot")],
                CAPS.index("none"),
            )
            size = capped / base
        return cls(quantity, size, cap, liquidation, beyond, over_risk, np.isnan(base))


_REFUSALS = (
    "no signal",
    "no direction",
    "the verdict is WAIT",
    "the verdict is SKIP",
    "no average true range: under 14 closed 4 h bars",
    "the stop or the target would lie below zero",
    "at {leverage:g}x the position is liquidated before the stop is reached; use less leverage",
    "volatility is so high that the smallest size would risk more than you allow",
    "the size is under one lot; raise the equity or the risk",
    "the leverage leaves less than a quarter of the normal size; raise it or lower the risk",
)
_PLANNED = -1


def _refusal_texts(account: Account) -> list[str]:
    return [text.format(leverage=account.leverage) for text in _REFUSALS]


def _refusals(verdict: Ints, levels: _Levels, sizes: _Sizes) -> Ints:
    """The place in `_REFUSALS` of why a row has no plan, -1 where it has one."""
    wait, skip = VERDICTS.index("WAIT"), VERDICTS.index("SKIP")
    with np.errstate(invalid="ignore"):
        cases = [
            np.isnan(levels.direction) | (verdict < 0),
            levels.direction == 0,
            verdict == wait,
            verdict == skip,
            np.isnan(levels.distance) | sizes.base_unknown,
            ~levels.possible,
            sizes.beyond_liquidation,
            sizes.over_risk,
            sizes.quantity <= 0,
            sizes.multiplier < SIZE_FLOOR * (1 - 1e-9),
        ]
    return np.select(cases, list(range(len(cases))), _PLANNED)


def _round_down(quantity: Floats, index: pd.Index, rows: Flags, account: Account) -> Floats:
    """Whole lots, rounded down in decimal arithmetic; NaN outside ``rows``."""
    rounded = np.full(len(quantity), np.nan)
    places = np.flatnonzero(rows & np.isfinite(quantity))
    symbols = index.get_level_values(0)[places] if account.lots else [""] * len(places)
    for at, value, symbol in zip(places.tolist(), quantity[places].tolist(), symbols, strict=True):
        lot = account.lots.get(symbol, account.lot)
        rounded[at] = float(Decimal(repr(value)) // lot * lot)
    return rounded


def _floats(judged: pd.DataFrame, name: str) -> Floats:
    if name not in judged.columns:
        return np.full(len(judged), np.nan)
    return judged[name].to_numpy(dtype=np.float64)
