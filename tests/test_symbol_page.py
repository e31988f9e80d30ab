"""The Symbol page: the decision in reading order, the plan, time travel, and nonsense in its address."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.backtest import decide
from core.instance import Instance
from core.plan import Account, plan, plan_row
from core.signals import load_profile
from core.signals.words import explain, format_raw
from core.store.signals import load_signal
from core.store.tracing import Origin, Provenance, load_origin, load_outcomes_of
from core.ui import decision, session
from core.ui.formats import UTC_CLOCK, number
from core.ui.opened import parse_time
from core.ui.palette import DARK, LIGHT
from tests.builders import START, make_frame
from tests.pages import (
    RECORDED,
    charts,
    copy_of_past,
    open_app,
    open_page,
    run,
    serve,
    serve_copy,
    words,
)

HOURS = 24 * 20
PROFILE = load_profile()
BLIND = ["open", "high", "low", "close", "volume_usd"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Four markets; the last has candles only, so it never has a signal."""
    frame = make_frame(["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"], hours=HOURS)
    frame.loc[["XRPUSDT"], frame.columns.difference(BLIND)] = np.nan
    return frame


@pytest.fixture(scope="module")
def planned(frame: pd.DataFrame) -> pd.DataFrame:
    return decide(frame, PROFILE)


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    served = serve(monkeypatch, new_sqlite(), tmp_path)
    yield served
    served.engine.dispose()


@pytest.fixture(scope="module")
def past(
    sqlite_template: Path, frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return copy_of_past(sqlite_template, frame, tmp_path_factory.mktemp("past"))


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch, past: Path, tmp_path: Path) -> Iterator[Instance]:
    served = serve_copy(monkeypatch, past, tmp_path)
    yield served
    served.engine.dispose()


def open_symbol(query: dict[str, str] | None = None, **context: str) -> AppTest:
    return open_page("symbol.py", query, **context)


def open_elsewhere(query: dict[str, str]) -> AppTest:
    """The page within the app, for what leads to other pages."""
    at = open_app()
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page("symbol.py")
    return run(at)


def text(html: str) -> str:
    """What a reader sees of HTML, in one line."""
    bare = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", bare)).replace("\xa0", " ").split())


def shown(at: AppTest) -> str:
    return text(words(at))


def figure(at: AppTest) -> dict[str, Any]:
    """The figure as it goes to the browser."""
    (chart,) = charts(at)
    return json.loads(chart["spec"])


def stamp(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%dT%H:%MZ}"


def first(planned: pd.DataFrame, mask: pd.Series, symbol: str = "BTCUSDT") -> pd.Series:
    """The first row of a market for which ``mask`` holds."""
    return planned[mask & (planned.index.get_level_values("symbol") == symbol)].iloc[0]


# The column, part by part


def row_of(planned: pd.DataFrame, mask: pd.Series) -> pd.Series:
    ages = {f"age_{source}": 0.0 for source in decision.SOURCES}
    return pd.concat([planned[mask].iloc[0], pd.Series(ages)]).rename(planned[mask].index[0])


def test_the_score_stands_on_its_scale_with_both_thresholds(planned):
    row = row_of(planned, planned["direction"] == 1)
    said = text(decision.score_part(row, PROFILE))
    assert said.startswith("LONG")
    for word in (f"{row['score']:.1f}", "short to 42", "long from 58", "conviction", "coverage"):
        assert word in said


def test_without_a_signal_the_reason_stands_in_the_score_s_place(planned):
    row = row_of(planned, planned["direction"].isna())
    said = text(decision.score_part(row, PROFILE))
    assert "no signal" in said
    assert "not enough data" in said


def test_the_three_largest_contributions_are_in_words_and_the_rest_are_bars(planned):
    row = row_of(planned, planned["direction"].eq(-1) & planned["coverage"].eq(1))
    html = decision.why_part(row, PROFILE)
    assert html.count("<p>") == 3
    assert html.count('class="bar"') == 8
    points = [float(p.replace("−", "-")) for p in re.findall(r">([+−]?\d+\.\d)</span>", html)]
    assert [abs(p) for p in points] == sorted((abs(p) for p in points), reverse=True)
    assert sum(points) == pytest.approx(row["score"] - 50, abs=0.5)


