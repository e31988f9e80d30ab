"""The backtest of a rule: when it would have fired, shown while it is being written.

The rule is evaluated over the whole history at once, and its truth is put through the machine that
runs live: bit for bit what stepping it bar by bar would have given, had it been saved at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from scipy.special import bdtrc

from core.alerts.definition import RuleDefinition
from core.alerts.engine import ENDED, ENDINGS, FIRED, HELD, Events
from core.alerts.evaluating import Evaluation
from core.alerts.expression import Rule, compile_rule
from core.alerts.kernels import UNKNOWN, Truth
from core.alerts.replaying import replay
from core.alerts.states import NONE, WAITS, Ints, fresh
from core.errors import RuleError
from core.market.grid import Grid

LONGEST = timedelta(days=366)
SPAN_HOURS = 3
_FEW = 5
_MINUTE_US = 60_000_000
# A span of hours is named when so many moments would be chance once in a hundred of such looks.
_LEAST_MOMENTS, _CHANCE = 8, 0.01


@dataclass(frozen=True)
class HourSpan:
    """The three hours of the day, UTC, in which most fired; ``share`` is of all firings.

    ``stands_out``: if moments of firing were spread evenly over the day, a span with as many would
    be found less than once in a hundred looks. Symbols that fire at one bar are one moment.
    """

    first_hour: int
    share: float
    stands_out: bool

    @property
    def words(self) -> str:
        """
        >>> HourSpan(22, 0.617, True).words
        '62 % between 22 and 1 UTC'
        """
        last = (self.first_hour + SPAN_HOURS) % 24
        return f"{100 * self.share:.0f} % between {self.first_hour} and {last} UTC"


@dataclass(frozen=True)
class RuleHistory:
    """What a rule would have done from ``start`` to ``end``, the closes of the first and last bar.

    ``firings`` has a row per firing in the order of time: symbol, began_at, fired_at, ended_at
    (NaT where it still fires at the end), minutes from fired to ended (NaN), reason of the end.
    ``held_back`` counts by reason what would have fired but for cooldown, active hours or re-arm.
    ``unknown_share`` is of all bars of all symbols, NaN without any. ``messages`` is how many
    messages would have told of firings. ``events`` and ``truth`` are what the machine gave and got,
    symbols by bars.
    """

    start: datetime
    end: datetime
    symbols: tuple[str, ...]
    bars: int
    firings: pd.DataFrame
    held_back: dict[str, int]
    messages: int
    unknown_share: float
    missing: tuple[str, ...]
    times: Ints
    truth: Truth
    events: Events

    def __len__(self) -> int:
        return len(self.firings)

    @property
    def days(self) -> float:
        """Length of what was judged, a bar being as long as its distance to the next."""
        if self.bars < 2:
            return 0.0
        step = (self.end - self.start) / (self.bars - 1)
        return (self.end - self.start + step) / timedelta(days=1)

    @property
    def judged_days(self) -> float:
        """The days without the share of bars that could not be judged."""
        return (
            0.0
            if self.unknown_share != self.unknown_share
            else self.days * (1 - self.unknown_share)
        )

    @property
    def per_week(self) -> float:
        """Firings of all symbols together in a week of what was judged; NaN where that is under a day."""
        return 7 * len(self) / self.judged_days if self.judged_days >= 1 else float("nan")

    @property
    def median_minutes(self) -> float:
        """Of the firings that have ended; NaN where none has."""
        return float(self.firings["minutes"].median()) if len(self) else float("nan")

    @property
    def firing_at_end(self) -> tuple[str, ...]:
        """The symbols of the firings that have not ended."""
        return tuple(self.firings.loc[self.firings["ended_at"].isna(), "symbol"])

    @property
    def by_hour(self) -> pd.Series:
        """Share of the firings by the UTC hour in which they fired; 24 rows, NaN without any."""
        counts = np.bincount(self.firings["fired_at"].dt.hour, minlength=24)
        share = counts / len(self) if len(self) else np.full(24, np.nan)
        return pd.Series(share, index=pd.RangeIndex(24, name="hour"), name="share")

    @property
    def best_hours(self) -> HourSpan | None:
        """Where in the day most fire; None without any."""
        if not len(self):
            return None
        share = self.by_hour.to_numpy()
        spans = np.array([np.roll(share, -hour)[:SPAN_HOURS].sum() for hour in range(24)])
        moments = self.firings["fired_at"].drop_duplicates().dt.hour
        inside = [((moments - hour) % 24 < SPAN_HOURS).sum() for hour in range(24)]
        chance = 24 * bdtrc(max(inside) - 1, len(moments), SPAN_HOURS / 24)
        # Of spans that hold as many, the one that starts where most fire.
        first = int(np.lexsort((share, spans))[-1])
        outstanding = len(moments) >= _LEAST_MOMENTS and chance < _CHANCE
        return HourSpan(first, float(spans[first]), bool(outstanding))

    @property
    def by_symbol(self) -> pd.Series:
        """How often each symbol fired, most first; those that never did are left out."""
        return self.firings["symbol"].value_counts(sort=True).rename("firings")

    @property
    def summary(self) -> str:
        """What an admin wants to know before saving, in one line."""
        if not self.bars or not self.symbols:
            return "There is no history to judge."
        known = "" if self.unknown_share < 0.005 else _unknown_words(self)
        if self.unknown_share == 1:
            return known
        parts = [_often_words(self)]
        if len(self):
            if np.isfinite(self.median_minutes):
                parts.append(f"median {minutes_words(self.median_minutes)}")
            best = self.best_hours
            if best is not None and best.stands_out:
                parts.append(best.words)
            if firing := len(self.firing_at_end):
                parts.append(f"{firing} still firing at the end")
        parts += [f"{count} held back by {_HELD[why]}" for why, count in self.held_back.items()]
        return "; ".join([*parts, *([known] if known else [])])


_HELD = {"cooldown": "the cooldown", "active_hours": "active hours", "rearm": "re-arming"}


def _often_words(history: RuleHistory) -> str:
    number, days = len(history), max(round(history.days), 1)
    if not number:
        return f"would not have fired in {days} days"
    if number < _FEW or history.judged_days < 7:
        times = {1: "once", 2: "twice"}.get(number, f"{number:,} times")
        often = f"{times} in {days} days, too few to say how often"
        return often if number < _FEW else f"{times} in {days} days"
    week = history.per_week
    often = f"about {week:,.0f} times a week" if week >= 20 else f"about {week:.1f} times a week"
    if history.messages < 0.8 * number:
        each = 7 * history.messages / history.judged_days
        often += f" in {each:,.0f} messages" if each >= 20 else f" in {each:.1f} messages"
    return often


def _unknown_words(history: RuleHistory) -> str:
    why = f" (no {', '.join(history.missing)})" if history.missing else ""
    if history.unknown_share == 1:
        return f"could not be judged at any bar of {max(round(history.days), 1)} days{why}"
    return f"{100 * history.unknown_share:.0f} % of the bars could not be judged{why}"


def minutes_words(minutes: float) -> str:
    """
    >>> [minutes_words(m) for m in (41, 60, 150, 2880)]
    ['41 min', '60 min', '2.5 h', '2.0 days']
    """
    if minutes < 120:
        return f"{minutes:.0f} min"
    if minutes < 2 * 1440:
        return f"{minutes / 60:.1f} h"
    return f"{minutes / 1440:.1f} days"


def backtest(
    definition: RuleDefinition,
    frame: pd.DataFrame,
    start: datetime,
    end: datetime,
    *,
    rule: Rule | None = None,
    progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> RuleHistory:
    """What the rule would have done at the bars of ``frame`` that closed from ``start`` to ``end``.

    Earlier rows are its past; give it ``lookback_hours`` of them. ``rule`` is the compiled
    expression, where it is at hand. ``progress`` hears shares from 0 to 1. Raises `RuleError` for
    an expression that is refused or a period over a year, `Cancelled` when told to stop.
    """
    if not start < end:
        raise RuleError("The period ends before it starts.", hint="Choose an end after the start.")
    if end - start > LONGEST:
        raise RuleError("The period is longer than a year.", hint="Choose 365 days at most.")
    rule = compile_rule(definition.expression) if rule is None else rule
    progress(0.0)
    symbols, times, truth = truth_of(definition, rule, frame, start, end)
    _, events = replay(
        definition,
        fresh(symbols),
        times,
        truth,
        progress=lambda share: progress(0.5 + share / 2),
        cancelled=cancelled,
    )
    missing = tuple(name for name in rule.needs if name not in frame.columns)
    return history_of(definition, symbols, times, truth, events, missing)


def truth_of(
    definition: RuleDefinition, rule: Rule, frame: pd.DataFrame, start: datetime, end: datetime
) -> tuple[tuple[str, ...], Ints, Truth]:
    """The rule's symbols, the bars from ``start`` to ``end``, and its truth, symbols by bars.

    Bars stand on the frame's own step, also where no symbol has a row: there it is unknown.
    """
    stamps = frame.index.get_level_values("time")
    wanted = frame if not len(stamps) or stamps.max() <= end else frame[stamps <= end]
    evaluation = Evaluation(wanted, pd.Timestamp(start))
    flat, index = rule.truth_in(evaluation), evaluation.index
    if not len(index):
        return (), np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.int8)
    grid = Grid.of(index)
    truth = np.full(grid.shape[0] * grid.shape[1], UNKNOWN, dtype=np.int8)
    truth[grid.cells] = flat
    truth = truth.reshape(grid.shape)
    names = [str(name) for name in index[grid.first_rows].get_level_values(0)]
    covered = [place for place, name in enumerate(names) if definition.covers(name)]
    if len(covered) < len(names):
        truth = truth[covered]
    times = (grid.start_ns + grid.step_ns * np.arange(grid.shape[1], dtype=np.int64)) // 1000
    return tuple(names[place] for place in covered), times, truth


def history_of(
    definition: RuleDefinition,
    symbols: tuple[str, ...],
    times: Ints,
    truth: Truth,
    events: Events,
    missing: Iterable[str] = (),
) -> RuleHistory:
    """The history that these events of freshly begun states tell."""
    first, last = (times[0], times[-1]) if len(times) else (0, 0)
    held = np.bincount(events.reason[events.kind == HELD], minlength=len(WAITS)).tolist()
    fired = events.kind == FIRED
    by_symbol = definition.group == "symbol"
    messages = int(fired.sum()) if by_symbol else len(np.unique(events.at[fired]))
    unknown = float((truth == UNKNOWN).mean()) if truth.size else float("nan")
    return RuleHistory(
        start=_stamp(int(first)),
        end=_stamp(int(last)),
        symbols=symbols,
        bars=len(times),
        firings=_firings(symbols, events),
        held_back={WAITS[why]: count for why, count in enumerate(held) if count},
        messages=messages,
        unknown_share=unknown,
        missing=tuple(missing),
        times=times,
        truth=truth,
        events=events,
    )


def _firings(symbols: tuple[str, ...], events: Events) -> pd.DataFrame:
    """Each firing with its end: of one symbol they take turns."""
    order = np.lexsort((events.at, events.place))
    turn = order[np.isin(events.kind[order], (FIRED, ENDED))]
    kind, place = events.kind[turn], events.place[turn]
    begin = np.flatnonzero(kind == FIRED)
    ends = np.append(kind, FIRED)[begin + 1] == ENDED
    follows = np.minimum(begin + 1, max(len(turn) - 1, 0))
    ended_at = np.where(ends, events.at[turn][follows], NONE) if len(begin) else begin
    reason = np.where(ends, events.reason[turn][follows], -1) if len(begin) else begin
    fired_at = events.at[turn][begin]
    frame = pd.DataFrame(
        {
            "symbol": np.array(symbols, dtype=object)[place[begin]] if len(begin) else [],
            "began_at": _stamps(events.began_at[turn][begin]),
            "fired_at": _stamps(fired_at),
            "ended_at": _stamps(ended_at),
            "minutes": np.where(ends, (ended_at - fired_at) / _MINUTE_US, np.nan),
            "reason": np.array([*ENDINGS, ""], dtype=object)[reason],
        }
    )
    return frame.sort_values(["fired_at", "symbol"], ignore_index=True)


def _stamps(us: Ints) -> pd.DatetimeIndex:
    # `NONE` is what NaT is inside.
    return pd.DatetimeIndex(us.astype("datetime64[us]")).tz_localize("UTC")


def _stamp(us: int) -> datetime:
    found: datetime = pd.Timestamp(us, unit="us", tz="UTC").to_pydatetime()
    return found
