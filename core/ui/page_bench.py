"""How long the pages take over a large market, run as the server runs them, without a browser."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.accounts import sessions
from core.backtest import decide
from core.bench import Figure, made_market, timed
from core.errors import CryptoSatXError
from core.instance import Instance, instance
from core.market.frame import SOURCES
from core.outcomes import resolve
from core.settings import ROOT
from core.signals import load_profile
from core.store.signals import save_bars, save_outcomes, save_profile, save_signals
from core.ui import session

_HOURS = 24 * 24
_RECORDED = 20


def pages(symbols: int = 500) -> list[Figure]:
    """Warm runs of the pages over a market of so many symbols, with a record of the first ones."""
    with tempfile.TemporaryDirectory() as folder, _guest_on_demo(Path(folder)) as here:
        _fill(here, symbols)
        base = timed(AppTest.from_string("import streamlit as st\nst.write('nothing')").run, 9)
        return [
            _measured(f"Signals page with {symbols} symbols, warm", "router.py", 0.300, base),
            _measured("Symbol page of one of them, warm", "symbol.py", 1.0, base),
            *_accuracy(base),
        ]


def _accuracy(base: float) -> list[Figure]:
    """The record as somebody finds it who comes first, and as a filter is changed."""
    page = _opened("accuracy.py")
    # Each is asked for once, so that none is kept from before.
    filters = iter(list(product(("1 h", "4 h", "24 h", "All"), ("Long", "Short", "Both"))))

    def come_first() -> None:
        st.cache_data.clear()
        page.run()

    def change_filter() -> None:
        horizon, side = next(filters)
        page.segmented_control(key="horizon").set_value(horizon)
        page.segmented_control(key="side").set_value(side)
        page.run()

    name = f"Accuracy page of {_RECORDED} of them"
    return [
        Figure(f"{name}, nothing kept", timed(come_first, 9), 1.5, "an empty page", base),
        Figure(f"{name}, a filter changed", timed(change_filter, 9), 0.5, "an empty page", base),
    ]


def _measured(name: str, file: str, limit: float, base: float) -> Figure:
    return Figure(name, timed(_opened(file).run, 9), limit, "an empty page", base)


def _opened(file: str) -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / file), default_timeout=120)
    page.run()
    if page.exception or not page.main.children:
        raise CryptoSatXError(f"pages/{file} did not draw; open it to see why.")
    return page


@contextmanager
def _guest_on_demo(folder: Path) -> Iterator[Instance]:
    changed = {
        "DATABASE_URL": f"sqlite:///{folder / 'bench.sqlite'}",
        "CRYPTOSATX_DATA": str(folder),
        "CRYPTOSATX_MARKET": "demo",
        "CRYPTOSATX_ENV": "development",
    }
    with patch.dict(os.environ, changed):
        here = instance()
        with here.accounts.begin() as conn:
            token = sessions.start(conn, None, now=datetime.now(UTC))
        try:
            with patch.object(session, "_browser_token", lambda: token):
                yield here
        finally:
            here.engine.dispose()


def _fill(here: Instance, symbols: int) -> None:
    frame, profile, now = made_market(symbols, _HOURS), load_profile(), datetime.now(UTC)
    planned = decide(frame, profile)
    names = frame.index.get_level_values("symbol")
    newest = names.duplicated(keep="last")
    kept = planned[~newest | names.isin(names.unique()[:_RECORDED])]
    ages = pd.DataFrame(0.0, index=kept.index, columns=list(SOURCES))
    with here.engine.begin() as conn:
        save_bars(conn, frame)
        save_profile(conn, profile, now)
        save_signals(conn, kept, ages, profile, now)
        save_outcomes(conn, resolve(kept, frame), profile, now)
