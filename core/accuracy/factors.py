"""What each factor knew of the return after it, and which factors say the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from core.accuracy.cells import day_numbers
from core.accuracy.eras import Eras
from core.market.grid import Floats, Grid, shift
from core.outcomes import HORIZONS
from core.signals.factors import Market
from core.signals.profile import FACTORS, Windows

_DAY_NS = 86_400_000_000_000
_SUMS = ["n", "sum_product", "sum_factor_squared", "sum_other_squared"]
_FULL = 3.0


def factor_sums(
    scored: pd.DataFrame, windows: Windows, horizons: Sequence[str] = HORIZONS
) -> pd.DataFrame:
    """Sums of products per UTC day, over all symbols: index (day, factor, other).

    ``scored`` is a market frame with the columns of `core.signals.score`, its bars hourly or finer.
    ``other`` is another factor (then the day is that of the bar, and each pair stands once), or a
    horizon: then it is the log return from the open of the next bar to the close at the horizon, in
    units of what the symbol's hourly deviation over the 30 days before and its length make usual,
    and the day is that on which it ended. Columns ``n``, ``sum_product``, ``sum_factor_squared``,
    ``sum_other_squared``; a day without both sides has no row.

    A factor is taken as the score takes it: the distance from normal in standard deviations, clipped
    to three, above 0 where it is bullish; fear & greed, which has no normal, as its distance from 50
    on the same scale.
    """
    market = Market(scored, windows)
    values = {
        name: (market.column(f"factor_{name}") - 50) * (_FULL / 50)
        for name in FACTORS
        if f"factor_{name}" in scored.columns
    }
    parts = [*_pairs(market.grid, values), *_forward(market, values, horizons)]
    if not parts:
        names = ["day", "factor", "other"]
        empty = pd.MultiIndex.from_arrays([[] for _ in names], names=names)
        return pd.DataFrame(columns=_SUMS, index=empty, dtype=np.float64)
    table = pd.concat(parts)
    return table.set_index(["day", "factor", "other"]).sort_index()


def _pairs(grid: Grid, values: dict[str, Floats]) -> Iterator[pd.DataFrame]:
    for one, other in combinations(values, 2):
        yield _by_day(grid, 0, one, values[one], other, values[other])


def _forward(
    market: Market, values: dict[str, Floats], horizons: Sequence[str]
) -> Iterator[pd.DataFrame]:
    with np.errstate(divide="ignore", invalid="ignore"):
        opened = np.log(market.column("open"))
    entry = _ahead(opened, 1)
    for horizon in horizons:
        hours = pd.Timedelta(horizon) / pd.Timedelta("1h")
        bars = market.grid.bars(hours)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = (_ahead(market.log_price, bars) - entry) / (market.volatility * np.sqrt(hours))
        for name, value in values.items():
            yield _by_day(market.grid, bars, name, value, horizon, moved)


def _ahead(values: Floats, bars: int) -> Floats:
    return shift(values[:, ::-1], bars)[:, ::-1]


def _by_day(
    grid: Grid, bars: int, factor: str, left: Floats, other: str, right: Floats
) -> pd.DataFrame:
    """Sums over symbols and bars; the day is that ``bars`` after the bar."""
    known = ~np.isnan(left) & ~np.isnan(right)
    a, b = np.where(known, left, 0.0), np.where(known, right, 0.0)
    columns = np.arange(grid.shape[1])
    day = (grid.start_ns + (columns + bars) * grid.step_ns) // _DAY_NS
    days, place = np.unique(day, return_inverse=True)
    sums = [
        np.bincount(place, weights=part.sum(axis=0), minlength=len(days))
        for part in (known, a * b, a**2, b**2)
    ]
    table = pd.DataFrame(dict(zip(_SUMS, sums, strict=True)))
    table.insert(0, "day", pd.to_datetime(days * _DAY_NS, utc=True))
    table.insert(1, "factor", factor)
    table.insert(2, "other", other)
    return table[table["n"] > 0]


def information(factor_days: pd.DataFrame) -> pd.DataFrame:
    """How each factor went with the return after it: one row per factor and horizon.

    ``factor_days`` has the index and columns of `factor_sums`, or the same as columns. ``ic`` is the
    uncentred correlation of the factor with the return in units of its usual size, -1..1, over ``n``
    bars of all symbols: sum of products over the root of the product of the sums of squares. Nothing
    is centred or ranked within the period: where a factor follows the price, its high of the period
    is only known afterwards, and centring by it makes an edge out of nothing. ``low`` and ``high``
    are the 95 % t interval over ten eras of days (`core.accuracy.eras`) of the slope through zero,
    sum of products over sum of the factor's squares, brought to the scale of ``ic``: the sums of
    products of a factor that follows the price are skewed, less so over squares that grow with them.
    Without an edge, a z-score of the price level is still found significant in 5 to 7 % of runs with
    one market, and in 8 to 9 % with twenty that move together (1,000 runs).
    ``note`` says why there is none.
    """
    flat = _flat(factor_days)
    flat = flat[~flat["other"].isin(FACTORS)]
    rows = [
        _information(str(f), str(h), part) for (f, h), part in flat.groupby(["factor", "other"])
    ]
    columns = ["factor", "horizon", "ic", "low", "high", "n", "note"]
    table = pd.DataFrame(rows, columns=columns)
    table["note"] = table["note"].astype(object).where(table["note"].notna(), None)
    order = {name: rank for rank, name in enumerate(FACTORS)}
    table["rank"] = table["factor"].map(order)
    table["length"] = [pd.Timedelta(name) for name in table["horizon"]]
    return table.sort_values(["rank", "length"])[columns].reset_index(drop=True)


def _information(factor: str, horizon: str, part: pd.DataFrame) -> dict[str, object]:
    part = part.groupby("day", sort=True)[_SUMS].sum()
    n, product, squared, other = (part[name].to_numpy(dtype=np.float64)[None] for name in _SUMS)
    length = np.array([pd.Timedelta(horizon) / pd.Timedelta("1D")])
    eras = Eras.of(n, day_numbers(part.index), length)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = eras.mean(product, squared)
        scale = np.sqrt(squared.sum() / other.sum())
    low, high = np.clip((slope.low[0] * scale, slope.high[0] * scale), -1, 1)
    return {
        "factor": factor,
        "horizon": horizon,
        "ic": slope.estimate[0] * scale,
        "low": low,
        "high": high,
        "n": int(n.sum()),
        "note": eras.note[0],
    }


def correlations(factor_days: pd.DataFrame) -> pd.DataFrame:
    """Matrix of uncentred correlations between factors, as `factor_sums` takes them; index factor.

    1 on the diagonal, NaN where two were never known together; how many bars each rests on is in
    ``attrs["n"]``, by factor and factor. Above 0 two factors pull the score the same way, and
    near 1 the second repeats the first; all are bullish above 0, so the sign is not that of the
    correlation of their raw inputs where one of two is contrarian.
    """
    flat = _flat(factor_days)
    sums = flat[flat["other"].isin(FACTORS)].groupby(["factor", "other"])[_SUMS].sum()
    matrix = pd.DataFrame(np.nan, index=pd.Index(FACTORS, name="factor"), columns=list(FACTORS))
    counts = pd.DataFrame(0, index=matrix.index, columns=list(FACTORS))
    scale = np.sqrt(sums["sum_factor_squared"] * sums["sum_other_squared"])
    found: pd.Series = (sums["sum_product"] / scale).where(scale > 0)
    for (one, other), value, n in zip(sums.index, found, sums["n"], strict=True):
        matrix.loc[one, other] = matrix.loc[other, one] = value
        counts.loc[one, other] = counts.loc[other, one] = int(n)
    for name in FACTORS:
        if counts.loc[name].sum():
            matrix.loc[name, name] = 1.0
    matrix.attrs["n"] = counts.to_dict()
    return matrix


def _flat(factor_days: pd.DataFrame) -> pd.DataFrame:
    return factor_days if "factor" in factor_days.columns else factor_days.reset_index()
