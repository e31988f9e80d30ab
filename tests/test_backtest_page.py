"""The Backtest page: who may do what, the editor, a run from its question to its result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.accounts import people
from core.accuracy.eras import overlap
from core.accuracy.tallies import COLUMNS
from core.backtest.paired import paired
from core.backtest.walk import CELL
from core.instance import Instance
from core.jobs.backtests import Backtests
from core.signals import Profile, load_profile
from core.store import backtests as store
from core.store.profiles import load_schedule, load_settings, load_versions, save_version
from core.store.tables import signals
from core.ui.backtest_compare import comparison_headline
from tests.builders import START, make_frame
from tests.pages import copy_of_past, open_page, run, serve_copy, sign_in_as, words

HOURS = 24 * 40
SYMBOLS = ["BTCUSDT", "ETHUSDT"]
NOW = datetime(2025, 11, 1, tzinfo=UTC)
LOOSE = Profile(name="balanced", threshold=54)


@pytest.fixture(scope="module")
def past(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = make_frame(SYMBOLS, hours=HOURS)
    return copy_of_past(sqlite_template, frame, tmp_path_factory.mktemp("past"))


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch, past: Path, tmp_path: Path) -> Iterator[Instance]:
    served = serve_copy(monkeypatch, past, tmp_path)
    yield served
    served.engine.dispose()


@pytest.fixture
def sign_in(market: Instance, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have somebody of a role sit in front of the page."""

    return lambda role: sign_in_as(market, monkeypatch, role)


def do_run(here: Instance, profile: Profile = LOOSE, name: str = "a try", **asked: object) -> str:
    """Ask for a run and do it as a worker does."""
    with here.engine.begin() as conn:
        run_id = store.ask(conn, store.Asked(name, "demo", profile, **asked), "ada", NOW)  # type: ignore[arg-type]
    Backtests(here.engine, here.settings, here.market, "w").run(run_id)
    return run_id


def act(element: Any) -> None:
    """Run the page with what was done to one of its elements."""
    at = element.run()
    assert not at.exception, at.exception[0].message


def open_backtest(**query: str) -> AppTest:
    return open_page("backtest.py", query)


def open_run(here: Instance, run_id: str) -> store.Run:
    with here.engine.connect() as conn:
        found = store.load_run(conn, run_id)
    assert found is not None
    return found


def test_a_trader_has_no_backtests(sign_in: Callable[[str], None]) -> None:
    sign_in("trader")
    at = open_backtest()
    assert "Not for this account" in words(at)
    assert not at.button


def test_a_guest_looks_and_changes_nothing(market: Instance) -> None:
    run_id = do_run(market)
    at = open_backtest()
    assert at.button("bt_run").disabled
    at = open_backtest(run=run_id)
    assert "edge" in words(at)
    assert at.button("bt_look").disabled
    assert "bt_put" not in [button.key for button in at.button]


