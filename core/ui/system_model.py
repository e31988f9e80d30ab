"""The language model on the System page: whether it is asked, how that goes, what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.settings import Settings, model_endpoint, public_address
from core.store.verdicts import Asking, Ended, Spent
from core.ui.formats import DASH, Clock, number, usd_exact
from core.ui.model_words import ENDED, KINDS, MEANINGS
from core.ui.system_html import Shape, ago, listed, pairs, prose, section, state, table
from core.ui.system_verdict import Problem
from core.verdicts.model.version import version_asked

# What failed longer ago than this is told below, and no longer at the top.
LATELY = timedelta(hours=2)
_STATES: Mapping[str, tuple[Shape, str]] = {
    "answered": ("good", "working"),
    "refused": ("half", "the last answer was refused"),
    "cut_off": ("half", "the last answer was cut off"),
    "invalid": ("half", "the last answer could not be used"),
    "timed_out": ("bad", "did not answer in time"),
    "failed": ("bad", "failing"),
    "unavailable": ("bad", "left alone after failures in a row: the breaker is open"),
    "over_budget": ("half", "the day’s budget is used up"),
    "lost": ("half", "the last question was lost with its worker"),
}
_HOW = (
    "Off: signals are judged by rules alone. Set `CRYPTOSATX_MODEL` and `OPENAI_API_KEY`, or "
    "`OPENAI_BASE_URL` for a server of your own, and start the workers again."
)
_NOTE = (
    "A second opinion on live signals, once each. It may lower the rules’ multiplier, never raise it; "
    "where it fails the rules’ verdict stands."
)


@dataclass(frozen=True)
class ModelView:
    """What is known of the model; ``day`` is of the last 24 hours, ``spent`` of the UTC day."""

    settings: Settings
    day: Asking
    ever: Asking
    spent: Spent
    last: Ended | None
    last_failure: Ended | None

    @property
    def state(self) -> tuple[Shape, str]:
        if self.settings.model is None:
            return "none", "off"
        if self.last is None:
            return "none", "not asked yet"
        return _STATES[self.last.state]


def model_problems(view: ModelView, now: datetime) -> list[Problem]:
    """What of the model does not work now."""
    last = view.last
    if view.settings.model is None or last is None or now - last.asked_at > LATELY:
        return []
    if last.state == "over_budget":
        what = (
            f"{view.settings.model} is no longer asked today: the budget of the UTC day is used up."
        )
        do = "Raise CRYPTOSATX_MODEL_CALLS_PER_DAY or CRYPTOSATX_MODEL_USD_PER_DAY, or wait."
        return [Problem(6, what, do)]
    if last.state not in ("timed_out", "failed", "unavailable"):
        return []
    said = f" {last.error}" if last.error else ""
    return [
        Problem(
            5,
            f"{view.settings.model} {ENDED[last.state]}; the rules’ verdicts stand.{said}",
            "It is asked again with the next bar; `python -m core doctor` asks it now and says more.",
        )
    ]


def model_part(view: ModelView, now: datetime, clock: Clock) -> str:
    """The section about the model."""
    shape, word = view.state
    said = listed([state(shape, word)])
    off = view.settings.model is None
    how = f'<p class="note">{prose(_HOW)}</p>' if off else ""
    if off and not view.ever.states:
        return section("Language model", _NOTE, said, how)
    return section(
        "Language model",
        _NOTE,
        said,
        how,
        f"<br>{_figures(view)}",
        _kinds(view),
        _last(view, now, clock),
    )


def past_part() -> str:
    """The section where a market is not live."""
    return section(
        "Language model",
        "A model is asked about a live market only: one that is asked about the past may remember it.",
    )


def _figures(view: ModelView) -> str:
    settings, prices = view.settings, view.settings.model_prices
    endpoint = public_address(settings.openai_base_url) if settings.openai_base_url else "OpenAI"
    money = usd_exact(view.spent.usd) if prices else DASH
    limit = settings.model_usd_per_day
    return pairs(
        [
            ("Model", prose(settings.model or DASH)),
            ("Endpoint", prose(endpoint)),
            ("Version asked", version_asked(model_endpoint(settings), settings.model_temperature)),
            (
                "Signals judged, 24 h",
                f"{number(view.day.signals)}, {number(view.ever.signals)} in all",
            ),
            ("Requests, 24 h", f"{number(view.day.calls)}, {number(view.ever.calls)} in all"),
            ("Latency, median 24 h", _seconds(view.day.latency_ms)),
            (
                "Requests of today’s budget",
                f"{number(view.spent.calls)} of {number(settings.model_calls_per_day)}",
            ),
            (
                "USD of today’s budget",
                f"{money} of {usd_exact(limit)}" if limit else f"{money}, no limit",
            ),
            ("Known cost in all", usd_exact(view.ever.cost_usd, 4)),
        ]
    )


def _kinds(view: ModelView) -> str:
    columns = (
        ("How questions ended", "one question may serve the three modes of a bar", False),
        ("24 h", "in the last 24 hours", True),
        ("In all", "since the first", True),
    )
    rows = [
        [
            f'<span title="{MEANINGS[kind]}">{title}</span>',
            number(view.day.states.get(kind, 0)),
            number(view.ever.states.get(kind, 0)),
        ]
        for kind, title in KINDS.items()
    ]
    return table(columns, rows, "How questions to the model ended", dense=3)


def _last(view: ModelView, now: datetime, clock: Clock) -> str:
    last = view.last_failure
    if last is None:
        return '<p class="note">No question has failed yet.</p>'
    # What an endpoint said may hold anything, a backtick too.
    words = prose((last.error or "").replace("`", "’"))
    return (
        f'<ul class="marks"><li><b>Last failure:</b> {ago(last.asked_at, now, clock)}, it '
        f"{ENDED[last.state]}. {words}</li></ul>"
    )


def _seconds(milliseconds: float | None) -> str:
    return DASH if milliseconds is None else f"{number(milliseconds / 1000, 1)}\u00a0s"
