"""What a summary of outcomes proves, in sentences computed from its intervals.

A rate is called better only where its lift is flagged: beyond chance after allowing for every cell
that was looked at. An edge is claimed only where trades were flagged as better and made money after
costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from core.ui.formats import count, interval, known, number, percent, r_multiple

Row = Mapping[str, Any]


def claim(row: Row, verdict: str, horizon: str) -> str:
    """One row of `core.accuracy.summarise_tallies` as a sentence.

    >>> row = {"n": 1203, "win_rate": 0.48, "low": 0.44, "high": 0.52, "baseline": 0.49, "note": None,
    ...     "lift": -0.01, "lift_low": -0.05, "lift_high": 0.03, "flagged": False}
    >>> claim(row, "CONFIRM", "4h").replace("\\u00a0", " ")
    'CONFIRM at 4 h: 48 % of 1,203 won, 95 % interval 44 to 52 %: no better than the raw signal (49 %).'
    """
    head = f"{verdict} at {hours(horizon)}: {percent(row['win_rate'], 0)} of {number(row['n'])} won"
    baseline = f"the raw signal ({percent(row['baseline'], 0)})"
    if not known(row["low"]):
        return f"{head}, against {baseline}. No interval: {row['note']}."
    return f"{head}, 95 % interval {interval(row['low'], row['high'])}: {_standing(row, baseline)}."


def claims(summary: pd.DataFrame) -> list[str]:
    """Every row as a sentence; index (verdict, horizon)."""
    return [claim(row, verdict, horizon) for (verdict, horizon), row in _rows(summary)]


def headline(trades: pd.DataFrame, looks: int) -> str:
    """What the rows of trades come to together; index (verdict, horizon).

    ``looks`` is how many cells their flags allow for, those of counterfactuals included.
    """
    if trades.empty:
        return "Only what was not traded is shown: there are no trades to judge."
    judged = {place: row for place, row in _rows(trades) if known(row["low"])}
    if not judged:
        return "Nothing is proven yet: no row has enough outcomes over enough time for an interval."
    proven = {place: row for place, row in judged.items() if is_proven(row)}
    allowed = f"beyond chance, {looks} cells allowed for" if looks > 1 else "beyond chance"
    if proven:
        names = _listed([f"{verdict} at {hours(horizon)}" for verdict, horizon in proven])
        beat = "beats" if len(proven) == 1 else "beat"
        return (
            f"An edge in {len(proven)} of {count(len(judged), 'row')} of trades: {names} {beat} the "
            f"raw signal {allowed}, and made money after costs ({_mean_r(proven.values())} a trade)."
        )
    ((verdict, horizon), *_) = judged
    better = [f"{name} at {hours(of)}" for (name, of), row in judged.items() if is_better(row)]
    if better:
        beat = "beats" if len(better) == 1 else "beat"
        return (
            f"No proven edge: {_listed(better)} {beat} the raw signal {allowed}, but made no "
            f"money. {_money(list(judged.values()))}"
        )
    which = (
        f"none of {len(judged)} rows of trades beats"
        if len(judged) > 1
        else f"{verdict} at {hours(horizon)} does not beat"
    )
    return f"No proven edge: {which} the raw signal {allowed}. {_money(list(judged.values()))}"


def is_better(row: Row) -> bool:
    """Whether the rate is above the raw signal's, beyond chance for as many cells as were shown."""
    return bool(row["flagged"]) and bool(row["lift"] > 0)


def is_proven(row: Row) -> bool:
    """Whether trades were better, and made money.

    >>> row = {"flagged": True, "lift": 0.05, "expectancy_r": 0.1}
    >>> is_proven(row), is_proven({**row, "flagged": False}), is_proven({**row, "expectancy_r": -0.1})
    (True, False, False)
    """
    return is_better(row) and known(row["expectancy_r"]) and bool(row["expectancy_r"] > 0)


def looked_at(looks: int, flagged: int) -> str:
    """How many cells were looked at, and what the marks allow for.

    >>> looked_at(18, 0)
    '18 cells looked at, none marked: none differs from the raw signal beyond what luck does to so many.'
    """
    if not looks:
        return "No cell has enough outcomes over enough time to be compared."
    head = f"{count(looks, 'cell')} looked at"
    if not flagged:
        return f"{head}, none marked: none differs from the raw signal beyond what luck does to so many."
    return (
        f"{head}, {flagged} marked: of marked cells at most about 5\u00a0% are luck "
        "(Benjamini and Hochberg)."
    )


def hours(horizon: str) -> str:
    """A horizon with its unit apart.

    >>> hours("24h")
    '24 h'
    """
    return f"{horizon.removesuffix('h')} h"


def _standing(row: Row, baseline: str) -> str:
    if row["flagged"]:
        return f"{'better' if row['lift'] > 0 else 'worse'} than {baseline}"
    if known(row["lift_low"]) and (row["lift_low"] > 0 or row["lift_high"] < 0):
        side = "above" if row["lift"] > 0 else "below"
        return f"{side} {baseline}, but not beyond what luck does to so many cells"
    return f"no better than {baseline}"


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
