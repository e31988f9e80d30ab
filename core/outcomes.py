"""What became of a signal: returns at fixed horizons, and whether stop or target came first.

Everything is read from stored bars, so a late job gives the same numbers as a punctual one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from core.market.frame import labels
from core.market.grid import HOUR_NS, Floats, Grid, Ints, index_arrays

Flags = npt.NDArray[np.bool_]
HORIZONS: tuple[str, ...] = ("1h", "4h", "24h")

BARRIERS: tuple[str, ...] = ("stop", "target", "horizon")
_STOP, _TARGET, _HORIZON = range(3)
_UNKNOWN, _OPEN = -1, -2

_KEPT = ("direction", "verdict", "risk_mode", "multiplier", "score", "coverage")


class Costs(BaseModel):
    """What a round trip costs besides the price.

    Fees and slippage are charged at entry and at exit. Funding is charged for the hours held at
    the rate in force; where that rate is unknown, ``assumed_funding_8h`` is charged to either
    side and the outcome says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    taker_fee: Annotated[float, Field(ge=0, le=0.05)] = 0.0005
    slippage_bps: Annotated[float, Field(ge=0, le=500)] = 2
    assumed_funding_8h: Annotated[float, Field(ge=0, le=0.05)] = 0.0001

    @property
    def round_trip(self) -> float:
        """Fees and slippage of entry and exit together, a fraction of the notional."""
        return 2 * (self.taker_fee + self.slippage_bps / 10_000)


def resolve(
    planned: pd.DataFrame,
    bars: pd.DataFrame,
    horizons: Sequence[str] | str = HORIZONS,
    costs: Costs | None = None,
) -> pd.DataFrame:
    """Outcomes of every planned row that has a direction, traded or not.

    ``bars`` is a market frame with open, high, low, close and, where known, funding_rate_8h; it
    may reach far beyond ``planned`` without changing a number. The result has the index (symbol,
    time, horizon) and only finished outcomes: the bar after the signal and the bar at the horizon
    are both there. Returns are fractions, signed by the direction: ``gross_return`` of the price,
    ``net_return`` after fees, slippage and funding, ``long_net_return`` of always being long,
    ``opposite_net_return`` of the other direction.
    ``r_multiple`` is net_return in units of the distance to the stop. ``barrier`` tells which came
    first within the horizon ("stop", "target", or "horizon" for neither; the stop where one bar
    reached both; missing where a bar of the path is missing or the entry lies beyond a level), ``barrier_r`` the net R of a trade
    that left there; ``mae_r`` and ``mfe_r`` the worst and best excursion in R. ``traded`` is False
    for SKIP and WAIT, whose outcomes are counterfactual, and for refused plans.
    """
    costs = costs or Costs()
    horizons = [horizons] if isinstance(horizons, str) else horizons
    direction = planned["direction"].to_numpy(dtype=np.float64)
    rows = np.flatnonzero(np.abs(direction) == 1)
    path = _Path.of(planned, bars, rows, costs)
    parts = [_at_horizon(planned, rows, path, horizon, costs) for horizon in horizons]
    if not parts:
        raise ValueError("name at least one horizon, for example 1h")
    return pd.concat(parts).sort_index()


@dataclass(frozen=True)
class _Path:
    """The bars after each followed row, and the levels its trade would watch."""

    grid: Grid
    symbol: Ints  # of each row in the grid, -1 where the bars do not have it
    column: Ints  # of the row's own bar, which may lie before the first stored bar
    direction: Floats
    entry: Floats
    stop: Floats
    target: Floats
    prices: dict[str, Floats]

    @classmethod
    def of(cls, planned: pd.DataFrame, bars: pd.DataFrame, rows: Ints, costs: Costs) -> _Path:
        grid = Grid.of(bars.index)
        symbol, column = _locate(planned.index, bars.index, grid, rows)
        prices = {name: _dense(bars, grid, name) for name in ("open", "high", "low", "close")}
        prices |= _funding_columns(bars, grid, costs)
        stop, target = (_either(planned, rows, name) for name in ("stop_price", "target_price"))
        path = cls(
            grid,
            symbol,
            column,
            planned["direction"].to_numpy(dtype=np.float64)[rows],
            np.empty(0),
            stop,
            target,
            prices,
        )
        return cls(**{**path.__dict__, "entry": path.at("open", 1)})

    def at(self, name: str, ahead: int) -> Floats:
        """The value ``ahead`` bars after each row's own, NaN beyond the last bar."""
        column = self.column + ahead
        inside = (self.symbol >= 0) & (column >= 0) & (column < self.grid.shape[1])
        if not inside.any():
            return np.full(len(column), np.nan)
        cells = np.where(inside, self.symbol * self.grid.shape[1] + column, 0)
        return np.where(inside, self.prices[name][cells], np.nan)


def _locate(index: pd.Index, bar_index: pd.Index, grid: Grid, rows: Ints) -> tuple[Ints, Ints]:
    assert isinstance(index, pd.MultiIndex)
    order = pd.Index(bar_index.get_level_values(0)[grid.first_rows])
    codes, times = index_arrays(index)
    symbol = order.get_indexer(index.levels[0])[codes[rows]]
    column, rest = np.divmod(times[rows] - grid.start_ns, grid.step_ns)
    return np.where(rest == 0, symbol, -1), column


def _dense(bars: pd.DataFrame, grid: Grid, name: str) -> Floats:
    if name not in bars.columns:
        return np.full(grid.shape[0] * grid.shape[1], np.nan)
    return grid.spread(bars[name].to_numpy()).reshape(-1)


