"""The plan of a trade: where to stop, where to take the profit, and how much to trade."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from core.market.grid import HOUR_NS, Floats, Grid, Ints, window_mean

Positive = Annotated[float, Field(gt=0)]

ATR_PERIOD = 14
ATR_BAR_HOURS = 4
NORMAL_ATR_HOURS = 720
SIZE_FLOOR, SIZE_CEILING = 0.25, 2.0

# Risk mode: stop distance in ATR, target in multiples of the risk. A trade that was avoided is
# followed as if it had been taken with the widest stop.
_LEVELS: Mapping[str, tuple[float, float]] = {
    "AGGRESSIVE": (1.5, 2.0),
    "NORMAL": (2.0, 2.5),
    "REDUCED": (2.5, 3.0),
    "AVOID": (2.5, 3.0),
}
_BASE_STOP_ATR = _LEVELS["NORMAL"][0]


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
    dense = [series.to_numpy(dtype=np.float64)[None, :] for series in (high, low, close)]
    return pd.Series(_wilder(*dense, period)[0], index=close.index, name="atr")


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


def atr_columns(frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """ATR of the last closed 4 h bar at each row, and its normal for the price, as row arrays.

    The normal is the close times the mean of ATR / close over 30 days: what the range would be if
    the symbol were as volatile as it usually is. NaN until 14 bars have closed, and in a row whose
    last 4 h bar is older than two such bars. A bar with a gap inside is no bar.
    """
    grid = Grid.of(frame.index)
    if not {"high", "low", "close"} <= set(frame.columns):
        unknown = np.full(len(frame), np.nan)
        return unknown, unknown
    high, low, close = (grid.spread(frame[name].to_numpy()) for name in ("high", "low", "close"))
    per_bar = grid.bars(ATR_BAR_HOURS)
    ends = _closed_bar_ends(grid, per_bar)
    if not len(ends):
        unknown = np.full(len(frame), np.nan)
        return unknown, unknown
    slots = ends[:, None] + np.arange(1 - per_bar, 1)
    coarse = _wilder(
        high[:, slots].max(axis=2), low[:, slots].min(axis=2), close[:, ends], ATR_PERIOD
    )
    coarse[np.isnan(close[:, slots]).any(axis=2)] = np.nan
    atr = _held(coarse, ends, grid.shape[1], stale=2 * per_bar)
    with np.errstate(invalid="ignore"):
        share = atr / close
    bars = grid.bars(NORMAL_ATR_HOURS)
    normal = window_mean(share, bars, grid.bars(24)) * close
    return grid.collect(atr), grid.collect(normal)


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
    the symbol's normal volatility would give), ``binding_cap`` (what limited the size, or "none")
    and ``no_plan`` (why there is none, else None). WAIT and SKIP with a direction have no plan but
    ``counterfactual_entry_price``, ``_stop_price`` and ``_target_price``: what would have been.

    Where ``judged`` already has ``atr`` and ``normal_atr``, they are used, so that a stored row
    can be planned again for another account.
    """
    account = account or Account()
    if not {"atr", "normal_atr"} <= set(judged.columns):
        atr, normal = atr_columns(judged)
        judged = judged.assign(atr=atr, normal_atr=normal)
    levels = _levels(judged)
    sized = _sizes(judged, levels, account)
    refused = sized["no_plan"]
    traded = np.array([reason is None for reason in refused], dtype=bool)
    skipped = np.isin(judged["verdict"].astype(object).to_numpy(), ("WAIT", "SKIP")) & levels["any"]
    kept = {name: np.where(traded, values, np.nan) for name, values in sized["numbers"].items()}
    prices = {
        name: np.where(traded, levels[name], np.nan)
        for name in ("entry_price", "stop_price", "target_price")
    }
    shadows = {f"counterfactual_{name}": np.where(skipped, levels[name], np.nan) for name in prices}
    cap = np.where(traded, sized["binding_cap"], None)
    return judged.assign(**prices, **kept, binding_cap=cap, no_plan=refused, **shadows)


def _levels(judged: pd.DataFrame) -> dict[str, Any]:
    """Entry, stop and target of every row with a direction, traded or not."""
    modes = judged["risk_mode"].astype(object).to_numpy()
    direction = judged["direction"].to_numpy(dtype=np.float64)
    stops = pd.Series(modes).map({m: level[0] for m, level in _LEVELS.items()})
    rewards = pd.Series(modes).map({m: level[1] for m, level in _LEVELS.items()})
    entry = judged["close"].to_numpy(dtype=np.float64)
    distance = stops.to_numpy(dtype=np.float64) * judged["atr"].to_numpy(dtype=np.float64)
    stop = entry - direction * distance
    target = entry + direction * rewards.to_numpy(dtype=np.float64) * distance
    with np.errstate(invalid="ignore"):
        directed = np.abs(direction) == 1
        possible = directed & (distance > 0) & (stop > 0) & (target > 0)
    return {
        "entry_price": entry,
        "stop_price": stop,
        "target_price": target,
        "distance": distance,
        "direction": direction,
        "any": possible,
    }


