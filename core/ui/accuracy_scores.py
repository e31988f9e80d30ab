"""The view of the scores: read as a probability, was a score right as often as it claimed?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.accuracy import Brier, brier, reliability
from core.outcomes import HORIZONS
from core.store.record import Filters
from core.ui import loaders
from core.ui.accuracy_words import draw_nothing_left
from core.ui.charts.reliability import reliability_figure
from core.ui.claims import hours
from core.ui.draw import Ready, draw_figure
from core.ui.formats import known, number, percent
from core.ui.loaders.shared import shared
from core.ui.palette import Palette, palette
from core.ui.viewport import is_narrow

_SUMS = ("n", "wins", "sum_claimed", "sum_claimed_squared", "sum_claimed_wins")


def draw_scores(filters: Filters) -> None:
    """Reliability and Brier score of what the filters leave, per horizon."""
    parts = _parts(filters)
    if not parts:
        draw_nothing_left(filters)
        return
    st.markdown(
        "**Was a score right as often as it claimed?**  \nA score that could be read as a probability "
        "would lie on the broken line; one that knows nothing lies flat. ● won, in its 95 % interval; "
        "below it n; no mark where there are no outcomes or under twenty. Every signal counts, traded "
        "or not: the score is older than the verdict."
    )
    narrow = is_narrow()
    shown = tuple(parts)[:1] if narrow else tuple(parts)
    draw_figure(_reliability(filters, shown, palette(), narrow), key="reliability")
    if len(shown) < len(parts):
        st.caption(f"This is {hours(shown[0])}; choose another horizon on top.")
    st.markdown(
        "**How far off, in one number**  \nThe Brier score is the mean squared distance between what "
        "was claimed and what came: 0 is perfect, and a score that always says 50 % gets 0.250."
    )
    st.markdown(_briers(filters))
    st.caption(
        "Brier score = miscalibration − resolution + uncertainty + spread within bins (Murphy 1973; "
        "Stephenson, Coelho and Jolliffe 2008). A score is not made to be a probability: this says "
        "how far it is from being one."
    )


@shared
def _parts(filters: Filters) -> dict[str, pd.DataFrame]:
    """Sums by horizon, of those that have any."""
    tallies = loaders.load_tallies(filters, ("horizon", "score_bin"), _SUMS)
    horizons = tallies.index.get_level_values("horizon")
    return {name: tallies[horizons == name] for name in HORIZONS if (horizons == name).any()}


@shared
def _reliability(filters: Filters, shown: tuple[str, ...], colours: Palette, narrow: bool) -> Ready:
    tables = {name: reliability(_parts(filters)[name]) for name in shown}
    return Ready.of(reliability_figure(tables, colours, compact=narrow))


@shared
def _briers(filters: Filters) -> str:
    parts = _parts(filters).items()
    return "\n".join(f"- {brier_words(brier(part), name)}" for name, part in parts)


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
