"""The view of rules and model: how often they said the same, and where they did not."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path

import pandas as pd
import streamlit as st

from core.accuracy import Agreement, confusion, value_of_caution
from core.accuracy.record import KEYS, record_of
from core.accuracy.tallies import DAILY, LIVE, RULES
from core.store.record import Filters
from core.ui import loaders
from core.ui.accuracy_filters import judges_of
from core.ui.accuracy_opened import ROWS, draw_pages
from core.ui.accuracy_words import CAUTION_CAVEAT
from core.ui.controls import reader_clock
from core.ui.formats import count, interval, known, number, percent
from core.ui.loaders.drawn import drawn_once
from core.ui.palette import Palette, palette, verdict_sign
from core.ui.record_table import draw_caution, draw_record
from core.ui.signal_list import draw_signals

_STYLE = (Path(__file__).parent / "accuracy.css").read_text(encoding="utf-8")
_SHORTER = (
    "A model's record is shorter than that of the rules: it is asked about signals at the time they "
    "are made and never about the past, because it may remember what came after. Outcomes of past "
    "periods filled in by a replay are therefore the rules' only."
)


def draw_models(filters: Filters, options: pd.DataFrame) -> None:
    """Agreement, disagreements and the two records beside each other, for one model."""
    judge = model_of(filters, options)
    if judge is None:
        _draw_no_model()
        return
    asked = replace(filters, judge=judge)
    if filters.judge == RULES:
        st.caption(f"This is {judge}; choose another as the source on top.")
    found = confusion(loaders.load_pairs(asked))
    if not found.n:
        st.markdown(
            ":material/filter_alt_off: **No signal that the model judged passes these filters.**"
        )
        st.caption(_SHORTER)
        return
    st.markdown(f"#### {agreement_words(found, judge)}")
    st.caption(_SHORTER)
    _draw_confusion(found)
    _draw_worth(asked)
    _draw_records(asked)
    _draw_disagreements(asked, found)


def model_of(filters: Filters, options: pd.DataFrame) -> str | None:
    """The model that is asked for, or the one with the newest outcomes, of two that with the most of
    the newest day."""
    models = [name for name in judges_of(options) if name != RULES]
    if filters.judge in models or not models:
        return filters.judge if filters.judge in models else None
    of_models = options[options["judge"] != RULES]
    return str(of_models.sort_values(["last_day", "last_n"])["judge"].iloc[-1])


def agreement_words(found: Agreement, judge: str) -> str:
    """How often the two agreed, and what of it is more than chance."""
    band = interval(found.low, found.high, 2, unit="").strip()
    within = band if known(found.low) else "not enough time yet for an interval"
    kappa = (
        f"kappa {number(found.kappa, 2)} ({within})"
        if known(found.kappa)
        else "kappa is not defined, because both always said the same one thing"
    )
    return (
        f"The rules and {judge} said the same of {percent(found.share, 0)} of "
        f"{count(found.n, 'signal')}: {kappa}"
    )


def _draw_no_model() -> None:
    with st.container(border=True, key="no_model", gap="small"):
        st.markdown(":material/robot_2: **No model has judged a signal that has an outcome yet.**")
        st.markdown(
            "A language model can give a second verdict on every new signal. It may lower the rules' "
            "size, never raise it; both verdicts are kept and compared here. On the server, set"
        )
        st.code("CRYPTOSATX_MODEL=gpt-4o-mini\nOPENAI_API_KEY=...", language="bash")
        st.markdown(
            "or `OPENAI_BASE_URL` for any other endpoint that speaks as OpenAI does, and start the "
            "worker again. System shows how its calls are doing."
        )
        st.caption(_SHORTER)


def _draw_confusion(found: Agreement) -> None:
    st.markdown(
        "**Who said what**  \nOn the diagonal both said the same. Below and left of it the model was "
        "bolder in word than the rules, above and right of it more careful; its size is never above "
        "that of the rules."
    )
    heads = "".join(f'<th class="n" scope="col">{_sign(name)}</th>' for name in found.table.columns)
    rows = "".join(
        f'<tr><th scope="row">{_sign(rules)}</th>'
        + "".join(
            f'<td class="n{" same" if rules == model else ""}">{number(found.table.loc[rules, model])}'
            f"<br><small>{percent(found.table.loc[rules, model] / found.n, 0)}</small></td>"
            for model in found.table.columns
        )
        + "</tr>"
        for rules in found.table.index
    )
    st.html(
        f'{_style(palette())}<table class="cx-pairs"><caption>Rules down, model across; signals</caption>'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )
    st.caption(
        "Kappa is the agreement beyond what two judges with these habits would reach by chance: 0 is "
        "chance, 1 is always. Its 95 % interval is a t interval over ten eras of days."
    )


def _style(colours: Palette) -> str:
    names = ("ground", "panel", "line", "muted")
    declared = "".join(f"--{name}: {getattr(colours, name)};" for name in names)
    return f"<style>.cx-pairs {{{declared}}}\n{_STYLE}</style>"


def _sign(verdict: str) -> str:
    sign = verdict_sign(verdict)
    return f"{sign.glyph} {escape(sign.word)}"


@drawn_once
def _draw_worth(asked: Filters) -> None:
    tallies = loaders.load_tallies(asked, KEYS, DAILY)
    st.markdown(
        "**What the model's caution was worth**  \nLosses avoided less gains missed by what it did not "
        "take of the full size. Worth having only where the whole interval is above 0. "
        f"{CAUTION_CAVEAT}"
    )
    cautious = record_of(tallies, tallies).cautious
    draw_caution(value_of_caution(tallies), cautious, key="model")


@drawn_once
def _draw_records(asked: Filters) -> None:
    """The model's trades and those of the rules at the time, each with its own baseline."""
    rules = replace(asked, judge=RULES, recorded=LIVE)
    for filters, title, meaning in (
        (asked, "The model's trades", "what it let through of the signals it was asked about"),
        (
            rules,
            "The rules' trades",
            "recorded at the time; they judge every signal, asked about or not",
        ),
    ):
        tallies = loaders.load_tallies(filters, KEYS, DAILY)
        if tallies.empty:
            st.markdown(f"**{title}**: {meaning}")
            st.caption("No finished outcomes.")
            continue
        draw_record(record_of(tallies, tallies).trades, title, meaning, traded=True)


def _draw_disagreements(asked: Filters, found: Agreement) -> None:
    n = found.n - sum(int(found.table.loc[name, name]) for name in found.table.index)
    st.markdown(f"**Where they disagreed**: {count(n, 'signal')}")
    if not n:
        return
    page = draw_pages(n, "disagreed")
    rows = loaders.load_disagreements(asked, ROWS, (page - 1) * ROWS)
    draw_signals(rows, asked.profile_version or "", reader_clock(), key="disagreements")
