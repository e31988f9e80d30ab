"""The reader's own side of a plan: equity, risk and leverage, kept in the URL."""

from __future__ import annotations

import streamlit as st

from core.plan import Account
from core.ui.formats import usd_exact

_USUAL = Account()
_KEPT = "account_inputs"


def ask_account() -> Account:
    """The account of the inputs; ``?equity=``, ``?risk=`` (percent) and ``?leverage=``."""
    _recall()
    grid = st.grid(2, min_column_width=120, gap="small", vertical_alignment="bottom")
    equity = grid.number_input(
        "Equity, USD",
        min_value=1.0,
        max_value=1e12,
        value=float(_USUAL.equity_usd),
        step=1000.0,
        format="%.0f",
        key="equity",
        bind="query-params",
    )
    risk = grid.number_input(
        "Risk, % of equity",
        min_value=0.01,
        max_value=20.0,
        value=100 * _USUAL.risk_fraction,
        step=0.25,
        format="%.2f",
        key="risk",
        bind="query-params",
    )
    # A whole-number input would fail over an infinite value in the address.
    leverage = grid.number_input(
        "Leverage",
        min_value=1.0,
        max_value=125.0,
        value=float(_USUAL.leverage),
        step=1.0,
        format="%.0f",
        key="leverage",
        bind="query-params",
    )
    grid.caption(f"{usd_exact(equity * risk / 100)} lost at the stop of a full-size trade")
    st.session_state[_KEPT] = {"equity": equity, "risk": risk, "leverage": leverage}
    return Account(equity_usd=equity, risk_fraction=risk / 100, leverage=leverage)


def _recall() -> None:
    """On coming back to the page, put in what was put in before; what the address says goes first."""
    for name, value in st.session_state.get(_KEPT, {}).items():
        if name not in st.session_state and name not in st.query_params:
            st.session_state[name] = value