def test_what_speaks_against_is_every_reason_but_the_conclusion(planned):
    mask = planned["reasons"].map(len).ge(3)
    row = row_of(planned, mask)
    said = text(decision.against_part(row))
    for reason in row["reasons"][:-1]:
        assert reason[1:] in said
    assert row["reasons"][-1][1:] not in said


def test_nothing_against_is_said_too(planned):
    row = row_of(planned, planned["direction"].eq(1) & planned["risk_points"].eq(0))
    assert "Nothing that the rules count" in text(decision.against_part(row))


@pytest.mark.parametrize("verdict", ["CONFIRM", "DOWNSIZE", "WAIT", "SKIP"])
def test_the_verdict_names_its_source_and_has_its_shape(planned, verdict):
    mask = planned["verdict"].eq(verdict) & planned["direction"].ne(0)
    html = decision.verdict_part(row_of(planned, mask))
    assert f'class="shape {verdict}"' in html
    assert f"{verdict} by rules" in text(html)


def test_all_eight_inputs_stand_with_what_is_normal_their_distance_and_their_age(planned):
    row = row_of(planned, planned["coverage"].eq(1) & planned["direction"].eq(1))
    row = row.copy()
    row["age_funding"] = 3.0
    said = text(decision.inputs_part(row, PROFILE))
    for part in explain(row, PROFILE):
        assert part.title in said
        has = not np.isnan(part.normal)
        normal = f" normal {format_raw(part.factor, part.normal)}" if has else ""
        assert f"{format_raw(part.factor, part.raw)}{normal}" in said
        assert f" {number(part.z, 1, sign=True)} {number(part.value)}" in said
    assert "3 h old" in said.replace("\xa0", " ")
    assert "of this bar" in said


@pytest.mark.parametrize(
    ("late", "modes", "said"),
    [
        (3, ("balanced",), "filled in afterwards"),
        (0, None, "no model is set up"),
        (0, ("aggressive",), "not asked about this mode"),
        (0, ("balanced",), "not asked yet"),
    ],
)
def test_a_signal_without_a_model_s_verdict_says_why(planned, late, modes, said):
    row = row_of(planned, planned["direction"].eq(1))
    time = row.name[1].to_pydatetime()
    origin = Origin(PROFILE, PROFILE.version, time + timedelta(hours=late))
    why = decision.why_no_model(row, time, origin, modes)
    assert said in why
    assert why in text(decision.verdict_part(row, None, without=why)).replace("&#x27;", "'")


def test_a_plan_has_every_level_with_its_distance_and_says_once_that_it_is_no_advice(planned):
    row = row_of(planned, planned["no_plan"].isna())
    said = text(decision.plan_part(row))
    for word in (
        "Stop",
        "Target",
        "Quantity",
        "Notional",
        "Risk, before costs",
        "Liquidation price",
    ):
        assert word in said
    assert "limited the size" in said
    assert said.count("Not investment advice") == 1


def test_no_plan_is_a_sentence_and_what_would_have_been_is_kept_apart(planned):
    row = row_of(planned, planned["counterfactual_entry_price"].notna())
    said = text(decision.plan_part(row))
    assert said.startswith("No plan: the verdict is")
    assert "never counted as a trade" in said


def test_a_plan_can_be_made_again_for_another_account(planned):
    row = row_of(planned, planned["no_plan"].isna())
    account = Account(equity_usd=20_000)
    again = plan_row(row, account)
    whole = plan(planned, account).loc[row.name]
    assert again["quantity"] == whole["quantity"]
    assert again["risk_usd"] == whole["risk_usd"]


def test_one_row_is_planned_as_in_its_frame(planned):
    account = Account(equity_usd=5_000, leverage=20)
    whole = plan(planned, account)
    newest = whole.groupby("no_plan", dropna=False, observed=True).tail(2)
    assert newest["no_plan"].nunique() >= 3
    for bar, expected in newest.iterrows():
        again = pd.Series(plan_row(planned.loc[bar], account), name=bar, dtype=object)
        pd.testing.assert_series_equal(again, expected.astype(object), check_index_type=False)


