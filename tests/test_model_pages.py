"""Both verdicts on Symbol and Signals, and the model on System; a model's words are a stranger's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.instance import Instance
from core.plan import Account, plan
from core.settings import load_settings
from core.store.signals import load_signal
from core.store.verdicts import (
    FAILURES,
    Asked,
    Asking,
    Ended,
    Limits,
    Opinion,
    Spent,
    claim,
    load_unasked,
    save_verdicts,
)
from core.ui import decision
from core.ui.formats import UTC_CLOCK
from core.ui.model_words import ENDED, KINDS, MEANINGS
from core.ui.system_model import ModelView, model_part, model_problems
from core.verdicts import as_frame
from tests.opinions import BAR, NOW, SYMBOLS, planned, store
from tests.pages import open_page, serve, table, words
from tests.test_symbol_page import text

NOW_LIVE = datetime.now(UTC)
EVIL = "<script>alert(1)</script> **bold** [link](javascript:alert(1)) \"'&"
ASKED = Asked("http://localhost/v1", "stand-in <b>large</b>", "abc123", 0.0)
LOWER = Opinion(
    "answered",
    "DOWNSIZE",
    "REDUCED",
    0.25,
    (("funding_rate", EVIL), ("crowding", "Everybody is long.")),
    f"A fall. {EVIL}",
    attempts=1,
    prompt_tokens=1_200,
    completion_tokens=150,
    cost_usd=0.0039,
    latency_ms=2_345.0,
    question="[]",
    raw_reply="{}",
)
EMPTY = Asking({}, 0, 0, None, None)


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    served = serve(monkeypatch, new_sqlite(), tmp_path)
    store(served.engine)
    yield served
    served.engine.dispose()


def traded() -> str:
    """A market whose balanced signal is traded at full size or more."""
    rows = planned("balanced")
    rows = rows[rows.index.isin(SYMBOLS, level="symbol")]
    return str(rows.index[rows["multiplier"] >= 1][0][0])


def say(here: Instance, symbol: str, opinion: Opinion) -> None:
    with here.engine.begin() as conn:
        unasked = load_unasked(conn, BAR, NOW, ["balanced"])
        ids = unasked.loc[unasked.index.isin([symbol], level="symbol"), "signal_id"].tolist()
        assert claim(conn, ids, ASKED, "one", NOW, limits=Limits(9), worst_usd=None) is not None
        assert save_verdicts(conn, ids, opinion, NOW) == ids


def symbol_page(symbol: str) -> AppTest:
    return open_page("symbol.py", {"symbol": symbol})


def test_symbol_shows_both_verdicts_what_stands_and_a_plan_of_that_size(here):
    symbol = traded()
    with here.engine.connect() as conn:
        row = load_signal(conn, symbol, "balanced", BAR)
    say(here, symbol, LOWER)
    page = symbol_page(symbol)
    said = text(words(page))
    assert "DOWNSIZE what stands, lowered by the model · 0.25× risk" in said
    assert f"By rules {row['verdict']} risk mode" in said
    assert "By stand-in <b>large</b> DOWNSIZE risk mode reduced · 0.25× risk" in said
    assert "Funding rate" in said
    assert "Crowding: Everybody is long." in said
    assert "What would change its mind: A fall." in said
    assert "abc123" in said
    assert "answered in 2.3 s" in said
    assert "0.0039" in said
    quarter = plan(as_frame(row).assign(multiplier=0.25), Account()).iloc[0]
    assert text(decision.plan_part(quarter)) in said


def test_what_a_model_wrote_is_text_and_nothing_else(here):
    symbol = traded()
    say(here, symbol, LOWER)
    page = symbol_page(symbol)
    html = " ".join(str(element.value) for element in page.html)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; **bold**" in html
    assert "<b>large</b>" not in html
    others = " ".join(str(element.value) for element in [*page.markdown, *page.caption])
    assert "bold" not in others


@pytest.mark.parametrize("state", FAILURES)
def test_a_failure_is_told_in_words_and_the_rules_verdict_stands(here, state):
    symbol = traded()
    with here.engine.connect() as conn:
        row = load_signal(conn, symbol, "balanced", BAR)
    say(here, symbol, Opinion(state, error=f"Because {EVIL}"))
    said = text(words(symbol_page(symbol)))
    assert f"{row['verdict']} what stands · " in said
    assert f"It {ENDED[state]}; the rules’ verdict stands. Because <script>" in said
    assert text(decision.plan_part(plan(as_frame(row), Account()).iloc[0])) in said


def test_without_a_model_nothing_is_said_of_one(here):
    said = text(words(symbol_page(traded())))
    assert "by rules · risk mode" in said
    assert "what stands" not in said


def test_signals_show_what_stands_and_where_the_model_lowered_it(here):
    symbol = traded()
    say(here, symbol, LOWER)
    rows = {row["symbol"]: row for row in table(open_page("signals.py"))["rows"]}
    by_rules = planned("balanced").xs(symbol, level="symbol")["verdict"].iloc[0]
    assert rows[symbol]["verdict"] == "DOWNSIZE"
    assert rows[symbol]["lowered"] == f"The language model lowered the rules’ {by_rules}."
    assert [one for one, row in rows.items() if row["lowered"]] == [symbol]


def test_a_filter_by_verdict_goes_by_what_stands(here):
    symbol = traded()
    say(here, symbol, LOWER)
    shown = table(open_page("signals.py", {"verdict": "DOWNSIZE"}))
    assert symbol in {row["symbol"] for row in shown["rows"]}


# System


def view(**changes: object) -> ModelView:
    settings = load_settings(
        {
            "CRYPTOSATX_MODEL": "stand-in",
            "OPENAI_BASE_URL": "http://me:open-sesame@host/v1?code=abc",
            "CRYPTOSATX_MODEL_PRICES": "input=2,output=10",
            "CRYPTOSATX_MODEL_USD_PER_DAY": "5",
        }
    )
    whole = {
        "settings": settings,
        "day": EMPTY,
        "ever": EMPTY,
        "spent": Spent(0, 0.0),
        "last": None,
        "last_failure": None,
    }
    return ModelView(**(whole | changes))


def part(shown: ModelView) -> str:
    return text(model_part(shown, NOW_LIVE, UTC_CLOCK))


def test_off_is_said_with_how_to_turn_it_on():
    said = part(view(settings=load_settings({})))
    assert "off" in said
    assert "Set CRYPTOSATX_MODEL and OPENAI_API_KEY" in said


def test_every_way_to_end_is_counted_and_explained():
    counted = {kind: number for number, kind in enumerate(KINDS, start=2)}
    ever = Asking({kind: 100 + n for kind, n in counted.items()}, 7, 9, 1.25, None)
    day = Asking(counted, 5, 6, 0.5, 2_500.0)
    last = Ended("answered", None, NOW_LIVE)
    failed = Ended("invalid", f"It breaks. {EVIL} `x`", NOW_LIVE - timedelta(minutes=5))
    shown = view(day=day, ever=ever, spent=Spent(42, 1.5), last=last, last_failure=failed)
    said = part(shown)
    assert set(KINDS) == set(MEANINGS) == {"answered", *FAILURES}
    for kind, title in KINDS.items():
        assert f"{title} {counted[kind]} {100 + counted[kind]}" in said
    for word in (
        "working",
        "42 of 1,000",
        "2.5 s",
        "1.50",
        "5.00",
        "5, 7 in all",
        "http://host/v1",
    ):
        assert word in said, word
    assert "it gave an answer that cannot be used. It breaks. <script>" in said
    assert "<script" not in model_part(shown, NOW_LIVE, UTC_CLOCK)
    assert "open-sesame" not in said
    assert "_" not in said.replace("OPENAI_", "")


@pytest.mark.parametrize("state", ["failed", "timed_out", "unavailable", "over_budget"])
def test_what_fails_now_is_a_problem_and_what_failed_long_ago_is_not(state):
    now = Ended(state, "The endpoint answered 401.", NOW_LIVE - timedelta(minutes=5))
    (problem,) = model_problems(view(last=now), NOW_LIVE)
    assert "stand-in" in problem.what
    old = Ended(state, "x", NOW_LIVE - timedelta(hours=3))
    assert model_problems(view(last=old), NOW_LIVE) == []
    assert model_problems(view(last=now, settings=load_settings({})), NOW_LIVE) == []


def test_a_model_that_says_something_unusable_is_no_problem_of_the_machinery():
    last = Ended("invalid", "x", NOW_LIVE)
    assert model_problems(view(last=last), NOW_LIVE) == []


def test_a_past_that_is_replayed_says_why_no_model_is_asked(here):
    from core.ui.system_model import past_part

    assert "never" not in past_part()
    assert "live market only" in text(past_part())


def test_a_verdict_that_shares_a_call_tells_what_the_call_took(here):
    with here.engine.begin() as conn:
        unasked = load_unasked(conn, BAR, NOW, ["balanced", "aggressive"])
        symbol = traded()
        own = unasked[unasked.index.isin([symbol], level="symbol")]
        ids = own["signal_id"].tolist()
        claim(conn, ids, ASKED, "one", NOW, limits=Limits(9), worst_usd=None)
        assert save_verdicts(conn, ids, LOWER, NOW) == ids
        assert len(ids) == 2
    for mode in ("balanced", "aggressive"):
        said = text(words(open_page("symbol.py", {"symbol": symbol, "mode": mode})))
        assert "answered in 2.3 s" in said
        assert "0.0039" in said
