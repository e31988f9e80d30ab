"""Beside the band of the simulated market: why there is no live one, and a way to try again."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

import streamlit as st

from core.accounts import Person, may
from core.errors import CryptoSatXError
from core.instance import instance, last_answer
from core.market.probe import Answer
from core.ui import auto
from core.ui.controls import reader_clock
from core.ui.formats import Clock
from core.ui.session import redraw, renewed, require_user

_LOOK_SECONDS = 2


def draw_auto_banner(person: Person) -> None:
    """Only where the demo stands in for a live market; it goes when that is there."""
    if auto.is_stand_in(instance()):
        with st.container(key="auto"):
            _banner(may(person, "trader", write=True))


def banner_words(answer: Answer | None, clock: Clock, *, changeable: bool, asking: bool) -> str:
    """Why this is a simulation; ``asking`` is whether this reader may try again."""
    unheard = "" if answer is None else f"No exchange answered at {clock.minute(answer.at)}"
    if not changeable:
        why = f"{unheard}, and the" if unheard else "The"
        return (
            f"{why} database of DATABASE_URL holds this simulation. For the live market an "
            "administrator names another database and starts the server again."
        )
    if not unheard:
        return "The exchanges were not asked, so this is a simulation."
    return f"{unheard}, so this is a simulation." + ("" if asking else " Sign in to try again.")


@renewed(_LOOK_SECONDS)
def _banner(may_ask: bool) -> None:
    here, answer = instance(), last_answer()
    if not auto.is_stand_in(here):
        redraw()  # Somebody else has tried again.
    changeable = auto.may_change(here)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = banner_words(answer, reader_clock(), changeable=changeable, asking=may_ask)
        reasons = escape(answer.reasons if answer else "", quote=True)
        st.html(f'<span class="cx-note" title="{reasons}">{escape(words)}</span>', width="content")
        if changeable and may_ask:
            _draw_button()


def ask_again() -> None:
    """Ask the exchanges anew, for whoever may change what everybody sees."""
    require_user("trader", write=True)
    auto.try_again()


def _draw_button() -> None:
    wait = auto.seconds_to_wait(datetime.now(UTC))
    asked = st.button(
        "Try again",
        key="try_live",
        icon=":material/refresh:",
        disabled=wait > 0,
        help="Exchanges are asked at most every ten seconds." if wait else None,
    )
    if not asked:
        return
    try:
        with st.spinner("Asking the exchanges"):
            ask_again()
    except CryptoSatXError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()
