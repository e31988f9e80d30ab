"""How outcomes are measured, in short, for whoever wants to check a number."""

from __future__ import annotations

import streamlit as st

from core.outcomes import Costs
from core.ui.formats import percent


def draw_method() -> None:
    """Costs, entry, eras, counterfactuals and R, folded away."""
    costs = Costs()
    with st.expander("How this is measured", key="method"):
        st.markdown(
            f"""
- **Entry** is the open of the bar after the signal, the first price after publication; the exit of
  a horizon is the close at entry + horizon, from stored bars, so a late job changes nothing.
- **Costs** are in every return: {percent(costs.taker_fee, 2)} fee and {costs.slippage_bps:g} basis
  points of slippage at entry and at exit, and the funding of the hours held.
- **R** is the result in units of the distance to the stop: −1 R is a full stop, before costs.
- **Interval**: the outcomes are cut into ten contiguous eras of about equal count, each holding every
  symbol of its time, and the interval is a t interval over the eras' rates. It allows for hours that
  overlap and symbols that move together, which a plain interval does not.
- **Raw signal** follows every signal whatever its verdict; **always long** buys at the same moments.
- **Counterfactuals**: SKIP and WAIT are followed as if traded, to know what was avoided or missed.
"""
        )
