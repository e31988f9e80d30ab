"""The worker's lag as a rule sees it: what was known of it at the close of each bar."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from core.alerts import compile_rule
from core.backtest import decide
from core.market.frame import SOURCES
from core.signals import load_profile
from core.store.alerts.frame import load_alert_frame
from core.store.signals import save_bars, save_profile, save_signals
from core.ui.rules.templates import BY_KEY
from tests.builders import make_frame

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
PROFILE = load_profile()
SYMBOLS = ["BTCUSDT", "ETHUSDT"]


@cache
def decided() -> pd.DataFrame:
    return decide(make_frame(SYMBOLS, hours=24 * 9), PROFILE)


def bars() -> list[datetime]:
    times = decided().index.get_level_values("time").unique().sort_values()
    return [time.to_pydatetime() for time in times[-12:]]


def store(engine: Engine, recorded: Mapping[int, datetime], symbols: list[str] = SYMBOLS) -> None:
    """Store the signals of some of the twelve bars, each when it was recorded."""
    with engine.begin() as conn:
        for number, at in recorded.items():
            rows = decided().loc[(symbols, [bars()[number]]), :]
            ages = pd.DataFrame(0.0, index=rows.index, columns=list(SOURCES))
            save_bars(conn, rows)
            save_profile(conn, PROFILE, at)
            save_signals(conn, rows, ages, PROFILE, at)


def lag(engine: Engine, first: int = 0, last: int = 11) -> pd.DataFrame:
    """Seconds by bar and symbol."""
    with engine.connect() as conn:
        frame = load_alert_frame(
            conn, "balanced", ["worker_lag"], start=bars()[first], end=bars()[last]
        )
    return frame["worker_lag"].unstack("symbol").reindex(columns=SYMBOLS)


def soon(*numbers: int) -> dict[int, datetime]:
    return {number: bars()[number] + 5 * timedelta(seconds=1) for number in numbers}


def test_a_lag_grows_while_nothing_is_stored_and_is_what_was_known_at_the_time(
    engine: Engine,
) -> None:
    back = bars()[9] + 30 * MINUTE
    # Away from bar 4 to bar 9, which are stored when it is back.
    store(engine, {**soon(0, 1, 2, 3), **dict.fromkeys(range(4, 10), back), **soon(10, 11)})
    found = lag(engine)
    expected = [np.nan, 5, 5, 5, 5, 3600, 7200, 10800, 14400, 18000, 1800, 5]
    for symbol in SYMBOLS:
        np.testing.assert_array_equal(found[symbol], expected)
    # A later look from a later bar on says the same.
    pd.testing.assert_frame_equal(lag(engine, first=7), found.iloc[7:])
    frame = found[SYMBOLS[0]].to_frame("worker_lag").assign(symbol=SYMBOLS[0])
    frame = frame.set_index("symbol", append=True).swaplevel()
    late = compile_rule(BY_KEY["worker_lag"].definition.expression).evaluate(frame)
    assert late.fillna(False).tolist() == [False] * 5 + [True] * 6 + [False]


def test_bars_that_were_never_stored_count_as_well(sqlite_engine: Engine) -> None:
    store(sqlite_engine, soon(0, 1, 8, 9))
    found = lag(sqlite_engine)[SYMBOLS[0]]
    assert found.loc[bars()[8]] == 6 * 3600
    assert found.loc[bars()[9]] == 5


def test_a_past_that_was_filled_in_says_nothing_of_the_worker(sqlite_engine: Engine) -> None:
    store(sqlite_engine, {**dict.fromkeys(range(9), bars()[9] + MINUTE), **soon(10, 11)})
    found = lag(sqlite_engine)[SYMBOLS[0]]
    assert found.iloc[:9].isna().all()
    # The newest of the past was there at the close of bar 10, and bar 9 was not.
    assert found.loc[bars()[10]] == 3600
    assert found.loc[bars()[11]] == 5


def test_a_market_without_a_bar_is_no_lag_of_the_worker(sqlite_engine: Engine) -> None:
    store(sqlite_engine, soon(*range(12)), [SYMBOLS[0]])
    store(sqlite_engine, soon(0, 1, 2, 8, 9), [SYMBOLS[1]])
    found = lag(sqlite_engine)
    assert (found[SYMBOLS[0]].iloc[1:] == 5).all()
    assert np.isnan(found.loc[bars()[8], SYMBOLS[1]])
    assert found.loc[bars()[9], SYMBOLS[1]] == 5
