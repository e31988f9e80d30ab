"""Which market and which of its signals are open: ``?symbol=``, ``?time=`` and ``?version=``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from core.errors import StoreError
from core.ui import loaders
from core.ui.callbacks import of_page
from core.ui.charts import Window, signal_runs
from core.ui.charts.steps import step_of
from core.ui.formats import Clock, number
from core.ui.palette import direction_sign, verdict_sign

_FAVOURITE = "BTCUSDT"
_UNKNOWN = "unknown_symbol"
_NEWEST, _CHOSEN = "newest", "opened_signal"


def choose_symbol(symbols: Sequence[str]) -> str | None:
    """The market that is asked for or chosen; None, said on the page, where there is no such one."""
    asked = st.query_params.get("symbol")
    if asked and asked not in symbols and asked.upper() in symbols:
        st.session_state["symbol"] = asked.upper()
    elif asked and asked not in symbols:
        st.session_state[_UNKNOWN] = asked
    lost = st.session_state.get(_UNKNOWN)
    favourite = symbols.index(_FAVOURITE) if _FAVOURITE in symbols else 0
    symbol = st.selectbox(
        "Market",
        symbols,
        index=None if lost else favourite,
        key="symbol",
        bind="query-params",
        placeholder="Search a market",
        icon=":material/search:",
        label_visibility="collapsed",
        on_change=of_page(_forget),
        width=230,
    )
    return symbol if symbol in symbols else None


def lost_symbol() -> str | None:
    """The name that was asked for and that no market has."""
    return st.session_state.get(_UNKNOWN)


def parse_time(text: str | None) -> datetime | None:
    """A time from the address, in UTC where it names no zone; None for nonsense.

    >>> parse_time("2025-10-10T21:00Z"), parse_time("soon"), parse_time(None)
    (datetime.datetime(2025, 10, 10, 21, 0, tzinfo=datetime.timezone.utc), None, None)
    """
    try:
        time = datetime.fromisoformat(text or "")
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def choose_time(history: pd.DataFrame, clock: Clock) -> pd.Timestamp | None:
    """The signal of the past that is open, None for the newest.

    ``history`` is of one symbol. To choose from are the first signals of each run of equal ones;
    any stored time can be asked for. A time that is not stored is said to be so.
    """
    times = pd.DatetimeIndex(history.index)
    text = st.query_params.get("time")
    asked = parse_time(text)
    opened = pd.Timestamp(asked) if asked is not None and asked in times else None
    if text and opened is None:
        st.caption(f":material/info: There is no bar of “{text[:40]}”; this is the newest.")
    runs = signal_runs(history, Window(times[0], times[-1], step_of(times)), every=False)
    known = [*runs.index[::-1]]
    if opened is not None and opened not in runs.index:
        known = sorted([*known, opened], reverse=True)
    _draw_choice(history, [_NEWEST, *map(_address, known)], opened, clock)
    return opened


def load_opened(symbol: str, mode: str, time: datetime) -> tuple[pd.Series, str | None]:
    """The stored row of a bar, and the version that was asked for if there is a row of it.

    Without one it is the row that was recorded first.
    """
    version = st.query_params.get("version")
    row = loaders.load_signal(symbol, mode, time, version) if version else None
    if row is not None:
        return row, version
    first = loaders.load_signal(symbol, mode, time)
    if first is None:
        raise StoreError(f"The signal of {symbol} at {time:%Y-%m-%d %H:%M} is gone: try again.")
    return first, None


def open_clicked() -> None:
    """Open the signal whose mark was clicked on the chart."""
    mark = st.session_state["chart"].clicked
    if mark:
        _open(_address(pd.Timestamp(mark)))


def _draw_choice(
    history: pd.DataFrame, options: list[str], opened: pd.Timestamp | None, clock: Clock
) -> None:
    st.session_state[_CHOSEN] = _NEWEST if opened is None else _address(opened)

    labels = _labels(history, options[1:], clock)
    st.selectbox(
        "Signal",
        options,
        key=_CHOSEN,
        format_func=labels.__getitem__,
        on_change=of_page(_open_chosen),
        label_visibility="collapsed",
    )
    at = options.index(st.session_state[_CHOSEN])
    with st.container(horizontal=True, gap="small", wrap=False, key="steps"):
        _step("Earlier", options, at + 1)
        _step("Later", options, at - 1)
        _step("Newest", options, 0 if at else -1)


def _labels(history: pd.DataFrame, options: list[str], clock: Clock) -> dict[str, str]:
    rows = history.loc[pd.to_datetime(options, utc=True), ["direction", "verdict", "score"]]
    labels = {_NEWEST: f"Newest: {clock.stamp(history.index[-1])}"}
    for option, (time, direction, verdict, score) in zip(options, rows.itertuples(), strict=True):
        sign = direction_sign(direction)
        judged = f" {verdict_sign(verdict).word}" if direction else ""
        said = f"{sign.glyph} {sign.word}{judged} {number(score, 1)}"
        labels[option] = f"{clock.stamp(time)}  {said}"
    return labels


def _step(title: str, options: list[str], to: int) -> None:
    icons = {"Earlier": "chevron_left", "Later": "chevron_right", "Newest": "last_page"}
    inside = 0 <= to < len(options)
    st.button(
        title,
        icon=f":material/{icons[title]}:",
        key=title.lower(),
        type="tertiary",
        disabled=not inside,
        on_click=_open,
        args=(options[to] if inside else _NEWEST,),
    )


def _open_chosen() -> None:
    _open(st.session_state[_CHOSEN])


def _open(option: str) -> None:
    st.query_params.pop("version", None)
    if option == _NEWEST:
        st.query_params.pop("time", None)
    else:
        st.query_params["time"] = option


def _address(time: pd.Timestamp) -> str:
    return f"{time.tz_convert('UTC'):%Y-%m-%dT%H:%MZ}"


def _forget() -> None:
    """Another market has other signals."""
    st.session_state.pop(_UNKNOWN, None)
    st.query_params.pop("version", None)
    st.query_params.pop("time", None)
