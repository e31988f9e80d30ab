"""The rows of the Signals page in a sentence."""

from __future__ import annotations

import pandas as pd

from core.ui.formats import count


def summary(rows: pd.DataFrame) -> str:
    """The sentence above the table.

    >>> rows = pd.DataFrame({"direction": [1, -1, float("nan")], "verdict": ["CONFIRM", "WAIT", None]})
    >>> summary(rows)
    '2 of 3 markets have enough data; 1 confirmed long, no confirmed short.'
    """
    judged = int(rows["direction"].notna().sum())
    markets = count(len(rows), "market")
    if not judged:
        return f"None of {markets} has enough data for a signal."
    verb = "has" if len(rows) == 1 else "have"
    return f"{judged} of {markets} {verb} enough data; {_confirmed(rows)}."


def _confirmed(rows: pd.DataFrame) -> str:
    sides = rows.loc[rows["verdict"] == "CONFIRM", "direction"]
    longs, shorts = int((sides == 1).sum()), int((sides == -1).sum())
    if not longs and not shorts:
        return "none is confirmed"
    return f"{_tally(longs, 'confirmed long')}, {_tally(shorts, 'confirmed short')}"


def _tally(amount: int, what: str) -> str:
    return count(amount, what) if amount else f"no {what}"
