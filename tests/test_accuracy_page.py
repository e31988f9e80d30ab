"""The Accuracy page: rates with their intervals, trades apart from what was not traded, filters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.accounts import people, sessions
from core.accuracy import summarise
from core.outcomes import HORIZONS
from core.store.signals import load_outcomes
from core.ui import session
from core.ui.claims import headline
from core.ui.formats import DASH
from core.ui.instance import Instance
from core.ui.record_table import record_rows
from core.ui.track_record import cells, chosen, curves, unfinished
from tests.builders import START, make_frame
from tests.pages import (
    copy_of_past,
    open_app,
    open_page,
    run,
    serve,
    serve_copy,
    store,
    words,
)

HOURS = 24 * 30
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
END = START + pd.Timedelta(hours=HOURS - 1)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame(SYMBOLS, hours=HOURS)


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


@pytest.fixture
def outcomes(market: Instance) -> pd.DataFrame:
    with market.engine.connect() as conn:
        return load_outcomes(conn, "balanced")


def open_accuracy(query: dict[str, str] | None = None) -> AppTest:
    return open_page("accuracy.py", query)


def alts(at: AppTest) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


# The rows


def test_filters_keep_what_they_name(outcomes):
    found = chosen(outcomes, horizons=("4h",), symbols=["ETHUSDT"], side=-1.0)
    assert set(found.index.get_level_values("horizon")) == {"4h"}
    assert set(found.index.get_level_values("symbol")) == {"ETHUSDT"}
    assert set(found["direction"]) == {-1.0}
    assert len(chosen(outcomes)) == len(outcomes)


def test_trades_and_counterfactuals_are_summarised_apart(outcomes):
    trades, shadows = cells(outcomes)
    assert trades["n"].sum() == outcomes["traded"].sum()
    assert shadows["n"].sum() == (~outcomes["traded"]).sum()
    assert set(trades.index.get_level_values("verdict")) == {"CONFIRM", "DOWNSIZE"}
    assert set(shadows.index.get_level_values("verdict")) >= {"WAIT", "SKIP"}


def test_the_baseline_is_every_signal_of_the_horizon(outcomes):
    trades, shadows = cells(outcomes)
    for horizon in HORIZONS:
        raw = (outcomes.xs(horizon, level="horizon")["net_return"] > 0).mean()
        rows = pd.concat([trades, shadows]).xs(horizon, level="horizon")
        assert rows["baseline"].to_numpy() == pytest.approx(raw)


def test_rows_stand_by_horizon_then_verdict(outcomes):
    trades, _ = cells(outcomes)
    assert [f"{verdict} {horizon}" for verdict, horizon in trades.index] == [
        f"{verdict} {horizon}" for horizon in HORIZONS for verdict in ("CONFIRM", "DOWNSIZE")
    ]


def test_nothing_has_no_rows(outcomes):
    trades, shadows = cells(outcomes.iloc[:0])
    assert trades.empty
    assert shadows.empty
    assert curves(outcomes.iloc[:0], traded=True) == {}


def test_curves_of_many_weeks_keep_their_end(outcomes):
    for (verdict, horizon), curve in curves(outcomes, traded=True).items():
        kept = outcomes[outcomes["traded"] & (outcomes["verdict"] == verdict)]
        assert curve.iloc[-1] == pytest.approx(
            kept.xs(horizon, level="horizon")["r_multiple"].sum()
        )
        assert len(curve) < 40
        assert curve.index.is_monotonic_increasing


def make_directions(*hours_before_end: int) -> pd.DataFrame:
    times = [END - pd.Timedelta(hours=hours) for hours in hours_before_end]
    index = pd.MultiIndex.from_product([["BTCUSDT"], times], names=["symbol", "time"])
    return pd.DataFrame({"direction": 1.0}, index=index)


def test_a_signal_waits_until_its_horizon_has_passed(outcomes):
    waiting = unfinished(make_directions(0, 2, 10, 23), outcomes.iloc[:0], through=END)
    assert waiting == {"1h": 1, "4h": 2, "24h": 4}


def test_an_outcome_that_is_stored_waits_no_longer(outcomes):
    done = outcomes.xs("24h", level="horizon", drop_level=False).iloc[:1]
    index = done.index.droplevel("horizon")
    directions = pd.DataFrame({"direction": [1.0]}, index=index)
    late = index[0][1] + pd.Timedelta(hours=2)
    assert unfinished(directions, done, through=late)["24h"] == 0
    assert unfinished(directions, done.iloc[:0], through=late)["24h"] == 1


def test_unfinished_outcomes_pass_the_same_filters(outcomes):
    waiting = make_directions(0)
    assert unfinished(waiting, outcomes.iloc[:0], through=END, side=-1.0)["1h"] == 0
    assert unfinished(waiting, outcomes.iloc[:0], through=END, symbols=["ETHUSDT"])["1h"] == 0


def test_the_table_speaks_percent_and_has_an_interval_in_one_cell(outcomes):
    trades, _ = cells(outcomes)
    table = record_rows(trades, traded=True)
    assert table["Won, %"].tolist() == (100 * trades["win_rate"]).tolist()
    low, high = trades["low"].iloc[0], trades["high"].iloc[0]
    assert table["95 % interval, %"].iloc[0] == f"{100 * low:.1f} to {100 * high:.1f}"
    assert table["Verdict"].iloc[0] == "● CONFIRM"


def test_a_refused_plan_is_named_as_such_among_what_was_not_traded(outcomes):
    trades, _ = cells(outcomes)
    table = record_rows(trades.iloc[:2], traded=False)
    assert table["Verdict"].tolist() == ["● CONFIRM, no plan", "◐ DOWNSIZE, no plan"]


def test_an_interval_that_is_not_there_is_a_dash_with_its_reason(outcomes):
    few = summarise(outcomes.iloc[:5], by=["verdict", "horizon"])
    table = record_rows(few, traded=True)
    assert set(table["95 % interval, %"]) == {DASH}
    assert table["Note"].str.contains("too few").all()


# The page


def test_the_page_says_first_whether_there_is_an_edge(market, outcomes):
    at = open_accuracy()
    trades, _ = cells(outcomes)
    assert at.markdown[0].value == f"#### {headline(trades)}"


def test_every_row_of_trades_is_a_sentence(market):
    said = words(open_accuracy()).replace("\xa0", " ")
    for horizon in ("1 h", "4 h", "24 h"):
        for verdict in ("CONFIRM", "DOWNSIZE"):
            assert f"{verdict} at {horizon}: " in said
    assert "better than the raw signal" in said


def test_trades_and_counterfactuals_have_a_table_each(market):
    at = open_accuracy()
    trades, shadows = (table.value for table in at.dataframe)
    assert trades["Verdict"].str.contains("CONFIRM|DOWNSIZE").all()
    assert shadows["Verdict"].str.contains("WAIT|SKIP").any()
    assert "never mixed with trades" in words(at)


def test_every_column_says_what_it_means(market):
    for table in open_accuracy().dataframe:
        columns = json.loads(table.proto.columns)
        for title in set(table.value.columns) - {"Verdict", "Horizon"}:
            assert columns[title]["help"], title


def test_charts_describe_themselves_and_say_how_to_read_them(market):
    at = open_accuracy()
    rates, lines = alts(at)
    assert rates.startswith("Win rates with intervals. CONFIRM 1 h")
    assert lines.startswith("Cumulative R by verdict. Trades:")
    assert "An edge would be a band wholly to the right of its bar" in words(at)
    assert "A line that rises steadily would be an edge" in words(at)


def test_how_it_is_measured_is_one_click_away(market):
    (method,) = [
        block for block in open_accuracy().expander if block.label == "How this is measured"
    ]
    said = " ".join(element.value for element in method.markdown)
    for word in ("Entry", "Costs", "eras", "Counterfactuals", "R** is"):
        assert word in said


def test_unfinished_outcomes_are_counted(market):
    assert "Not finished yet and not counted" in words(open_accuracy())


@pytest.mark.parametrize(
    "query",
    [
        {"horizon": "4 h"},
        {"side": "Short"},
        {"symbols": "ETHUSDT"},
        {"horizon": "1 h", "side": "Long", "symbols": "BTCUSDT"},
    ],
)
def test_filters_come_from_the_address(market, query):
    everything, filtered = open_accuracy(), open_accuracy(query)
    assert filtered.dataframe[0].value["n"].sum() < everything.dataframe[0].value["n"].sum()


def test_one_horizon_leaves_one_column_of_curves(market):
    at = open_accuracy()
    run_after = at.segmented_control(key="horizon")
    run_after.set_value("24 h")
    run(at)
    assert set(at.dataframe[0].value["Horizon"]) == {"24 h"}


def test_a_selection_without_outcomes_says_so(market, outcomes, monkeypatch):
    from core.ui import loaders

    only_long = outcomes[outcomes["direction"] == 1.0]
    monkeypatch.setattr(loaders, "load_outcomes", lambda _: only_long)
    at = open_accuracy({"side": "Short"})
    assert "No finished outcome passes these filters" in words(at)
    assert not alts(at)


def test_an_empty_store_says_what_is_missing(here):
    assert "No finished outcomes yet" in words(open_accuracy())


def test_signals_without_outcomes_are_not_a_track_record(here, frame):
    store(here, frame)
    assert "No finished outcomes yet" in words(open_accuracy())


NONSENSE = ["", "nonsense", "-1", "1e999", "nan", "'; DROP TABLE outcomes; --", "<script>", "😀"]


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_everywhere_in_the_address_falls_back_to_everything(market, value):
    names = ("horizon", "side", "symbols", "tz", "mode", "symbol", "time")
    at = open_accuracy(dict.fromkeys(names, value))
    assert len(at.dataframe[0].value) == 6


def test_a_mode_is_chosen_for_all_pages(market):
    at = open_app({"mode": "aggressive"})
    at.switch_page("accuracy.py")
    assert "No finished outcomes yet" in words(run(at))


# Who may see it


def sign_in(here: Instance, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    now = datetime.now(UTC)
    with here.engine.begin() as conn:
        person = people.create_user(
            conn, username="ada", name="Ada", role=role, password="four unrelated words", now=now
        )
        token = sessions.start(conn, person.id, now=now)
    monkeypatch.setattr(session, "_browser_token", lambda: token)


def test_a_trader_is_refused_and_told_why(market, monkeypatch):
    sign_in(market, monkeypatch, "trader")
    at = open_accuracy()
    assert "This needs the role analyst" in words(at)
    assert not alts(at)
    assert not at.dataframe


@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_an_analyst_and_an_admin_see_it(market, monkeypatch, role):
    sign_in(market, monkeypatch, role)
    assert len(alts(open_accuracy())) == 2


def test_a_guest_sees_it_and_a_stranger_does_not(market, monkeypatch):
    assert len(alts(open_accuracy())) == 2
    monkeypatch.setattr(session, "_browser_token", lambda: None)
    assert not alts(open_accuracy())


def test_the_track_record_of_noise_claims_no_edge():
    from core.backtest import run as backtest
    from core.signals import load_profile

    claims = [
        headline(
            cells(backtest(make_frame(2, hours=24 * 40, seed=seed), load_profile()).outcomes)[0]
        )
        for seed in range(4)
    ]
    assert not [said for said in claims if said.startswith("An edge")]
    assert np.mean([said.startswith("No proven edge") for said in claims]) > 0
