"""What alert rules look at, kept from bar to bar, so that each bar reads only what is new."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import Connection

from core.alerts import Evaluation, Rule
from core.store.alerts.frame import load_alert_frame

# A bar that came late is read with those of the day after it.
LATE = timedelta(hours=24)
_HOUR = timedelta(hours=1)
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Frame:
    columns: frozenset[str]
    since: datetime
    frame: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame under evaluation: which markets have a row at a bar, and where."""

    evaluation: Evaluation
    at: Mapping[datetime, tuple[list[str], Rows]]
    _places: dict[tuple[tuple[str, ...], datetime], tuple[Rows, Rows]] = field(default_factory=dict)

    def places(self, symbols: tuple[str, ...], bar: datetime) -> tuple[Rows, Rows]:
        """Which of the symbols have a row at a bar, by place, and which rows these are."""
        key = symbols, bar
        if key not in self._places:  # Most rules are about the same markets.
            names, rows = self.at.get(bar, ([], np.empty(0, np.int64)))
            place = {symbol: number for number, symbol in enumerate(symbols)}
            to = np.array([place.get(name, -1) for name in names], dtype=np.int64)
            self._places[key] = to[to >= 0], rows[to >= 0]
        return self._places[key]

    @cached_property
    def _rows(self) -> dict[tuple[str, datetime], int]:
        return {
            (symbol, bar): row
            for bar, (symbols, rows) in self.at.items()
            for symbol, row in zip(symbols, rows.tolist(), strict=True)
        }

    def explain(
        self, rule: Rule, wanted: Collection[tuple[str, datetime]]
    ) -> dict[tuple[str, datetime], list[dict[str, Any]]]:
        """What every part of a rule was for markets at bars, where they have a row."""
        rows = {each: self._rows[each] for each in wanted if each in self._rows}
        if not rows:
            return {}
        columns = []
        for piece, values in rule.pieces(self.evaluation, np.array(list(rows.values()))):
            head = {
                "text": piece.text,
                "title": piece.title,
                "unit": piece.unit,
                "kind": piece.kind,
            }
            columns.append([{**head, "value": value} for value in values])
        return {
            each: list(parts) for each, parts in zip(rows, zip(*columns, strict=True), strict=True)
        }


@dataclass
class AlertFrames:
    """One frame per profile, as long and as wide as the rules were that asked for it."""

    _kept: dict[str, _Frame] = field(default_factory=dict)

    def see(
        self, conn: Connection, profile_name: str, rules: Collection[Rule], bars: list[datetime]
    ) -> Seen:
        """What these rules need of a profile at these bars."""
        columns = frozenset(name for rule in rules for name in rule.needs)
        reach = max((rule.lookback_hours for rule in rules), default=0)
        start = bars[0] - reach * _HOUR
        frame = self._load(conn, profile_name, columns, start, bars[0], bars[-1])
        evaluation = Evaluation(frame, since=pd.Timestamp(bars[0]))
        return Seen(evaluation, _rows_at(evaluation.index))

    def _load(
        self,
        conn: Connection,
        profile_name: str,
        columns: frozenset[str],
        start: datetime,
        first: datetime,
        end: datetime,
    ) -> pd.DataFrame:
        """Rows from ``start`` to ``end``; those from ``first`` on are read anew in any case."""
        kept = self._kept.get(profile_name)
        if kept is None or not columns <= kept.columns or start < kept.since or kept.frame.empty:
            frame = load_alert_frame(conn, profile_name, columns, start=start, end=end)
            self._kept[profile_name] = _Frame(columns, start, frame)
            return frame
        times = kept.frame.index.get_level_values("time")
        settled = min(times.max() - LATE, pd.Timestamp(first) - _HOUR)
        fresh = load_alert_frame(
            conn, profile_name, kept.columns, start=settled.to_pydatetime() + _HOUR, end=end
        )
        old = kept.frame[(times <= settled) & (times >= pd.Timestamp(start))]
        frame = pd.concat([old, fresh]).sort_index() if len(old) else fresh
        self._kept[profile_name] = _Frame(kept.columns, start, frame)
        return frame


def _rows_at(index: pd.Index) -> dict[datetime, tuple[list[str], Rows]]:
    symbols = index.get_level_values("symbol").to_numpy(dtype=object)
    codes, times = pd.factorize(index.get_level_values("time"), sort=True)
    found = {}
    for number, time in enumerate(times):
        rows = np.flatnonzero(codes == number)
        found[time.to_pydatetime()] = symbols[rows].tolist(), rows
    return found
