"""What a summary of outcomes proves, in sentences computed from its intervals.

A rate is called better only where its lift is flagged: beyond chance after allowing for every cell
that was looked at. Money is said to be made or lost only where the whole interval of the mean R is on
one side of 0. An edge is claimed only where trades were flagged as better and made money after costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.ui.formats import DASH, count, interval, known, number, percent, r_multiple

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
            f"raw signal {allowed}, and made money after costs ({_mean_r(list(proven.values()))})."
        )
    ((verdict, horizon), *_) = judged
    better = {place: row for place, row in judged.items() if is_better(row)}
    if better:
        names = _listed([f"{name} at {hours(of)}" for name, of in better])
        beat = "beats" if len(better) == 1 else "beat"
        return (
            f"No proven edge: {names} {beat} the raw signal {allowed}. "
            f"{_money(list(better.values()))}"
        ).rstrip()
    which = (
        f"none of {len(judged)} rows of trades beats"
        if len(judged) > 1
        else f"{verdict} at {hours(horizon)} does not beat"
    )
    return f"No proven edge: {which} the raw signal {allowed}. {_money(list(judged.values()))}".rstrip()


def is_better(row: Row) -> bool:
    """Whether the rate is above the raw signal's, beyond chance for as many cells as were shown."""
    return bool(row["flagged"]) and bool(row["lift"] > 0)


def is_proven(row: Row) -> bool:
    """Whether trades were better, and made money beyond doubt.

    >>> row = {"flagged": True, "lift": 0.05, "expectancy_low": 0.02, "expectancy_high": 0.1}
    >>> is_proven(row), is_proven({**row, "flagged": False}), is_proven({**row, "expectancy_low": -0.1})
    (True, False, False)
    """
    return is_better(row) and _gained(row) == "made"


def looked_at(looks: int, flagged: int, choice: str = "choice of filters") -> str:
    """How many cells were looked at, what the marks allow for, and which ``choice`` they do not.

    >>> looked_at(18, 0)
    '18 cells looked at, none marked: none differs from the raw signal beyond what luck does to so many. Every other choice of filters is another look.'
    """
    if not looks:
        return "No cell has enough outcomes over enough time to be compared."
    head = f"{count(looks, 'cell')} looked at"
    again = f"Every other {choice} is another look."
    if not flagged:
        return (
            f"{head}, none marked: none differs from the raw signal beyond what luck does to so many. "
            f"{again}"
        )
    if looks == 1:
        return f"{head}, and marked: one such cell in twenty is marked where nothing is behind it. {again}"
    return (
        f"{head}, {flagged} marked after allowing for all of them (Benjamini and Hochberg): where nothing "
        f"is behind any of them, about one such table in twenty still has a mark. {again}"
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


def _gained(row: Row) -> str | None:
    """Whether the mean trade surely "made" or "lost" money after costs; None where it is not known."""
    if not known(row["expectancy_low"]):
        return None
    return "made" if row["expectancy_low"] > 0 else "lost" if row["expectancy_high"] < 0 else None


def _money(rows: Sequence[Row]) -> str:
    rows = [row for row in rows if known(row["expectancy_r"])]
    if not rows:
        return ""
    amounts = f"({_mean_r(rows)})"
    gained = [_gained(row) for row in rows]
    if len(rows) == 1:
        if gained[0] is None:
            return f"Whether it made money after costs is not known yet {amounts}."
        return f"It {gained[0]} money after costs {amounts}."
    of = f" of {len(rows)} rows"
    said: list[str] = []
    for did in ("made", "lost"):
        if gained.count(did) == len(rows):
            return f"After costs they {did} money in every row {amounts}."
        if did in gained:
            said.append(f"{did} money in {gained.count(did)}{of if not said else ''}")
    if not said:
        return f"Whether they made money after costs is not known yet in any row {amounts}."
    if None in gained:
        said.append(f"and in {gained.count(None)} it is not known yet which")
    return f"After costs they {', '.join(said)} {amounts}."


def _mean_r(rows: Sequence[Row]) -> str:
    """Mean R a trade: of one row with its interval, of several from the lowest to the highest."""
    values = sorted(row["expectancy_r"] for row in rows)
    low, high = r_multiple(values[0]), r_multiple(values[-1])
    if len(rows) > 1:
        return f"{low if low == high else f'{low} to {high}'} a trade"
    ends = interval(rows[0]["expectancy_low"], rows[0]["expectancy_high"], 2, unit="R", sign=True)
    around = "no interval" if ends == DASH else f"95\u00a0% interval {ends}"
    return f"{low} a trade, {around}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
