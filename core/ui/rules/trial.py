"""Trying a rule on history before it is saved: asking for it, watching it, reading what it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from core.alerts.definition import RuleDefinition, parse_definition
from core.errors import RuleError
from core.instance import instance
from core.store.alerts.trials import Asked
from core.ui import loaders
from core.ui.controls import reader_clock
from core.ui.formats import count
from core.ui.rules.drafts import Draft, definition_of
from core.ui.rules.trial_result import draw_result
from core.ui.rules.trials import TRIALS, Trial
from core.ui.rules.words import plain
from core.ui.session import redraw, renewed, require_user

_DAYS = (30, 90, 180, 365)
_POLL_SECONDS = 0.5


def draw_trial(draft: Draft, faults: dict[str, str], symbols: Sequence[str]) -> None:
    """Everything about the draft on history."""
    span = loaders.load_span()
    if span is None:
        st.markdown(":material/hourglass_empty: **No bar is stored yet, so there is no history.**")
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        days = _choose_days(span)
    blocking = {
        field: said
        for field, said in faults.items()
        if field not in ("name", "title", "body", "channels")
    }
    if blocking:
        st.markdown(
            ":material/edit: **What is written above has to be put right before it can be tried.**"
        )
        return
    definition = parse_definition(
        {
            **definition_of(draft),
            "name": draft.body["name"] or "-",
            "title": None,
            "body": None,
            "channels": [],
        }
    )
    asked = _asked(definition, days, span, symbols)
    trial = TRIALS.find(asked)
    with right:
        _draw_button(asked, trial)
    if trial is None:
        _draw_nothing(draft, days)
    elif trial.under_way:
        _draw_under_way(asked)
    elif trial.state == "done" and trial.history is not None:
        saved = _saved(draft, days, span, symbols)
        draw_result(trial, saved)
        if saved is not None and saved.under_way:
            _watch(saved.asked)
    else:
        said = trial.message or "It was cancelled, and nothing of it was kept."
        st.markdown(f":material/error: **{plain(said)}**")


def ask_trial(asked: Asked) -> None:
    """Have it done in the background; what forbids it is said on the page."""
    require_user("admin", write=True)
    try:
        TRIALS.ask(instance().engine, asked)
    except RuleError as error:
        st.session_state["rule_trial_refused"] = str(error)


def cancel_trial(asked: Asked) -> None:
    """Have it end without a result."""
    require_user("admin", write=True)
    TRIALS.cancel(asked)


def _choose_days(span: tuple[datetime, datetime]) -> int:
    there = max((span[1] - span[0]) // timedelta(days=1), 1)
    options = [days for days in _DAYS if days <= there]
    if len(options) < len(_DAYS) and there not in options:
        options.append(there)
    chosen = st.segmented_control(
        "Period", options, key="rule_days", required=True, default=options[min(1, len(options) - 1)],
        format_func=lambda days: f"{days} days",
    )  # fmt: skip
    clock = reader_clock()
    st.caption(
        f"{count(there, 'day')} are stored, {clock.day(span[0])} to {clock.day(span[1])}"
        + ("; a rule is tried on 365 of them at most." if there > max(_DAYS) else ".")
    )
    return chosen or options[0]


def _asked(
    definition: RuleDefinition,
    days: int,
    span: tuple[datetime, datetime],
    symbols: Sequence[str],
) -> Asked:
    end = span[1].astimezone(UTC)
    start = max(end - timedelta(days=days), span[0].astimezone(UTC) - timedelta(hours=1))
    return Asked(str(instance().engine.url), definition, start, end, tuple(symbols))


def _saved(
    draft: Draft, days: int, span: tuple[datetime, datetime], symbols: Sequence[str]
) -> Trial | None:
    """The trial of what is saved, to compare with: asked for where the draft differs from it."""
    if draft.rule_id is None or not draft.changed:
        return None
    try:
        asked = _asked(parse_definition(draft.saved), days, span, symbols)
        # One that failed is not tried anew at every run of the page.
        return TRIALS.find(asked) or TRIALS.ask(instance().engine, asked)
    except RuleError:
        # The saved one is refused by the language by now, or too many wait: there is no comparison.
        return None


def _draw_button(asked: Asked, trial: Trial | None) -> None:
    if trial is not None and trial.under_way:
        st.button(
            "Cancel", icon=":material/cancel:", key="rule_cancel",
            on_click=cancel_trial, args=(asked,), width="stretch",
        )  # fmt: skip
        return
    if trial is None or trial.state != "done":
        st.button(
            "Try it on history", type="primary", icon=":material/history:", key="rule_try",
            on_click=ask_trial, args=(asked,), width="stretch",
        )  # fmt: skip


def _draw_nothing(draft: Draft, days: int) -> None:
    refused = st.session_state.pop("rule_trial_refused", None)
    if refused:
        st.markdown(f":material/error: **{plain(refused)}**")
    what = "this rule, as it is written above," if draft.changed else "this rule"
    st.markdown(
        f":material/history: See how often {what} would have fired in the last {days} days: when, for "
        "which markets, for how long, and in how many messages. Nothing is saved by it."
    )


def _watch(asked: Asked) -> None:
    @renewed(_POLL_SECONDS)
    def wait() -> None:
        now = TRIALS.find(asked)
        if now is None or not now.under_way:
            redraw()

    wait()


def _draw_under_way(asked: Asked) -> None:
    @renewed(_POLL_SECONDS)
    def progress() -> None:
        now = TRIALS.find(asked)
        if now is None or not now.under_way:
            redraw()
        said = "Waiting for another backtest" if now.state == "waiting" else "Reading and judging"
        st.progress(now.fraction, text=f"{said}, {100 * now.fraction:.0f} %")

    progress()
    st.caption("You can leave this page, and come back: it goes on, and is kept.")
