"""From values as they were published to what was known in every row of a market frame.

Rows and values are tables with the columns ``code`` (the symbol as a number) and a time in
microseconds since 1970: ``time_us`` of a row, ``known_us`` from when on a value was known. Both
are sorted by symbol, then time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.market.files import HOUR_US, VENUES, Integers

Floats = NDArray[np.float64]


class Held(NamedTuple):
    """What a source shows in every row: its columns, and hours since that was published."""

    values: dict[str, Floats]
    age: Floats


def venue_rank(name: str) -> tuple[int, str]:
    """Sorts venues by `VENUES`, and others after them by name."""
    return (VENUES.index(name) if name in VENUES else len(VENUES), name)


def one_venue(known: pd.DataFrame) -> pd.DataFrame:
    """Only the rows of the venue that counts for a symbol at the time of the row.

    That is the first of `VENUES` among those that have published something of the symbol by then;
    it stays when it falls silent, so that a gap shows as a gap and not as a jump to another venue.
    """
    names = sorted(known["venue"].unique(), key=venue_rank)
    if len(names) <= 1:
        return known
    first = known.groupby(["symbol", "venue"])["known_us"].min().unstack()[names]
    taken_over_at = first.cummin(axis=1).shift(axis=1).stack()
    wanted = pd.MultiIndex.from_frame(known[["symbol", "venue"]])
    limit = taken_over_at.reindex(wanted).to_numpy()
    return known[~(known["known_us"].to_numpy() >= limit)]


def own_step(known: pd.DataFrame, stated_us: int) -> Integers:
    """Microseconds between a series' values, as far as it could be told when each came.

    The lower median of the spacings up to the value itself, so that an outage does not stretch it;
    the stated step where there is only one value yet.
    """
    spacing = known.groupby("code")["known_us"].diff()
    middle = spacing.groupby(known["code"]).expanding().quantile(0.5, interpolation="lower")
    return middle.fillna(stated_us).to_numpy().astype(np.int64)


def hold(
    rows: pd.DataFrame, known: pd.DataFrame, columns: Sequence[str], step_us: Integers
) -> Held:
    """Each row's newest value published by then; NaN once older than twice the value's step."""
    at = _newest(rows, known)
    if not len(known):
        nothing = np.full(len(rows), np.nan)
        return Held({name: nothing.copy() for name in columns}, nothing)
    age_us = rows["time_us"].to_numpy() - known["known_us"].to_numpy()[at]
    fresh = (at >= 0) & (age_us <= 2 * step_us[at])
    values = {name: np.where(fresh, known[name].to_numpy()[at], np.nan) for name in columns}
    return Held(values, _age_where_shown(values, age_us / HOUR_US))


def spread(rows: pd.DataFrame, totals: pd.DataFrame, columns: Sequence[str]) -> Held:
    """Totals over k hours as total / k in the k hourly rows from their publication on.

    Their sum over time is the total, and no row knows it early. Totals whose hours overlap, because
    one came late, add up. Of a total published twice the first publication counts. Rows that no
    total covers are NaN; a total of 0 is 0.
    """
    totals = totals.sort_values(["code", "known_us"], kind="stable")
    totals = totals.drop_duplicates(["code", "open_us"]).reset_index(drop=True)
    hours = _hours_covered(totals)
    source = np.repeat(np.arange(len(totals)), hours)
    offset = np.arange(len(source)) - np.repeat(np.cumsum(hours) - hours, hours)
    parts = pd.DataFrame(
        {name: (totals[name].to_numpy() / hours)[source] for name in columns}
        | {
            "code": totals["code"].to_numpy()[source],
            "hour": _hour_from(totals["known_us"])[source] + offset,
            "known_us": totals["known_us"].to_numpy()[source],
        }
    )
    grouped = parts.groupby(["code", "hour"])
    hourly = grouped[list(columns)].sum(min_count=1)
    wanted = pd.MultiIndex.from_arrays([rows["code"], _hour_from(rows["time_us"])])
    shown = hourly.reindex(wanted)
    known_us = grouped["known_us"].max().reindex(wanted).to_numpy(dtype=np.float64)
    values = {name: shown[name].to_numpy(dtype=np.float64) for name in columns}
    return Held(values, _age_where_shown(values, (rows["time_us"].to_numpy() - known_us) / HOUR_US))


def _newest(rows: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.intp]:
    """Position in ``known`` of the newest value of the row's symbol, -1 where there is none yet."""
    if not len(known) or not len(rows):
        return np.full(len(rows), -1)
    origin = min(rows["time_us"].min(), known["known_us"].min())
    span = max(rows["time_us"].max(), known["known_us"].max()) - origin + 1
    key = known["code"].to_numpy() * span + (known["known_us"].to_numpy() - origin)
    asked = rows["code"].to_numpy() * span + (rows["time_us"].to_numpy() - origin)
    at = np.searchsorted(key, asked, side="right") - 1
    same = known["code"].to_numpy()[at] == rows["code"].to_numpy()
    return np.where(same, at, -1)


def _hours_covered(totals: pd.DataFrame) -> Integers:
    """Whole hours each total is about, at least 1.

    It began at open_us and had ended when it was published; one that came late is cut to the length
    of the period before it.
    """
    until_published = totals["known_us"] - totals["open_us"]
    since_last = totals.groupby("code")["open_us"].diff()
    since_last = since_last.where(since_last > 0)
    shorter = np.fmin(until_published.to_numpy(dtype=np.float64), since_last.to_numpy())
    hours: Integers = np.maximum(shorter // HOUR_US, 1).astype(np.int64)
    return hours


def _hour_from(time_us: pd.Series) -> Integers:
    """Number of the first full hour at or after a time."""
    hours: Integers = -(-time_us.to_numpy(dtype=np.int64) // HOUR_US)
    return hours


def _age_where_shown(values: dict[str, Floats], age: Floats) -> Floats:
    shown = np.logical_or.reduce([~np.isnan(column) for column in values.values()])
    return np.where(shown, age, np.nan)
