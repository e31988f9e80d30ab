"""What the page of liquidations shows: what was asked for, loaded and summed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from core.market import liquidation_sums as sums
from core.market.liquidation_windows import HOUR, MINUTE, PAST, QUARTER, WINDOWS, Stretch
from core.market.spikes import LEAST_STRETCHES, compare
from core.ui import loaders
from core.ui.charts.heat_map import Map
from core.ui.charts.liquidations import Flow
from core.ui.charts.times import TimeAxis
from core.ui.loaders.shared import shared
from core.ui.palette import Palette
from core.ui.venues import venue_name

SIZES: Mapping[str, float] = {
    "Any size": 0.0,
    "From 1k USD": 1e3,
    "From 10k USD": 1e4,
    "From 100k USD": 1e5,
    "From 1M USD": 1e6,
}
_MOST_ON_MAP = 20_000


@dataclass(frozen=True)
class Asked:
    """The reader's filters; without symbols all are meant. ``venues`` are the chosen ones, or all
    that do not repeat another (``left_out``)."""

    window: str
    venues: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    least_usd: float = 0.0

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that its venues come by."""
        return tuple(sums.names(sums.stream_of(venue) for venue in self.venues))

    @property
    def key(self) -> str:
        """What a chart's zoom belongs to."""
        return " ".join([self.window, *self.venues, *self.symbols])


@dataclass(frozen=True)
class Tally:
    """Sums of a window: rows, what they add up to per slot, and when which stream was not heard.

    ``hourly`` are those of bars, where single events are not known.
    """

    stretch: Stretch
    rows: pd.DataFrame
    slots: pd.DataFrame
    gaps: pd.DataFrame
    streams: pd.DataFrame
    hourly: bool = False

    @property
    def longs(self) -> float:
        return float(self.slots["long_usd"].sum())

    @property
    def shorts(self) -> float:
        return float(self.slots["short_usd"].sum())

    def flow(self, times: TimeAxis, colours: Palette) -> Flow:
        """What the charts over time are drawn from."""
        at, lanes = self.stretch, {}
        for name in self.streams.index:
            own = self.gaps[self.gaps["venue"] == name]
            lanes[venue_name(str(name))] = sums.stretches(own, at.start, at.now)
        start, end, now = (pd.Timestamp(time) for time in (at.start, at.end, at.now))
        return Flow(self.slots, start, end, now, pd.Timedelta(at.step), lanes, times, colours)


@dataclass(frozen=True)
class Spikes:
    """Every market's present of this length beside its past; see `core.market.spikes`.

    ``unjudged`` are streams that were not heard for long enough to be compared.
    """

    compared: pd.DataFrame
    length: timedelta
    unjudged: tuple[str, ...] = ()


@shared
def read_tally(asked: Asked, now: datetime) -> Tally:
    """Sums of single events over the asked window of a live market."""
    at = Stretch.of(asked.window, now)
    rows = sums.choose(_sums(at.start, now, at.step), asked.venues, asked.symbols)
    slots = sums.add_up(rows, sums.slots_of(at.start, at.end, at.step))
    gaps, streams = read_gaps(asked, at.start, now), read_streams(asked.streams, now)
    return Tally(at, rows, slots, gaps, streams)


# Readers with other filters look at the same window: what is common to them is made once.


@shared
def _sums(start: datetime, now: datetime, step: timedelta) -> pd.DataFrame:
    return loaders.load_liquidation_sums(start, now, step)


@shared
def read_streams(names: tuple[str, ...], now: datetime) -> pd.DataFrame:  # noqa: ARG001
    """These streams as they are at a moment, as far as they are known; index venue."""
    streams = loaders.load_streams()
    return streams[streams.index.isin(names)]


def read_gaps(asked: Asked, start: datetime, now: datetime) -> pd.DataFrame:
    """When which stream of the asked venues was not heard since ``start``, the newest first."""
    return sums.of_streams(_gaps(start, now), asked.venues)


@shared
def _gaps(start: datetime, now: datetime) -> pd.DataFrame:
    floor = sums.floor_time(start, QUARTER)
    stored, streams = loaders.load_stream_gaps(floor), loaders.load_streams()
    first = loaders.load_first_known()
    gaps = sums.complete_gaps(stored, first, streams, start, now)
    return gaps[gaps["ended_at"].isna() | (gaps["ended_at"] > start)]