def _sizes(judged: pd.DataFrame, levels: dict[str, Any], account: Account) -> dict[str, Any]:
    """Quantity of every row, what bound it, and why a row has no plan."""
    entry, distance, direction = levels["entry_price"], levels["distance"], levels["direction"]
    multiplier = judged["multiplier"].to_numpy(dtype=np.float64)
    risk = account.equity_usd * account.risk_fraction
    with np.errstate(invalid="ignore", divide="ignore"):
        base = risk / (_BASE_STOP_ATR * judged["normal_atr"].to_numpy(dtype=np.float64))
        wanted = risk * multiplier / distance
        within = np.clip(wanted, SIZE_FLOOR * base, SIZE_CEILING * base)
        leveraged = account.equity_usd * account.leverage / entry
        capped = np.minimum(within, leveraged)
        liquidation = entry * (1 - direction * (1 / account.leverage - account.maintenance_margin))
        beyond = direction * (levels["stop_price"] - liquidation) <= 0
        over_risk = within * distance > risk * np.maximum(multiplier, 1) * (1 + 1e-9)
    cap = np.select(
        [leveraged < within, within < wanted, within > wanted],
        ["leverage", "size ceiling", "size floor"],
        "none",
    )
    candidates = np.isin(judged["verdict"].astype(object).to_numpy(), ("CONFIRM", "DOWNSIZE"))
    lots = _lots(judged.index, account)
    quantity = _round_down(capped, lots, candidates & levels["any"])
    with np.errstate(invalid="ignore", divide="ignore"):
        size = quantity / base
        # The size is rounded down once more where a lot is a large part of it.
        cap = np.where((cap == "none") & (quantity < 0.99 * capped), "lot", cap)
    numbers = {
        "liquidation_price": liquidation,
        "quantity": quantity,
        "notional_usd": quantity * entry,
        "risk_usd": quantity * distance,
        "size_multiplier": size,
    }
    reasons = _refusals(judged, levels, candidates, beyond, over_risk, quantity, size, account)
    return {"numbers": numbers, "binding_cap": cap.astype(object), "no_plan": reasons}


def _refusals(
    judged: pd.DataFrame,
    levels: dict[str, Any],
    candidates: npt.NDArray[np.bool_],
    beyond: npt.NDArray[np.bool_],
    over_risk: npt.NDArray[np.bool_],
    quantity: Floats,
    size: Floats,
    account: Account,
) -> npt.NDArray[np.object_]:
    direction = levels["direction"]
    verdict = judged["verdict"].astype(object).to_numpy()
    unknown_range = np.isnan(levels["distance"]) | np.isnan(
        judged["normal_atr"].to_numpy(dtype=np.float64)
    )
    cases = [
        (np.isnan(direction), "no signal"),
        (direction == 0, "no direction"),
        (verdict == "WAIT", "the verdict is WAIT"),
        (verdict == "SKIP", "the verdict is SKIP"),
        (unknown_range, "no average true range: under 14 closed 4 h bars"),
        (~levels["any"], "the stop or the target would lie below zero"),
        (
            beyond,
            f"at {account.leverage:g}x the position is liquidated before the stop; use less leverage",
        ),
        (over_risk, "volatility is so high that the smallest size would risk more than you allow"),
        (quantity <= 0, "the size is under one lot; raise the equity or the risk"),
        # A leverage or a lot far under the size asked for leaves less than the smallest size.
        (
            size < SIZE_FLOOR * (1 - 1e-9),
            "leverage or lot leave less than a quarter of the normal size",
        ),
    ]
    reasons = np.select(
        [mask for mask, _ in cases] + [~candidates],
        [text for _, text in cases] + ["no verdict"],
        "",
    ).astype(object)
    reasons[reasons == ""] = None
    return reasons


def _lots(index: pd.Index, account: Account) -> list[Decimal] | Decimal:
    if not account.lots:
        return account.lot
    return [account.lots.get(symbol, account.lot) for symbol in index.get_level_values("symbol")]


def _round_down(
    quantity: Floats, lots: list[Decimal] | Decimal, rows: npt.NDArray[np.bool_]
) -> Floats:
    """Whole lots, rounded down in decimal arithmetic; NaN outside ``rows``."""
    rounded = np.full(len(quantity), np.nan)
    for at in np.flatnonzero(rows & np.isfinite(quantity)).tolist():
        lot = lots if isinstance(lots, Decimal) else lots[at]
        rounded[at] = float(Decimal(repr(float(quantity[at]))) // lot * lot)
    return rounded


def bar_hours(step_ns: int) -> float:
    """Length of a bar in hours."""
    return step_ns / HOUR_NS
