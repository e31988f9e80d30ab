"""The view of the factors: what each knew of the return after it, and which say the same."""

from __future__ import annotations

import streamlit as st

from core.accuracy import CONFIDENCE, correlations, information
from core.outcomes import HORIZONS
from core.store.record import Filters
from core.ui import loaders
from core.ui.charts.factor_knowledge import correlation_figure, information_figure
from core.ui.claims import hours
from core.ui.draw import draw_figure
from core.ui.formats import number
from core.ui.palette import palette
from core.ui.viewport import is_narrow


def draw_factors(filters: Filters) -> None:
    """Information coefficients and correlations over the period of the filters."""
    profile = loaders.load_stored_profile(filters.profile_name, filters.profile_version or "")
    windows = profile.windows_version if profile else ""
    days = loaders.load_factor_days(windows, filters.start, filters.end)
    st.caption(
        "Every bar of every market counts, whatever the signal was: of the filters only the horizon "
        "and the period hold here."
    )
    if days.empty:
        with st.container(border=True, key="no_factors"):
            st.markdown(
                ":material/hourglass_empty: **No day of factors has been summed up yet.** The worker "
                "sums a day up once its 24 h returns are known."
            )
        return
    narrow, colours = is_narrow(), palette()
    horizons = filters.horizons or HORIZONS
    shown = horizons[:1] if narrow else horizons
    table = information(days)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(
            "**What each factor knew**  \nA factor that knows something has a band wholly on one side "
            "of 0; right of 0 it was right. ● correlation with the return after it, uncentred, in its "
            f"95 % interval; ○ without one. {_by_luck(int(table['low'].notna().sum()))}"
        )
        figure = information_figure(table, shown, colours)
        draw_figure(figure, key="information")
        if len(shown) < len(horizons):
            st.caption(f"This is {hours(shown[0])}; choose another horizon on top.")
    with right:
        st.markdown(
            "**Which factors say the same**  \nNear +1 (blue) the second repeats the first, near −1 "
            "(orange) it contradicts it, near 0 it adds something of its own. All are bullish above 0."
        )
        draw_figure(
            correlation_figure(correlations(days), colours, compact=narrow), key="correlation"
        )


def _by_luck(bands: int) -> str:
    """How many of so many bands of factors that know nothing miss 0 all the same."""
    if not bands:
        return "There is no interval yet."
    missing = number(bands * (1 - CONFIDENCE), 1)
    return f"Of {bands} bands about {missing} miss 0 by luck alone, so one or two prove nothing."