def _funding_columns(bars: pd.DataFrame, grid: Grid, costs: Costs) -> dict[str, Floats]:
    """Cumulative funding a long pays per bar (fraction), and the count of bars without a rate."""
    hours = grid.step_ns / HOUR_NS
    rate = _dense(bars, grid, "funding_rate_8h")
    unknown = np.isnan(rate)
    return {
        "paid": np.where(unknown, 0.0, rate * hours / 8),
        "assumed": np.where(unknown, costs.assumed_funding_8h * hours / 8, 0.0),
    }


def _either(planned: pd.DataFrame, rows: Ints, name: str) -> Floats:
    own = planned[name].to_numpy(dtype=np.float64)[rows]
    shadow = f"counterfactual_{name}"
    if shadow not in planned.columns:
        return own
    return np.where(np.isnan(own), planned[shadow].to_numpy(dtype=np.float64)[rows], own)


def _at_horizon(
    planned: pd.DataFrame, rows: Ints, path: _Path, horizon: str, costs: Costs
) -> pd.DataFrame:
    length = pd.Timedelta(horizon)
    ahead, rest = divmod(int(length.value), path.grid.step_ns)
    if ahead < 1 or rest:
        raise ValueError(f"horizon {horizon} is not a whole number of bars")
    entry, exit_ = path.entry, path.at("close", ahead)
    done = np.flatnonzero((entry > 0) & (exit_ > 0))
    walked = _walk(path, ahead, costs)
    move = exit_ / entry - 1
    gross = path.direction * move
    paid, assumed = walked["paid"], walked["assumed"]
    net = gross - costs.round_trip - path.direction * paid - assumed
    risk = np.abs(path.stop - entry) / entry
    frame = pd.DataFrame(
        {
            "entry_price": entry,
            "exit_price": exit_,
            "gross_return": gross,
            "net_return": net,
            "long_net_return": move - costs.round_trip - paid - assumed,
            "opposite_net_return": path.direction * paid - gross - costs.round_trip - assumed,
            "r_multiple": np.where(walked["sound"], net / risk, np.nan),
            "barrier": labels(walked["barrier"], BARRIERS, pd.RangeIndex(len(entry))),
            "barrier_r": walked["barrier_r"],
            "mae_r": walked["mae_r"],
            "mfe_r": walked["mfe_r"],
            "funding_assumed": assumed > 0,
        }
    ).iloc[done]
    kept = planned.iloc[rows[done]]
    for number, name in enumerate(_KEPT):
        values = kept[name].array if name in kept else np.nan
        frame.insert(number, name, values)
    traded = np.isfinite(kept["entry_price"].to_numpy(dtype=np.float64))
    frame.insert(len(_KEPT), "traded", traded)
    times = kept.index.get_level_values(1)
    frame.insert(len(_KEPT) + 1, "entry_at", times)
    frame.insert(len(_KEPT) + 2, "exit_at", times + length)
    frame.index = pd.MultiIndex.from_arrays(
        [kept.index.get_level_values(0), times, np.repeat(horizon, len(kept))],
        names=["symbol", "time", "horizon"],
    )
    return frame


def _walk(path: _Path, ahead: int, costs: Costs) -> dict[str, Any]:
    """Go through the bars of the horizon once, all rows together."""
    d, entry, stop, target = path.direction, path.entry, path.stop, path.target
    size = len(d)
    with np.errstate(invalid="ignore"):
        distance = d * (entry - stop)
        sound = (distance > 0) & (d * (target - entry) > 0)
    best, worst = np.zeros(size), np.zeros(size)
    paid, assumed = np.zeros(size), np.zeros(size)
    held = np.zeros(size)
    barrier = np.full(size, _OPEN)
    fill = np.full(size, np.nan)
    broken = np.zeros(size, dtype=bool)
    for step in range(1, ahead + 1):
        first, high, low = path.at("open", step), path.at("high", step), path.at("low", step)
        missing = np.isnan(first) | np.isnan(high) | np.isnan(low)
        near, far = np.where(d > 0, low, high), np.where(d > 0, high, low)
        paid += np.nan_to_num(path.at("paid", step))
        assumed += np.nan_to_num(path.at("assumed", step))
        worst = np.fmin(worst, d * (near - entry))
        best = np.fmax(best, d * (far - entry))
        open_ = sound & (barrier == _OPEN)
        barrier[open_ & missing] = _UNKNOWN
        with np.errstate(invalid="ignore"):
            stopped = open_ & ~missing & (d * (near - stop) <= 0)
            taken = open_ & ~missing & ~stopped & (d * (far - target) >= 0)
            # A bar that opens beyond the stop fills at its open, which is worse.
            at_stop = np.where(d * (first - stop) < 0, first, stop)
        barrier[stopped], barrier[taken] = _STOP, _TARGET
        fill = np.where(stopped, at_stop, np.where(taken, target, fill))
        left = stopped | taken
        held = np.where(left, d * paid + assumed, held)
        broken |= missing
    ended = sound & (barrier == _OPEN)
    barrier[ended] = _HORIZON
    fill = np.where(ended, path.at("close", ahead), fill)
    held = np.where(ended, d * paid + assumed, held)
    with np.errstate(invalid="ignore", divide="ignore"):
        left_r = (d * (fill - entry) - entry * (costs.round_trip + held)) / distance
        whole = sound & ~broken
        return {
            "paid": paid,
            "assumed": assumed,
            "sound": sound,
            "barrier": np.where(barrier < 0, -1, barrier),
            "barrier_r": np.where(sound, left_r, np.nan),
            "mae_r": np.where(whole, worst / distance, np.nan),
            "mfe_r": np.where(whole, best / distance, np.nan),
        }
