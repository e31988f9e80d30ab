"""Liquidations as venues report them: the tape, what they add up to, and what was not heard."""

from datetime import datetime

import streamlit as st

from core.instance import instance
from core.market.liquidation_windows import symbols_known, venues_known
from core.ui import liquidation_parts as parts
from core.ui import loaders
from core.ui.charts.liquidations import CUMULATIVE, OVER_TIME
from core.ui.header import market_now
from core.ui.liquidation_draw import (
    BY_SYMBOL,
    BY_VENUE,
    REFRESH_SECONDS,
    SLOWLY_SECONDS,
    draw_flow,
    draw_gaps,
    draw_headline,
    draw_judged,
    draw_map,
    draw_moving,
    draw_one,
    draw_ranking,
    draw_spikes,
    draw_tape_part,
)
from core.ui.liquidation_filters import ask, ask_of_bars, ask_part, ask_symbol
from core.ui.liquidation_view import (
    Asked,
    Tally,
    ranked,
    read_bar_spikes,
    read_bar_tally,
    read_tally,
)
from core.ui.loaders.shared import moment
from core.ui.palette import palette
from core.ui.session import require_user
from core.ui.states import draw_nothing_stored, draw_unheard, store_failures_shown
from core.ui.viewport import is_narrow, watch_viewport

require_user("trader")

MAP = "map"


def main() -> None:
    st.html(parts.style(palette()))
    with store_failures_shown():
        if instance().market.kind == "live":
            _draw_live()
        else:
            _draw_of_bars()
    watch_viewport()


def _now(every: float = REFRESH_SECONDS) -> datetime:
    """One of the moments at which all readers look, so that they share what they see."""
    return moment(market_now(instance().market, None), every)


def _draw_live() -> None:
    pairs = loaders.load_liquidation_pairs(_now())
    venues = venues_known(pairs, loaders.load_streams())
    if not venues:
        draw_moving(_await_first)
        return
    symbols = symbols_known(pairs)
    asked = ask(venues, symbols)
    usual = next(iter(ranked(_tally(asked), "symbol").index), None)
    draw_all = _draw_narrow if is_narrow() else _draw_wide
    draw_all(asked, [*asked.symbols, *symbols], usual)


def _await_first() -> None:
    if len(loaders.load_streams()):
        st.rerun()
    draw_unheard()


def _tally(asked: Asked) -> Tally:
    """Sums, which are looked at anew no more often than they change for the eye."""
    return read_tally(asked, _now(SLOWLY_SECONDS))


def _draw_wide(asked: Asked, symbols: list[str], usual: str | None) -> None:
    """Two parts that move: every part is a run of its own, which costs more than what it draws."""
    draw_moving(lambda: _draw_top(asked))
    draw_moving(lambda: _draw_rest(asked, symbols, usual), SLOWLY_SECONDS)


def _draw_top(asked: Asked) -> None:
    tally = _tally(asked)
    draw_headline(tally, asked)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        draw_flow(tally, asked)
    with right:
        draw_tape_part(asked, _now())


def _draw_rest(asked: Asked, symbols: list[str], usual: str | None) -> None:
    tally = _tally(asked)
    left, right = st.columns(2, gap="medium")
    with left:
        draw_ranking(tally, asked, BY_SYMBOL)
        draw_ranking(tally, asked, BY_VENUE)
    with right:
        draw_judged(asked, tally.stretch.now)
    _draw_map(asked, symbols, usual)
    draw_gaps(asked, tally.stretch.now)


def _draw_narrow(asked: Asked, symbols: list[str], usual: str | None) -> None:
    draw_moving(lambda: draw_headline(_tally(asked), asked), SLOWLY_SECONDS)
    part = ask_part((OVER_TIME, CUMULATIVE, BY_SYMBOL, BY_VENUE, MAP))
    if part == MAP:
        draw_moving(lambda: _draw_map(asked, symbols, usual), SLOWLY_SECONDS)
    else:
        draw_moving(lambda: draw_one(_tally(asked), asked, part), SLOWLY_SECONDS)
    draw_moving(lambda: draw_tape_part(asked, _now()))
    draw_moving(lambda: _draw_below(asked), SLOWLY_SECONDS)


def _draw_below(asked: Asked) -> None:
    now = _now(SLOWLY_SECONDS)
    draw_judged(asked, now)
    draw_gaps(asked, now)


def _draw_map(asked: Asked, symbols: list[str], usual: str | None) -> None:
    """Of the market that is chosen; at first of the one with the most as the page was opened."""
    st.markdown("**Where in price and time**")
    if not symbols:
        st.caption("No single event has been reported yet.")
        return
    symbol = ask_symbol(list(asked.symbols or symbols), usual or symbols[0])
    draw_map(asked, symbol, _now(SLOWLY_SECONDS))


def _draw_of_bars() -> None:
    """A market of which only the hourly totals in the bars are known; its time stands still."""
    span = loaders.load_span()
    if span is None:
        draw_nothing_stored("liquidations")
        return
    asked = ask_of_bars(list(loaders.load_closes(1).columns))
    tally = read_bar_tally(asked, span[1])
    draw_headline(tally, asked)
    st.caption("Single events are known on the live market only: there is no tape and no map here.")
    if is_narrow():
        draw_one(tally, asked, ask_part((OVER_TIME, CUMULATIVE, BY_SYMBOL)))
        draw_spikes(read_bar_spikes(asked, span[1]))
        return
    draw_flow(tally, asked)
    left, right = st.columns(2, gap="medium")
    with left:
        draw_ranking(tally, asked, BY_SYMBOL)
    with right:
        draw_spikes(read_bar_spikes(asked, span[1]))


main()
