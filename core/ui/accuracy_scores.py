"""The view of the scores: read as a probability, was a score right as often as it claimed?"""

from __future__ import annotations

import streamlit as st

from core.accuracy import Brier, brier, reliability
from core.outcomes import HORIZONS
from core.store.record import Filters
from core.ui import loaders
from core.ui.accuracy_words import draw_nothing_left
from core.ui.charts.reliability import reliability_figure
from core.ui.claims import hours
from core.ui.draw import draw_figure
from core.ui.formats import known, number, percent
from core.ui.palette import palette
from core.ui.viewport import is_narrow

_SUMS = ("n", "wins", "sum_claimed", "sum_claimed_squared", "sum_claimed_wins")


def draw_scores(filters: Filters) -> None:
    """Reliability and Brier score of what the filters leave, per horizon."""
    tallies = loaders.load_tallies(filters, ("horizon", "score_bin"), _SUMS)
    if tallies.empty:
        draw_nothing_left(filters)
        return
    horizons = tallies.index.get_level_values("horizon")
    parts = {name: tallies[horizons == name] for name in HORIZONS if (horizons == name).any()}
    st.markdown(
        "**Was a score right as often as it claimed?**  \nA score that could be read as a probability "
        "would lie on the broken line; one that knows nothing lies flat. ● won, in its 95 % interval; "
        "below it n; no mark where there are no outcomes or under twenty. Every signal counts, traded "
        "or not: the score is older than the verdict."
    )
    narrow = is_narrow()
    shown = dict(list(parts.items())[:1]) if narrow else parts
    tables = {name: reliability(part) for name, part in shown.items()}
    draw_figure(reliability_figure(tables, palette(), compact=narrow), key="reliability")
    if len(shown) < len(parts):
        st.caption(f"This is {hours(next(iter(shown)))}; choose another horizon on top.")
    st.markdown(
        "**How far off, in one number**  \nThe Brier score is the mean squared distance between what "
        "was claimed and what came: 0 is perfect, and a score that always says 50 % gets 0.250."
    )
    st.markdown("\n".join(f"- {brier_words(brier(part), name)}" for name, part in parts.items()))
    st.caption(
        "Brier score = miscalibration − resolution + uncertainty + spread within bins (Murphy 1973; "
        "Stephenson, Coelho and Jolliffe 2008). A score is not made to be a probability: this says "
        "how far it is from being one."
    )


def brier_words(found: Brier, horizon: str) -> str:
    """A Brier score and its parts in words.

    >>> brier_words(Brier(0.262, 0.014, 0.002, 0.25, 0.0, 1203), "4h").replace("\\u00a0", " ")[:83]
    'At 4 h: 0.262 over 1,203 outcomes, worse than always saying the share that won (0.2'
    """
    if not known(found.score):
        return f"At {hours(horizon)}: no outcomes."
    beside = "better" if found.score < found.uncertainty else "worse"
    explained = found.resolution / found.uncertainty if found.uncertainty else float("nan")
    return (
        f"At {hours(horizon)}: {_three(found.score)} over {number(found.n)} outcomes, {beside} than "
        f"always saying the share that won ({_three(found.uncertainty)}). Miscalibration costs "
        f"{_three(found.reliability)} (0 is best); telling likelier from less likely gains "
        f"{_three(found.resolution)}, {percent(explained)} of what there is to gain; spread within "
        f"bins {_three(found.within, sign=True)}."
    )


def _three(value: float, *, sign: bool = False) -> str:
    return number(value, 3, sign=sign)