def test_an_analyst_changes_a_number_runs_it_and_reads_the_result(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    sign_in("analyst")
    at = open_backtest()
    assert "The same as what is in force" in words(at)
    act(at.slider("edit threshold").set_value(54.0))
    assert "Score from which it is long: 58 points → 54 points" in words(at).replace("\u00a0", " ")
    assert "A version's id is of its numbers only" in words(at)
    assert "is lost when the page is reloaded" in words(at)
    at.text_input("bt_name").set_value("looser")
    act(at.button("bt_run").click())
    run_id = str(at.query_params["run"])
    assert "No worker is alive" in words(at)
    asked = open_run(market, run_id)
    assert (asked.asked.name, asked.asked.profile, asked.state) == ("looser", LOOSE, "waiting")
    assert asked.asked_by == "an_analyst"
    Backtests(market.engine, market.settings, market.market, "w").run(run_id)
    at = open_backtest(run=run_id)
    said = words(at)
    assert "Does it hold over time?" in said
    assert "Nothing was fitted to any of them" in said
    assert "held-back" in said


def test_what_is_wrong_is_said_at_the_field_and_nothing_is_lost(
    sign_in: Callable[[str], None],
) -> None:
    sign_in("analyst")
    at = open_backtest()
    act(at.number_input("edit windows.least_history").set_value(900.0))
    assert "Least history cannot be longer than history" in words(at)
    assert at.button("bt_run").disabled
    act(at.text_input("edit windows.momentum").set_value("4, soon"))
    assert "Price momentum must be numbers of hours, separated by commas" in words(at)
    assert at.button("bt_run").disabled
    assert at.number_input("edit windows.least_history").value == 900
    assert at.text_input("edit windows.momentum").value == "4, soon"
    at.number_input("edit windows.least_history").set_value(100.0)
    act(at.text_input("edit windows.momentum").set_value("4, 24"))
    assert not at.button("bt_run").disabled


def test_a_fault_leaves_the_tabs_as_they_are_and_is_named_by_tab_and_field(
    sign_in: Callable[[str], None],
) -> None:
    sign_in("analyst")
    at = open_backtest()
    labels = [tab.label for tab in at.tabs]
    act(at.text_input("edit windows.momentum").set_value("4, 24, 9999"))
    assert [tab.label for tab in at.tabs] == labels
    assert "1 number must be changed" in words(at).replace("\u00a0", " ")
    assert "Price momentum in the tab Windows" in words(at)
    act(at.text_input("edit windows.momentum").set_value("24, 4, 24"))
    assert "Price momentum has 24 more than once" in words(at)
    assert at.button("bt_run").disabled


def test_weights_that_are_all_0_and_a_period_that_is_held_back_are_refused_in_words(
    sign_in: Callable[[str], None],
) -> None:
    sign_in("analyst")
    at = open_backtest()
    for slider in at.slider:
        if str(slider.key).startswith("edit weights."):
            slider.set_value(0.0)
    run(at)
    assert "At least one weight must be above 0" in words(at)
    at = open_backtest()
    act(at.date_input("bt_start").set_value((START + pd.Timedelta("38D")).date()))
    assert "are held back: begin earlier" in words(at)
    assert at.button("bt_run").disabled
    act(at.date_input("bt_start").set_value(START.date()))
    assert "are held back: begin earlier" not in words(at)
    assert not at.button("bt_run").disabled
    act(at.date_input("bt_end").set_value((START + pd.Timedelta("9D")).date()))
    assert "10 days, " in words(at).replace("\u00a0", " ")


def test_a_run_that_would_show_nothing_is_refused_where_it_is_asked_for(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    sign_in("analyst")
    script = (
        "from datetime import UTC, datetime\n"
        "from core.signals import load_profile\n"
        "from core.store.backtests import Asked\n"
        "from core.ui import backtest_actions\n"
        "import streamlit as st\n"
        "from core.errors import BacktestError\n"
        "start = datetime.fromisoformat({!r})\n"
        "try:\n"
        "    backtest_actions.ask(Asked('late', 'demo', load_profile(), None, start))\n"
        "except BacktestError as error:\n"
        "    st.error(str(error))\n"
    ).format((START + pd.Timedelta("38D")).isoformat())
    at = run(AppTest.from_string(script, default_timeout=60))
    assert "are held back: begin earlier" in at.error[0].value
    with market.engine.connect() as conn:
        assert store.load_runs(conn, 5) == []


def test_each_run_says_the_values_of_the_draft_for_browsers_that_have_missed_the_one_before(
    sign_in: Callable[[str], None],
) -> None:
    sign_in("analyst")
    at = open_backtest()
    act(at.number_input("edit windows.least_history").set_value(600.0))
    numbers = [one for one in at.number_input if str(one.key).startswith("edit ")]
    sliders = [one for one in at.slider if str(one.key).startswith("edit ")]
    assert {one.key: one.proto.default for one in numbers} == {
        one.key: one.value for one in numbers
    }
    assert {one.key: one.proto.default[0] for one in sliders} == {
        one.key: one.value for one in sliders
    }
    assert at.number_input("edit windows.least_history").proto.default == 600
    assert len(numbers) > 5
    assert len(sliders) > 5


def test_a_draft_is_still_there_after_a_look_at_a_run(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    run_id = do_run(market)
    sign_in("analyst")
    at = open_backtest()
    act(at.number_input("edit rules.confirm_conviction").set_value(27.0))
    act(at.button(f"open_{run_id}").click())
    assert "edit rules.confirm_conviction" not in [box.key for box in at.number_input]
    act(next(button for button in at.button if button.label == "All runs").click())
    assert at.number_input("edit rules.confirm_conviction").value == 27


def test_runs_that_wait_failed_or_were_cancelled_say_so(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    sign_in("analyst")
    failed = do_run(market, symbols=("NOPEUSDT",))
    assert "This history has no NOPEUSDT" in words(open_backtest(run=failed))
    with market.engine.begin() as conn:
        waiting = store.ask(conn, store.Asked("later", "demo", LOOSE), "ada", NOW)
    at = open_backtest(run=waiting)
    act(at.button("bt_cancel").click())
    assert open_run(market, waiting).state == "cancelled"
    at = open_backtest(run=waiting)
    assert "Cancelled by an_analyst" in words(at)
    act(at.button("bt_again").click())
    assert "Waiting for a worker" in words(at) or at.get("progress")
    assert "There is no run" in words(open_backtest(run="nonsense"))


def test_two_runs_are_compared_on_the_same_hours_only(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    sign_in("analyst")
    one, two = do_run(market), do_run(market, load_profile(), "as it is")
    fewer = do_run(market, LOOSE, "fewer", symbols=("BTCUSDT",))
    at = open_backtest(run=one, **{"with": two})
    assert "a try against as it is" in words(at) + " ".join(each.value for each in at.subheader)
    assert "days that both cover" in words(at)
    (table,) = (each.value for each in at.dataframe)
    measures = ("R a day", "R a trade", "Trades", "Won")
    assert {f"{measure}, {which}" for measure in measures for which in ("first", "second")} < {
        *table.columns
    }
    assert all(title.strip() == title for title in table.columns)
    assert "58 points → 54 points" in words(at).replace("\u00a0", " ")
    at = open_backtest(run=one, **{"with": fewer})
    assert "They ran on different markets" in words(at)
    act(at.button("bt_alike").click())
    with market.engine.connect() as conn:
        newest = store.load_runs(conn, 1)[0]
    assert (newest.asked.name, newest.asked.symbols, newest.state) == ("fewer", None, "waiting")


def test_a_phone_switches_the_horizon_of_a_comparison_and_of_a_run(
    market: Instance, sign_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the browser tells of its width.
    monkeypatch.setattr("core.ui.backtest_panes.is_narrow", lambda: True)
    sign_in("analyst")
    one, two = do_run(market), do_run(market, load_profile(), "as it is")
    at = open_backtest(run=one, **{"with": two})
    tables = [each.value for each in at.markdown if "| First | Second |" in each.value]
    assert not at.dataframe
    at.segmented_control("bt_pane_compared").set_value("24h")
    run(at)
    assert [each.value for each in at.markdown if "| First | Second |" in each.value] != tables
    at = open_backtest(run=one)
    assert at.segmented_control("bt_pane_folds").options == ["1 h", "4 h", "24 h"]


def test_a_comparison_widens_its_intervals_for_overlap_as_the_record_does() -> None:
    days = pd.date_range("2025-08-01", periods=60, tz="UTC", name="day")
    rng = np.random.default_rng(5)

    def make(n: float, mean: float) -> pd.DataFrame:
        index = pd.MultiIndex.from_product(
            [["CONFIRM"], ["24h"], [1.0], [True], days], names=[*CELL, "day"]
        )
        found = pd.DataFrame(0.0, index=index, columns=list(COLUMNS))
        found["n"] = found["n_r"] = n
        found["sum_r"] = n * (mean + rng.normal(0, 0.5, len(days)))
        return found

    one, two = make(4, -0.1), make(12, -0.1)
    row = paired(one, two, days[0], days[-1] + pd.Timedelta("1D")).loc["24h"]
    daily = one["sum_r"].to_numpy() - two["sum_r"].to_numpy()
    means = daily.reshape(10, 6).mean(axis=1)
    # Ten eras of six days, of outcomes that reach over one: q = 1 / 6.
    usual = 2.2622 * means.std(ddof=1) / np.sqrt(10)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(
        usual * float(overlap(np.array([1 / 6]))[0]), rel=1e-3
    )
    assert row["difference"] == pytest.approx(daily.mean())
    assert row["per_trade"] == pytest.approx(one["sum_r"].mean() / 4 - two["sum_r"].mean() / 12)
    assert row["per_trade_low"] < row["per_trade"] < row["per_trade_high"]


def make_comparison(**columns: float) -> pd.DataFrame:
    """A comparison at 1 h in which the first trades a third as much and loses less a day."""
    row: dict[str, object] = {
        **{"difference": 3.8, "low": 3.0, "high": 4.6, "r_per_day": -1.3, "r_per_day_other": -5.1},
        **{"per_trade": 0.005, "per_trade_low": -0.01, "per_trade_high": 0.02},
        **{"n": 2697, "n_other": 9380, "note": None},
    }
    return pd.DataFrame([row | columns], index=pd.Index(["1h"], name="horizon"))


def test_less_lost_by_trading_less_is_no_better_trading_in_the_headline() -> None:
    said = comparison_headline(make_comparison()).replace("\u00a0", " ")
    assert said.startswith("The first lost less than the second at 1 h")
    assert "because it traded less: its mean trade was not better beyond chance" in said
    worse = make_comparison(per_trade=-0.05, per_trade_low=-0.07, per_trade_high=-0.03)
    assert "because it traded less: its mean trade was worse" in comparison_headline(worse)
    better = comparison_headline(make_comparison(per_trade_low=0.004, per_trade_high=0.006))
    assert "and its mean trade was better" in better
    assert "because" not in better
    turned = comparison_headline(
        make_comparison(difference=-3.8, low=-4.6, high=-3.0, r_per_day=1.0, r_per_day_other=4.8)
    )
    assert turned.startswith("The second made more than the first")
    assert "because it traded more" in turned
    assert "No difference beyond chance" in comparison_headline(make_comparison(low=-1.0, high=8.6))


def test_the_held_back_third_is_seen_once_by_a_saved_version_and_counted(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    run_id = do_run(market)
    sign_in("analyst")
    at = open_backtest(run=run_id)
    assert "Save the profile as a version first" in words(at)
    assert at.button("bt_look").disabled
    act(at.button("save_run").click())
    act(at.checkbox("bt_sure").check())
    act(at.button("bt_look").click())
    said = words(at)
    assert "an_analyst looked" in said
    assert "1 look was taken" in said.replace("\u00a0", " ")
    again = do_run(market, LOOSE, "the same again")
    at = open_backtest(run=again)
    assert "there is one look for each version" in words(at)
    assert "bt_look" not in [button.key for button in at.button]
    # The same numbers under another mode's name are the same profile.
    renamed = LOOSE.model_copy(update={"name": "aggressive"})
    other = do_run(market, renamed, "renamed")
    at = open_backtest(run=other)
    assert "as a version of balanced with the same numbers" in words(at)
    assert "bt_look" not in [button.key for button in at.button]
    with market.engine.begin() as conn:
        save_version(conn, renamed, NOW, by="ada")
        with pytest.raises(store.BacktestError, match="has looked at this version"):
            store.look(conn, other, "ada", NOW)


def test_two_tabs_that_look_at_once_are_one_look(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    run_id = do_run(market)
    with market.engine.begin() as conn:
        save_version(conn, LOOSE, NOW, by="ada")
    refused: list[str] = []

    def look() -> None:
        try:
            with market.engine.begin() as conn:
                store.look(conn, run_id, "ada", NOW)
        except store.BacktestError as error:
            refused.append(str(error))

    tabs = [threading.Thread(target=look) for _ in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    with market.engine.connect() as conn:
        assert len(store.load_looks(conn, "demo")) == 1
    assert len(refused) == 1
    assert "ada has looked at this version" in refused[0]


def test_only_an_admin_puts_a_version_in_force_and_the_past_stays(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    with market.engine.begin() as conn:
        save_version(conn, LOOSE, NOW, by="ada")
        before = conn.execute(signals.select()).all()
    sign_in("analyst")
    at = open_backtest()
    assert "bt_put" not in [button.key for button in at.button]
    sign_in("admin")
    at = open_backtest()
    act(at.selectbox("bt_version").set_value(f"balanced {LOOSE.version}"))
    act(at.button("bt_put").click())
    assert "decides the bars that close from" in " ".join(each.value for each in at.success)
    said = words(at)
    assert f"; then {LOOSE.version[:8]} from" in said
    moment = START.to_pydatetime() + timedelta(hours=HOURS)
    with market.engine.connect() as conn:
        (setting,) = load_settings(conn)
        assert conn.execute(signals.select()).all() == before
        assert load_schedule(conn, "balanced").at(moment) == LOOSE
        assert load_schedule(conn, "balanced").at(moment - timedelta(hours=1)) == load_profile()
    assert (setting.set_by, setting.from_at) == ("an_admin", moment)
    # The past is not offered: neither an earlier day nor, on the first one, an earlier hour.
    earliest = at.date_input("bt_from_day").value
    assert at.date_input("bt_from_day").min == earliest
    act(at.date_input("bt_from_day").set_value(earliest + timedelta(days=1)))
    act(at.time_input("bt_from_time").set_value(time(0)))
    assert not at.button("bt_put").disabled
    act(at.date_input("bt_from_day").set_value(earliest))
    assert at.button("bt_put").disabled


def test_a_forged_event_of_an_analyst_puts_nothing_in_force(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    """The form was drawn for an admin, whose role is then taken away: the event comes all the same."""
    with market.engine.begin() as conn:
        save_version(conn, LOOSE, NOW, by="ada")
    sign_in("admin")
    at = open_backtest()
    act(at.selectbox("bt_version").set_value(f"balanced {LOOSE.version}"))
    with market.accounts.begin() as conn:
        people.create_user(
            conn, username="ada", name="Ada", role="admin", password="four unrelated words", now=NOW
        )
        people.set_role(conn, "an_admin", "analyst", now=datetime.now(UTC))
    at.button("bt_put").click()
    at.run()
    with market.engine.connect() as conn:
        assert load_settings(conn) == []


def test_the_write_itself_asks_for_the_role(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    sign_in("analyst")
    script = (
        "from datetime import UTC, datetime\n"
        "from core.ui import backtest_actions\n"
        f"backtest_actions.put_in_force('balanced', {load_profile().version!r}, "
        "datetime(2030, 1, 1, tzinfo=UTC))\n"
    )
    at = run(AppTest.from_string(script, default_timeout=60))
    assert "This needs the role admin" in words(at)
    with market.engine.connect() as conn:
        assert load_settings(conn) == []


def test_a_saved_version_is_listed_and_saved_once(
    market: Instance, sign_in: Callable[[str], None]
) -> None:
    sign_in("analyst")
    at = open_backtest()
    act(at.slider("edit threshold").set_value(54.0))
    act(at.button("save_draft").click())
    assert "save_draft" not in [button.key for button in at.button]
    with market.engine.connect() as conn:
        assert LOOSE in [version.profile for version in load_versions(conn)]
