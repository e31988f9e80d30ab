"""What a summary of outcomes proves, in sentences computed from its intervals.

A rate is called better only where its whole interval lies above the baseline. An edge is claimed
only where that still holds after allowing for every row that was looked at, and where the trades
made money after costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from scipy import stats

from core.accuracy import CONFIDENCE, ERAS
from core.ui.formats import count, interval, known, number, percent, r_multiple

Row = Mapping[str, Any]


def claim(row: Row, verdict: str, horizon: str) -> str:
    """One row of `core.accuracy.summarise` as a sentence.

    >>> row = {"n": 1203, "win_rate": 0.48, "low": 0.44, "high": 0.52, "baseline": 0.49, "note": None}
    >>> claim(row, "CONFIRM", "4h").replace("\\u00a0", " ")
    'CONFIRM at 4 h: 48 % of 1,203 won, 95 % interval 44 to 52 %: no better than the raw signal (49 %).'
    """
    head = f"{verdict} at {hours(horizon)}: {percent(row['win_rate'], 0)} of {number(row['n'])} won"
    baseline = f"the raw signal ({percent(row['baseline'], 0)})"
    if not known(row["low"]):
        return f"{head}, against {baseline}. No interval: {row['note']}."
    return (
        f"{head}, 95 % interval {interval(row['low'], row['high'])}: {_standing(row)} {baseline}."
    )


def headline(trades: pd.DataFrame) -> str:
    """What the rows of trades come to together; index (verdict, horizon)."""
    judged = {place: row for place, row in _rows(trades) if known(row["low"])}
    if not judged:
        return "Nothing is proven yet: no row has enough outcomes over enough time for an interval."
    looks = len(judged)
    proven = {place: row for place, row in judged.items() if is_proven(row, looks)}
    allowed = f"beyond chance, {looks} looks allowed for" if looks > 1 else "beyond chance"
    if proven:
        names = _listed([f"{verdict} at {hours(horizon)}" for verdict, horizon in proven])
        beat = "beats" if len(proven) == 1 else "beat"
        return (
            f"An edge in {len(proven)} of {count(looks, 'row')} of trades: {names} {beat} the raw "
            f"signal {allowed}, and made money after costs ({_mean_r(proven.values())} a trade)."
        )
    ((verdict, horizon), *_) = judged
    which = (
        f"none of {looks} rows of trades beats"
        if looks > 1
        else (f"{verdict} at {hours(horizon)} does not beat")
    )
    return f"No proven edge: {which} the raw signal {allowed}. {_money(list(judged.values()))}"


def is_proven(row: Row, looks: int) -> bool:
    """Whether the interval, widened for so many looks, lies above the baseline, and money was made.

    >>> row = {"win_rate": 0.6, "low": 0.55, "high": 0.65, "baseline": 0.54, "expectancy_r": 0.1}
    >>> is_proven(row, looks=1), is_proven(row, looks=6), is_proven({**row, "expectancy_r": -0.1}, 1)
    (True, False, False)
    """
    if not known(row["low"]) or not known(row["expectancy_r"]):
        return False
    half = max(row["win_rate"] - row["low"], row["high"] - row["win_rate"])
    lower: float = row["win_rate"] - half * widening(looks)
    return bool(lower > row["baseline"] and row["expectancy_r"] > 0)


def widening(looks: int) -> float:
    """How much wider an interval must be for its level to hold over so many looks (Bonferroni).

    >>> widening(1), round(widening(6), 2)
    (1.0, 1.49)
    """
    beyond = (1 - CONFIDENCE) / 2
    return float(stats.t.isf(beyond / max(looks, 1), ERAS - 1) / stats.t.isf(beyond, ERAS - 1))


def luck(rows: int) -> float:
    """Chance that at least one of so many intervals misses a rate that is no better, by luck alone.

    >>> round(luck(6), 2)
    0.26
    """
    return 1 - math.pow(CONFIDENCE, rows)


def hours(horizon: str) -> str:
    """A horizon with its unit apart.

    >>> hours("24h")
    '24 h'
    """
    return f"{horizon.removesuffix('h')} h"


def _standing(row: Row) -> str:
    if row["low"] > row["baseline"]:
        return "better than"
    return "worse than" if row["high"] < row["baseline"] else "no better than"


def _rows(summary: pd.DataFrame) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    places = summary.index.to_frame(index=False)[["verdict", "horizon"]].itertuples(index=False)
    records = [
        {str(key): value for key, value in row.items()} for row in summary.to_dict("records")
    ]
    return [((str(a), str(b)), row) for (a, b), row in zip(places, records, strict=True)]


def _money(rows: Sequence[Row]) -> str:
    known_r = [row["expectancy_r"] for row in rows if known(row["expectancy_r"])]
    if not known_r:
        return ""
    lost = sum(value <= 0 for value in known_r)
    if len(known_r) == 1:
        did = "lost" if lost else "made"
        return f"After costs the mean trade {did} {r_multiple(known_r[0])}."
    which = {0: "made money in every row", len(known_r): "lost in every row"}
    did = which.get(lost, f"lost in {lost} of {len(known_r)} rows")
    return f"After costs the mean trade {did} ({_mean_r(rows)})."


def _mean_r(rows: Iterable[Row]) -> str:
    values = sorted(row["expectancy_r"] for row in rows if known(row["expectancy_r"]))
    low, high = r_multiple(values[0]), r_multiple(values[-1])
    return low if low == high else f"{low} to {high}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
