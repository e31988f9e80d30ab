"""What reported liquidations add up to, and when they were not heard.

Sums are frames of rows with columns slot (when the stretch of time begins), symbol, venue, long_usd
and short_usd. Longs and shorts are never netted. A venue that passes on what another venue reported
is named "provider:venue".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

SIDES = ("long_usd", "short_usd")
GAP_COLUMNS = ("venue", "started_at", "ended_at", "reason", "lost")
# A stream that lives is noted every few seconds, and is pinged four times a minute.
SILENT = timedelta(seconds=60)
_NOBODY_YET = "Nobody listened yet."
_NOBODY_NOW = "Nobody listens: no worker has noted anything since then."


def stream_of(venue: str) -> str:
    """The stream that a venue's events come by.

    >>> stream_of("okx"), stream_of("coinglass:bitget")
    ('okx', 'coinglass')
    """
    return venue.partition(":")[0]


def repeated(venues: Collection[str]) -> set[str]:
    """Venues whose events a provider passes on although the venue's own stream is followed too.

    >>> repeated(["okx", "coinglass:okx", "coinglass:bitget"])
    {'coinglass:okx'}
    """
    own = {venue for venue in venues if ":" not in venue}
    return {venue for venue in venues if venue not in own and venue.partition(":")[2] in own}


def settled_before(now: datetime) -> datetime:
    """The full five minutes that lie a quarter of an hour back: sums before them rarely change.

    >>> settled_before(datetime(2026, 1, 1, 12, 33, 20)).strftime("%H:%M")
    '12:15'
    """
    back = now - timedelta(minutes=15)
    return back.replace(minute=back.minute // 5 * 5, second=0, microsecond=0)


def choose(
    sums: pd.DataFrame, venues: Collection[str], symbols: Collection[str] = ()
) -> pd.DataFrame:
    """Rows of these venues, and of these symbols where there are any."""
    kept = sums["venue"].isin(list(venues))
    return sums[kept & sums["symbol"].isin(list(symbols))] if symbols else sums[kept]


def add_up(sums: pd.DataFrame, slots: pd.DatetimeIndex) -> pd.DataFrame:
    """Longs and shorts of every slot, 0 where nothing was reported; index slot."""
    added = sums.groupby("slot", observed=True)[list(SIDES)].sum()
    return added.reindex(slots, fill_value=0.0)


def rank(sums: pd.DataFrame, by: str) -> pd.DataFrame:
    """Longs and shorts of every venue or symbol, the largest together first; index ``by``."""
    added = sums.groupby(by, observed=True)[list(SIDES)].sum(min_count=1).dropna(how="all")
    order = added.sum(axis=1).sort_values(ascending=False, kind="stable").index
    return added.loc[order]


def complete_gaps(
    gaps: pd.DataFrame,
    first_known: pd.Series,
    streams: pd.DataFrame,
    start: datetime,
    now: datetime,
) -> pd.DataFrame:
    """The gaps that are stored, and those that nobody was there to store; the newest first.

    ``gaps`` has `GAP_COLUMNS`, ``ended_at`` NaT while one lasts. ``first_known`` is by stream when
    it was first followed: before that nothing is known. ``streams`` is by stream, and one that was
    not heard for `SILENT` without a gap has one since then.
    """
    made = [
        (venue, start, began, _NOBODY_YET, 0)
        for venue, began in first_known.items()
        if began > start
    ]
    lasting = set(gaps.loc[gaps["ended_at"].isna(), "venue"])
    made += [
        (venue, row["heard_at"], None, _NOBODY_NOW, 0)
        for venue, row in streams.iterrows()
        if venue not in lasting and pd.notna(row["heard_at"]) and now - row["heard_at"] > SILENT
    ]
    rows = [*gaps[list(GAP_COLUMNS)].itertuples(index=False, name=None), *made]
    joined = sorted(_joined(rows), key=lambda row: row[1], reverse=True)
    found = pd.DataFrame(joined, columns=list(GAP_COLUMNS))
    for name in ("started_at", "ended_at"):
        found[name] = pd.to_datetime(found[name], utc=True).astype("datetime64[us, UTC]")
    return found


def of_streams(gaps: pd.DataFrame, venues: Iterable[str]) -> pd.DataFrame:
    """The gaps of the streams that these venues come by."""
    return gaps[gaps["venue"].isin({stream_of(venue) for venue in venues})]


def unheard(slots: pd.DatetimeIndex, step: timedelta, gaps: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a gap touches each slot."""
    starts = slots.as_unit("us").asi8
    ends = starts + int(step / timedelta(microseconds=1))
    missing = np.zeros(len(slots), dtype=bool)
    began = pd.DatetimeIndex(gaps["started_at"]).as_unit("us").asi8
    ended = pd.DatetimeIndex(gaps["ended_at"]).as_unit("us")
    last = np.where(ended.isna(), np.iinfo(np.int64).max, ended.asi8)
    for first, end in zip(began.tolist(), last.tolist(), strict=True):
        missing |= (starts < end) & (ends > first)
    return missing


def stretches(
    gaps: pd.DataFrame, start: datetime, end: datetime
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The time from ``start`` to ``end`` that any of the gaps covers, in order and apart."""
    spans = sorted(
        (max(pd.Timestamp(began), pd.Timestamp(start)), _until(ended, end))
        for began, ended in zip(gaps["started_at"], gaps["ended_at"], strict=True)
        if began < end and not ended <= start
    )
    joined: list[tuple[pd.Timestamp, pd.Timestamp]] = []
    for first, last in spans:
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def slots_of(start: datetime, end: datetime, step: timedelta) -> pd.DatetimeIndex:
    """The beginnings of all slots from ``start`` to before ``end``."""
    return pd.date_range(start, end, freq=step, inclusive="left", name="slot").as_unit("us")


def ceil_time(time: datetime, step: timedelta) -> datetime:
    """The first whole step at or after a time."""
    return pd.Timestamp(time).ceil(step).to_pydatetime(warn=False)


def floor_time(time: datetime, step: timedelta) -> datetime:
    """The last whole step at or before a time."""
    return pd.Timestamp(time).floor(step).to_pydatetime(warn=False)


def _until(ended: pd.Timestamp, end: datetime) -> pd.Timestamp:
    return pd.Timestamp(end) if pd.isna(ended) else min(ended, pd.Timestamp(end))


def _joined(gaps: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Gaps of a stream that follow each other for the same reason, as one."""
    kept: list[list[Any]] = []
    for row in sorted(gaps, key=lambda row: row[:2]):
        before = kept[-1] if kept else None
        if before and before[0] == row[0] and before[2] == row[1] and before[3] == row[3]:
            before[2], before[4] = row[2], before[4] + row[4]
        else:
            kept.append(list(row))
    return kept


def names(values: Iterable[str]) -> Sequence[str]:
    """Different names, sorted, as a key that is always the same."""
    return tuple(sorted(set(values)))
