"""The view of the factors: what each knew of the return after it, and which say the same."""

from __future__ import annotations

from datetime import date

import pandas as pd
import streamlit as st

from core.accuracy import CONFIDENCE, correlations, information
from core.outcomes import HORIZONS
from core.store.record import Filters
from core.ui import loaders
from core.ui.charts.factor_knowledge import correlation_figure, information_figure
from core.ui.claims import hours
from core.ui.draw import Ready, draw_figure
from core.ui.formats import number
from core.ui.loaders.shared import shared
from core.ui.palette import Palette, palette
from core.ui.viewport import is_narrow


def draw_factors(filters: Filters) -> None:
    """Information coefficients and correlations over the period of the filters."""
    profile = loaders.load_stored_profile(filters.profile_name, filters.profile_version or "")
    windows = profile.windows_version if profile else ""
    table = _information(windows, filters.start, filters.end)
    st.caption(
        "Every bar of every market counts, whatever the signal was: of the filters only the horizon "
        "and the period hold here."
    )
    if table.empty:
        with st.container(border=True, key="no_factors"):
            st.markdown(
                ":material/hourglass_empty: **No day of factors has been summed up yet.** The worker "
                "sums a day up once its 24 h returns are known."
            )
        return
    narrow, asked = is_narrow(), (windows, filters.start, filters.end)
    horizons = filters.horizons or HORIZONS
    shown = horizons[:1] if narrow else horizons
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(
            "**What each factor knew**  \nA factor that knows something has a band wholly on one side "
            "of 0; right of 0 it was right. ● correlation with the return after it, uncentred, in its "
            f"95 % interval; ○ without one. {_by_luck(int(table['low'].notna().sum()))}"
        )
        draw_figure(_information_chart(*asked, shown, palette()), key="information")
        if len(shown) < len(horizons):
            st.caption(f"This is {hours(shown[0])}; choose another horizon on top.")
    with right:
        st.markdown(
            "**Which factors say the same**  \nNear +1 (blue) the second repeats the first, near −1 "
            "(orange) it contradicts it, near 0 it adds something of its own. All are bullish above 0."
        )
        draw_figure(_correlation_chart(*asked, palette(), narrow), key="correlation")


# What follows from the period is made once for all readers who look at the same.


@shared
def _information(windows: str, start: date | None, end: date | None) -> pd.DataFrame:
    """Empty where no day has been summed up."""
    days = loaders.load_factor_days(windows, start, end)
    return pd.DataFrame() if days.empty else information(days)


@shared
def _information_chart(
    windows: str, start: date | None, end: date | None, shown: tuple[str, ...], colours: Palette
) -> Ready:
    return Ready.of(information_figure(_information(windows, start, end), shown, colours))


@shared
def _correlation_chart(
    windows: str, start: date | None, end: date | None, colours: Palette, narrow: bool
) -> Ready:
    matrix = correlations(loaders.load_factor_days(windows, start, end))
    return Ready.of(correlation_figure(matrix, colours, compact=narrow))


def _by_luck(bands: int) -> str:
    """How many of so many bands of factors that know nothing miss 0 all the same."""
    if not bands:
        return "There is no interval yet."
    missing = number(bands * (1 - CONFIDENCE), 1)
    return f"Of {bands} bands about {missing} miss 0 by luck alone, so one or two prove nothing."
