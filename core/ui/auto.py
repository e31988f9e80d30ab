"""The market of ``auto``: decided once at the start, and anew when a reader asks for that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

from core.instance import Instance, instance, is_open_question, last_answer, take_answer
from core.market.probe import SECONDS, ask_exchanges
from core.settings import load_settings

# However many readers press the button, exchanges are asked once in this time.
AGAIN_AFTER = timedelta(seconds=10)

_trying = Lock()
_followers: list[Callable[[Instance], None]] = []


def open_instance() -> Instance:
    """What this server serves from its start; asks the exchanges where it depends on them."""
    settings = load_settings()
    if is_open_question(settings):
        return take_answer(ask_exchanges(settings))
    return instance()


def may_change(here: Instance) -> bool:
    """Whether the market could become the live one: a set database keeps the one it holds."""
    return is_stand_in(here) and here.settings.database_url is None


def is_stand_in(here: Instance) -> bool:
    """Whether the demo is shown in the place of a live market."""
    return here.settings.market == "auto" and here.market.kind == "demo"


def seconds_to_wait(now: datetime) -> float:
    """How long until exchanges may be asked again."""
    answer = last_answer()
    left = timedelta(0) if answer is None else answer.at + AGAIN_AFTER - now
    return max(0.0, left.total_seconds())


def try_again() -> None:
    """Ask the exchanges anew, and serve the live market to everybody if one answers.

    Readers who ask at the same time share one question; one asked just before counts.
    """
    with _trying:
        if not may_change(instance()) or seconds_to_wait(datetime.now(UTC)) > 0:
            return
        here = take_answer(ask_exchanges(load_settings()))
        if here.market.kind == "live":
            for begin_work in _followers:
                begin_work(here)


def follow(begin_work: Callable[[Instance], None] | None) -> None:
    """Have ``begin_work`` called when the market changes; None: nobody is called any more."""
    _followers[:] = [] if begin_work is None else [begin_work]


def market_words(here: Instance) -> str:
    """The market and why it is this one, for the terminal."""
    label, answer = here.market.label, last_answer()
    if here.settings.market != "auto":
        return label
    if answer is None:
        return f"{label} (the database of DATABASE_URL holds it)"
    if answer.venue is not None:
        return f"{label} ({answer.venue} answered)"
    hint = "; try again on any page" if may_change(here) else ""
    return f"{label} (no exchange answered within {SECONDS:g} s{hint})"
