"""How long the Signals page takes over a large market, run as the server runs it, without a browser."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pandas as pd
from streamlit.testing.v1 import AppTest

from core.accounts import sessions
from core.backtest import decide
from core.bench import Figure, made_market, timed
from core.errors import CryptoSatXError
from core.market.frame import SOURCES
from core.settings import ROOT
from core.signals import load_profile
from core.store.signals import save_bars, save_profile, save_signals
from core.ui import session
from core.ui.instance import Instance, instance

_HOURS = 24 * 16


def signals_page(symbols: int = 500) -> Figure:
    """A warm run of the whole script: sign-in, header and the page with so many symbols."""
    with tempfile.TemporaryDirectory() as folder, _guest_on_demo(Path(folder)) as here:
        _fill(here, symbols)
        page = AppTest.from_file(str(ROOT / "pages" / "router.py"), default_timeout=120)
        page.run()
        if page.exception or not page.get("bidi_component"):
            raise CryptoSatXError("The Signals page did not draw its table; open it to see why.")
        seconds = timed(page.run, 9)
        empty = AppTest.from_string("import streamlit as st\nst.write('nothing')")
        base = timed(empty.run, 9)
    name = f"Signals page with {symbols} symbols, warm"
    return Figure(name, seconds, 0.300, "an empty page", base)


@contextmanager
def _guest_on_demo(folder: Path) -> Iterator[Instance]:
    changed = {
        "DATABASE_URL": f"sqlite:///{folder / 'bench.sqlite'}",
        "CRYPTOSATX_DATA": str(folder),
        "CRYPTOSATX_MARKET": "demo",
        "CRYPTOSATX_ENV": "development",
    }
    logging.disable(logging.WARNING)  # Streamlit warns at every run that there is no server.
    with patch.dict(os.environ, changed):
        here = instance()
        with here.engine.begin() as conn:
            token = sessions.start(conn, None, now=datetime.now(UTC))
        try:
            with patch.object(session, "_browser_token", lambda: token):
                yield here
        finally:
            here.engine.dispose()
            logging.disable(logging.NOTSET)


def _fill(here: Instance, symbols: int) -> None:
    frame, profile, now = made_market(symbols, _HOURS), load_profile(), datetime.now(UTC)
    planned = decide(frame, profile, since=frame.index.get_level_values("time").max())
    ages = pd.DataFrame(0.0, index=planned.index, columns=list(SOURCES))
    with here.engine.begin() as conn:
        save_bars(conn, frame)
        save_profile(conn, profile, now)
        save_signals(conn, planned, ages, profile, now)
