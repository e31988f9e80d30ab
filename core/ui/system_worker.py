"""How the work on a live market goes on: rounds, what is late or missing, and the streams."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import pandas as pd

from core.jobs.round import newest_bar
from core.store.operation import WATCHED, Operation

HOUR = timedelta(hours=1)
# A stream that lives answers a ping every 15 s.
SILENT_AFTER = timedelta(minutes=1)
StreamWord = Literal["live", "connecting", "down", "silent", "followed by nobody", "not begun"]


@dataclass(frozen=True)
class Rounds:
    """The rounds of the last 24 hours, ``state`` and ``message`` of the newest bar's. ``median`` and ``worst`` are from a bar's close to the end of
    its round; ``unfinished`` are bars without a finished round, with the markets stored all the same.
    """

    newest: datetime
    median: timedelta | None
    worst: timedelta | None
    unfinished: dict[datetime, int]
    state: str
    message: str


def summarise_rounds(operation: Operation, now: datetime) -> Rounds:
    """What the rounds of an operation come to; bars before the first round are the past's."""
    newest, rounds = newest_bar(now), operation.rounds
    done = rounds[rounds["state"] == "done"]
    lags = sorted(end - bar for bar, end in _ended(done))
    first = operation.first_round_at
    bars = [newest - HOUR * back for back in range(int(WATCHED / HOUR))]
    return Rounds(
        newest,
        lags[len(lags) // 2] if lags else None,
        lags[-1] if lags else None,
        {
            bar: operation.stored.get(bar, 0)
            for bar in bars
            if first is not None and bar >= first and bar not in done.index
        },
        as_text(rounds["state"].get(newest)),
        as_text(rounds["message"].get(newest)),
    )


def last_done(operation: Operation) -> tuple[datetime, datetime] | None:
    """The newest bar whose round is done, and when it was."""
    rounds = operation.rounds
    return next(iter(_ended(rounds[rounds["state"] == "done"])), None)


def _ended(rounds: pd.DataFrame) -> list[tuple[datetime, datetime]]:
    ends = zip(rounds.index, rounds["finished_at"], strict=True)
    return [(bar.to_pydatetime(), end) for bar, at in ends if (end := as_time(at)) is not None]


@dataclass(frozen=True)
class StreamView:
    """A venue's stream. Counts are since it was first followed, gaps those of the last 24 hours."""

    venue: str
    state: StreamWord
    message: str = ""
    holder: str | None = None
    held_since: datetime | None = None
    heard_at: datetime | None = None
    newest_at: datetime | None = None
    received: int = 0
    refused: int = 0
    lost: int = 0
    spooled: int = 0
    gaps: int = 0
    missing: timedelta = timedelta(0)
    newest_gap: str = ""
    lost_lately: int = 0


def stream_views(operation: Operation, venues: Collection[str], now: datetime) -> list[StreamView]:
    """The stream of every venue that is to be followed."""
    holders = operation.holders("stream ")
    return [_stream(operation, holders, venue, now) for venue in venues]


def _stream(operation: Operation, holders: pd.DataFrame, venue: str, now: datetime) -> StreamView:
    held = venue in holders.index
    holder = str(holders["holder"].loc[venue]) if held else None
    since = as_time(holders["taken_at"].loc[venue]) if held else None
    if venue not in operation.streams.index:
        return StreamView(venue, "not begun", "", holder, since)
    row = operation.streams.loc[venue].to_dict()
    gaps = operation.gaps[operation.gaps["venue"] == venue]
    return StreamView(
        venue,
        _stream_state(row, held, now),
        as_text(row["message"]),
        holder,
        since,
        heard_at=as_time(row["heard_at"]),
        newest_at=as_time(row["newest_at"]),
        received=row["received"],
        refused=row["refused"],
        lost=row["lost"],
        spooled=row["spooled"],
        gaps=len(gaps),
        missing=_missing(gaps, now),
        newest_gap="" if gaps.empty else str(gaps["reason"].iloc[-1]),
        lost_lately=int(gaps["lost"].sum()),
    )


def _stream_state(row: Mapping[Any, Any], held: bool, now: datetime) -> StreamWord:
    if not held:
        return "followed by nobody"
    heard = as_time(row["heard_at"])
    if row["state"] == "live" and (heard is None or now - heard > SILENT_AFTER):
        return "silent"
    state: StreamWord = row["state"]
    return state


def _missing(gaps: pd.DataFrame, now: datetime) -> timedelta:
    """How much of the last 24 hours lies in gaps, overlapping ones once."""
    total, reached = timedelta(0), now - WATCHED
    ordered = gaps.sort_values("started_at")
    for begun, ended in zip(ordered["started_at"], ordered["ended_at"], strict=True):
        begin, end = max(begun.to_pydatetime(), reached), min(as_time(ended) or now, now)
        if end > begin:
            total, reached = total + (end - begin), end
    return total


def as_time(value: Any) -> datetime | None:
    """A time out of a table, None where there is none."""
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime()


def as_text(value: Any) -> str:
    """A text out of a table, empty where there is none."""
    return value if isinstance(value, str) else ""