def test_missing_factors_are_named_with_their_weight_and_source(planned):
    row = row_of(planned.loc[["XRPUSDT"]].tail(1), slice(None))
    html = decision.unknown_part(row, PROFILE, {}, UTC_CLOCK)
    assert "7 factors of 8 unknown, 80 % of the weight" in text(html)
    assert html.count("hatch") == 6


def test_a_value_says_whose_it_is_and_when_it_was_seen(planned):
    row = row_of(planned, planned["direction"] == 1)
    row["age_funding"] = 2.0
    seen = datetime(2025, 10, 1, 12, 0, 7, tzinfo=UTC)
    funding = Provenance("okx", datetime(2025, 10, 1, 12, tzinfo=UTC), seen)
    html = decision.unknown_part(row, PROFILE, {"funding": funding}, UTC_CLOCK)
    assert "of OKX" in text(html)
    assert "published 1 Oct" in html


def test_words_from_outside_cannot_become_html(planned):
    row = row_of(planned, planned["direction"].isna())
    row["no_signal"] = "<script>alert(1)</script>"
    assert "<script>" not in decision.score_part(row, PROFILE)


@pytest.mark.parametrize(("colours", "ink"), [(LIGHT, "#14181F"), (DARK, "#E7EAEE")])
def test_the_column_follows_the_appearance(colours, ink):
    assert f"--ink: {ink};" in decision.style(colours)


def make_outcomes(*horizons: str) -> pd.DataFrame:
    rows = {"net_return": 0.0123, "r_multiple": 0.5, "barrier": "target", "traded": True}
    return pd.DataFrame([rows] * len(horizons), index=pd.Index(horizons, name="horizon"))


def test_outcomes_are_shown_where_known_and_otherwise_why_not(planned):
    row = row_of(planned, planned["no_plan"].isna())
    at = datetime(2025, 10, 1, tzinfo=UTC)
    outcomes = make_outcomes("1h")
    said = text(decision.outcome_part(row, outcomes, at=at, through=at + timedelta(hours=6)))
    assert "1 h +1.23 % +0.50 R target" in said
    assert "4 h no price at its end" in said
    assert "24 h not finished yet" in said


def test_what_was_not_traded_is_called_a_counterfactual(planned):
    row = row_of(planned, planned["verdict"].eq("WAIT"))
    at = datetime(2025, 10, 1, tzinfo=UTC)
    outcomes = make_outcomes("1h").assign(traded=False)
    assert "counterfactual" in text(decision.outcome_part(row, outcomes, at=at, through=at))


# Where a row comes from


def test_a_stored_signal_knows_the_profile_that_made_it_and_when(market, planned):
    row = first(planned, planned["direction"] == 1)
    with market.engine.connect() as conn:
        origin = load_origin(conn, "BTCUSDT", "balanced", row.name[1].to_pydatetime())
        nothing = load_origin(conn, "BTCUSDT", "balanced", datetime(2030, 1, 1, tzinfo=UTC))
    assert origin.profile == PROFILE
    assert origin.version == PROFILE.version
    assert origin.recorded_at == RECORDED
    assert nothing is None


def test_the_outcomes_of_one_signal_are_those_of_the_whole(market, planned):
    row = first(planned, planned["direction"] == 1)
    with market.engine.connect() as conn:
        found = load_outcomes_of(conn, "BTCUSDT", "balanced", row.name[1].to_pydatetime())
    assert sorted(found.index) == ["1h", "24h", "4h"]
    assert set(found["barrier"]) <= {"stop", "target", "horizon"}


# The page


def test_the_page_opens_the_favourite_market_at_its_newest_signal(market, planned):
    at = open_symbol()
    said = shown(at)
    row = planned.loc["BTCUSDT"].iloc[-1]
    assert f"{row['score']:.1f} of 100" in said
    for part in ("Why", "Verdict", "Plan for your account", "What is not known", "balanced"):
        assert part in said
    assert PROFILE.version in said


def test_the_parts_stand_in_reading_order(market, planned):
    row = first(planned, planned["no_plan"].isna())
    said = shown(open_symbol({"time": stamp(row.name[1])}))
    order = ["of 100", "What became of it", "Why", "What speaks against", "Verdict"]
    places = [said.index(part) for part in [*order, "Plan for", "What is not known", "Where this"]]
    assert places == sorted(places)