@shared
def read_spikes(asked: Asked, now: datetime) -> Spikes:
    """The last quarter of an hour beside the quarters of the seven days before it."""
    begun = sums.floor_time(now, MINUTE) - QUARTER + MINUTE
    end = sums.floor_time(begun, QUARTER)
    slots = sums.slots_of(end - PAST, end, QUARTER)
    gaps = read_gaps(asked, end - PAST, now)
    missing = {
        stream: sums.unheard(slots, QUARTER, gaps[gaps["venue"] == stream])
        for stream in asked.streams
    }
    judged = {name for name, gone in missing.items() if (~gone).sum() >= LEAST_STRETCHES}
    venues = tuple(venue for venue in asked.venues if sums.stream_of(venue) in judged)
    unjudged = tuple(name for name in missing if name not in judged)
    found = _sums(begun, now, MINUTE)
    present = sums.rank(sums.choose(found, venues, asked.symbols), "symbol")
    everything = np.ones(len(slots), dtype=bool)
    heard = ~np.logical_or.reduce([missing[name] for name in sorted(judged)] or [everything])
    past = loaders.load_liquidation_past(end - PAST, end, QUARTER, venues)
    # What was heard and reported nothing is 0; what was not heard stays unknown.
    past = past.reindex(index=slots[heard], columns=present.index).fillna(0.0)
    return Spikes(compare(present, past), QUARTER, unjudged)


@shared
def read_events(asked: Asked, now: datetime, *, limit: int, largest: bool = False) -> pd.DataFrame:
    """Single events of the window that pass the filters, the newest first, or the largest."""
    start = Stretch.of(asked.window, now).start
    return loaders.load_liquidations(
        start,
        now,
        asked.venues,
        asked.symbols,
        limit=limit,
        least_usd=asked.least_usd,
        largest=largest,
    )


@shared
def read_map(asked: Asked, symbol: str, now: datetime, times: TimeAxis, colours: Palette) -> Map:
    """One market's single events of the window, and its price where bars know it."""
    at = Stretch.of(asked.window, now)
    step = WINDOWS[asked.window][2]
    events = loaders.load_liquidations(
        at.start, now, asked.venues, (symbol,), limit=_MOST_ON_MAP, least_usd=asked.least_usd
    )
    first = sums.floor_time(at.start, HOUR) - HOUR
    bars = loaders.load_bars(symbol, first, sums.ceil_time(at.end, HOUR))
    gaps = sums.stretches(read_gaps(asked, at.start, now), at.start, at.now)
    start, end = pd.Timestamp(at.start), pd.Timestamp(at.end)
    return Map(
        symbol, events, bars["close"].dropna(), start, end, pd.Timedelta(step), gaps, times, colours
    )


@shared
def read_bar_tally(asked: Asked, through: datetime) -> Tally:
    """Hourly totals of the bars of the asked window, where single events are not known."""
    at = Stretch.of(asked.window, through, hourly=True)
    rows = _bar_rows(at.start, at.end, asked.symbols)
    known = rows.dropna(subset=list(sums.SIDES))
    slots = sums.slots_of(at.start, at.end, HOUR)
    added = sums.add_up(known, slots)
    added[~slots.isin(known["slot"])] = np.nan
    nothing = pd.DataFrame(columns=list(sums.GAP_COLUMNS))
    return Tally(at, known, added, nothing, pd.DataFrame(), hourly=True)


@shared
def read_bar_spikes(asked: Asked, through: datetime) -> Spikes:
    """The last hour beside the hours of the seven days before it."""
    end = sums.ceil_time(through, HOUR) - HOUR
    rows = _bar_rows(end - PAST, end + HOUR, asked.symbols)
    newest = rows[rows["slot"] == end].dropna(subset=list(sums.SIDES))
    before = rows[rows["slot"] < end].assign(
        usd=lambda found: found["long_usd"] + found["short_usd"]
    )
    past = before.pivot(index="slot", columns="symbol", values="usd")
    return Spikes(compare(sums.rank(newest, "symbol"), past), HOUR)


def _bar_rows(start: datetime, end: datetime, symbols: tuple[str, ...]) -> pd.DataFrame:
    """Rows as of single events, of one venue without a name."""
    found = loaders.load_bar_totals(start, end)
    rows = found.assign(slot=found["time"] - HOUR, venue="").drop(columns="time")
    rows["symbol"] = rows["symbol"].astype(object)
    return sums.choose(rows, ("",), symbols)


def ranked(tally: Tally, by: str) -> pd.DataFrame:
    """Longs and shorts by symbol, or by venue under its name in words, the largest first."""
    found = sums.rank(tally.rows, by)
    return found if by == "symbol" else found.rename(index=venue_name)