def test_the_chart_has_an_alt_text_and_every_pane(market):
    (chart,) = charts(open_symbol())
    assert chart["alt"].startswith("BTCUSDT. Price last")
    names = {trace["name"] for trace in json.loads(chart["spec"])["data"]}
    assert names >= {"price", "score", "longs", "shorts", "open interest", "funding", "accounts"}


def test_a_past_signal_is_shown_as_it_was_with_what_became_of_it(market, planned):
    row = first(planned, planned["no_plan"].isna(), "ETHUSDT")
    at = open_symbol({"symbol": "ETHUSDT", "time": stamp(row.name[1])})
    said = shown(at)
    assert f"{row['score']:.1f} of 100" in said
    assert f"{row['verdict']} by rules" in said
    assert "What became of it" in said
    assert any("what followed" in note["text"] for note in figure(at)["layout"]["annotations"])


def test_newest_returns_and_earlier_goes_to_the_signal_before(market, planned):
    row = first(planned, planned["no_plan"].isna())
    at = open_symbol({"time": stamp(row.name[1])})
    at.button(key="newest").click()
    run(at)
    assert "time" not in at.query_params
    assert "What became of it" not in shown(at)
    at.button(key="earlier").click()
    run(at)
    assert at.query_params["time"]
    assert at.button(key="later").disabled is False


def test_a_signal_picked_in_the_list_is_opened(market):
    at = open_symbol()
    chosen = at.selectbox(key="opened_signal")
    chosen.select_index(3)
    run(at)
    assert parse_time("".join(at.query_params["time"])) is not None
    assert "What became of it" in shown(at)


def test_a_neutral_hour_can_be_asked_for_too(market, planned):
    row = first(planned, planned["direction"] == 0)
    at = open_symbol({"time": stamp(row.name[1])})
    assert "NEUTRAL" in shown(at)
    assert "No plan: no direction" in shown(at)


def test_another_market_forgets_the_signal_that_was_open(market, planned):
    row = first(planned, planned["no_plan"].isna())
    at = open_symbol({"time": stamp(row.name[1])})
    at.selectbox(key="symbol").select("SOLUSDT")
    run(at)
    assert "time" not in at.query_params
    assert figure(at)["layout"]["meta"]["alt"].startswith("SOLUSDT")


def test_a_market_without_a_signal_says_why_and_still_shows_its_price(market):
    at = open_symbol({"symbol": "XRPUSDT"})
    said = shown(at)
    assert "no signal" in said
    assert "No plan: no signal" in said
    assert "None: there is no signal to judge" in said
    assert "price" in {trace["name"] for trace in figure(at)["data"]}


def test_the_plan_is_for_the_reader_s_own_account(market, planned):
    row = first(planned, planned["no_plan"].isna())
    query = {"time": stamp(row.name[1]), "equity": "50000", "risk": "2", "leverage": "3"}
    said = shown(open_symbol(query))
    account = Account(equity_usd=50_000, risk_fraction=0.02, leverage=3)
    again = plan(planned.loc[[row.name]], account).iloc[0]
    assert f"USD {again['risk_usd']:,.2f}" in said
    assert f"USD {again['notional_usd']:,.2f}" in said


def test_another_equity_changes_the_plan(market, planned):
    row = first(planned, planned["no_plan"].isna())
    at = open_symbol({"time": stamp(row.name[1])})
    before = shown(at)
    at.number_input(key="equity").set_value(77_000.0)
    run(at)
    assert shown(at) != before
    assert "USD 770.00 lost at the stop" in shown(at)


def test_leverage_that_would_be_liquidated_first_is_refused_in_a_sentence(market, planned):
    row = first(planned, planned["no_plan"].isna())
    said = shown(open_symbol({"time": stamp(row.name[1]), "leverage": "125"}))
    assert "No plan: at 125x the position is liquidated before the stop" in said


@pytest.mark.parametrize("days", ["24 h", "7 d", "30 d", "all"])
def test_the_range_is_kept_in_the_address(market, days):
    at = open_symbol({"range": days})
    assert at.segmented_control(key="range").value == days


def test_times_are_in_the_reader_s_zone(market, planned):
    row = first(planned, planned["no_plan"].isna())
    at = open_symbol({"time": stamp(row.name[1])}, timezone="Asia/Tokyo")
    local = row.name[1].tz_convert("Asia/Tokyo")
    assert f"{local.day} {local:%b %Y, %H:%M} Asia/Tokyo" in shown(at)
    assert figure(at)["layout"]["xaxis"]["title"]["text"] == "Time in Asia/Tokyo"


def test_a_phone_gets_one_pane_with_a_switch(market, monkeypatch):
    monkeypatch.setattr("core.ui.viewport.is_narrow", lambda: True)
    at = open_symbol({"pane": "funding"})
    names = {trace["name"] for trace in figure(at)["data"]}
    assert names == {"funding"}
    at.segmented_control(key="pane").set_value("crowd")
    run(at)
    assert {trace["name"] for trace in figure(at)["data"]} == {"accounts", "top"}


# States around it


def test_an_unknown_market_gets_a_sentence_and_a_way_on(market):
    at = open_elsewhere({"symbol": "NOPEUSDT"})
    assert "There is no market “NOPEUSDT” here" in words(at)
    assert not charts(at)
    at.selectbox(key="symbol").select("ETHUSDT")
    run(at)
    assert charts(at)
    assert "no market" not in words(at)


def test_a_market_is_found_in_lower_case(market):
    at = open_symbol({"symbol": "ethusdt"})
    assert at.selectbox(key="symbol").value == "ETHUSDT"


NONSENSE = ["", "nonsense", "-1", "1e999", "nan", "'; DROP TABLE signals; --", "<script>", "😀"]


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("narrow", [False, True])
def test_nonsense_everywhere_in_the_address_falls_back_to_the_usual(
    market, monkeypatch, value, narrow
):
    monkeypatch.setattr("core.ui.viewport.is_narrow", lambda: narrow)
    names = ("time", "range", "pane", "equity", "risk", "leverage", "tz", "mode")
    at = open_symbol(dict.fromkeys(names, value))
    assert charts(at)
    assert "of 100" in shown(at)
    assert at.number_input(key="equity").value == 10_000


@pytest.mark.parametrize("value", NONSENSE[1:])
def test_a_nonsense_market_is_said_to_be_unknown(market, value):
    assert "There is no market" in words(open_elsewhere({"symbol": value}))


def test_a_time_without_a_bar_is_said_and_the_newest_shown(market):
    said = shown(open_symbol({"time": "2031-01-01T00:00Z"}))
    assert "There is no bar of “2031-01-01T00:00Z”; this is the newest." in said


@pytest.mark.parametrize("time", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_the_ends_of_the_calendar_are_no_error(market, time):
    assert charts(open_symbol({"time": time}))


def test_an_empty_store_says_what_is_missing(here):
    at = open_symbol()
    assert "No signals yet" in words(at)
    assert not charts(at)


def test_a_mode_without_rows_says_so(market):
    at = open_app({"mode": "aggressive"})
    at.switch_page("symbol.py")
    assert "No signals yet" in words(run(at))


def test_a_guest_reads_the_page_and_a_stranger_does_not(market, monkeypatch):
    assert charts(open_symbol())
    monkeypatch.setattr(session, "_browser_token", lambda: None)
    assert not charts(open_symbol())


def test_a_store_that_does_not_answer_is_a_sentence(market, monkeypatch):
    from core.errors import StoreError
    from core.ui import loaders

    def fail(_: object) -> None:
        raise StoreError("The database does not answer.")

    monkeypatch.setattr(loaders, "load_newest", fail)
    assert "The database does not answer." in words(open_symbol())


def test_a_row_is_stored_and_shown_unchanged(market, planned):
    row = first(planned, planned["no_plan"].isna())
    with market.engine.connect() as conn:
        stored = load_signal(conn, "BTCUSDT", "balanced", row.name[1].to_pydatetime())
    assert stored["stop_price"] == row["stop_price"]
    assert f"{row['score']:.1f}" in text(decision.score_part(stored, PROFILE))


def test_parse_time_takes_no_words_for_the_present():
    assert parse_time("now") is None
    assert parse_time("2025-09-01T05:00") == START.to_pydatetime() + timedelta(hours=4)
