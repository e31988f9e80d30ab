"""The Signals page: rows, filters, orders, the sentence, the header, and the states around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sqlalchemy.exc import OperationalError

from core.backtest import decide
from core.instance import Instance
from core.market.choice import Market
from core.market.frame import SOURCES
from core.overview import ALL, ORDERS, SHOWN, chosen, market_rows
from core.signals import FACTORS, PROFILE_NAMES, load_profile
from core.store import signals as queries
from core.store.tables import replays
from core.ui import states
from core.ui.formats import DASH, UTC_CLOCK, Clock
from core.ui.header import age_html, badge_html, market_now
from core.ui.market_rows import summary
from core.ui.market_table import COLUMNS, STALE, spark, table_data
from core.ui.replaying import remaining, standing
from tests.builders import START, make_frame
from tests.pages import open_app, open_page, run, serve, store, table, words

SYMBOLS = [f"S{number}USDT" for number in range(12)]
HOURS = 24 * 16  # enough that every factor has a normal
NOW = START + timedelta(hours=HOURS - 1)
LIVE = Market("live", None, "live", "Live", simulated=False)
RECORDING = Market("recording", Path("x"), "x", "Recording x", simulated=False)
NONE = 9  # stands for no direction, which is equal to nothing
DEMO = Market("demo", Path("x"), "demo", "Simulated market", simulated=True)


def make_rows(frame: pd.DataFrame | None = None, **changes: object) -> pd.DataFrame:
    """Rows of the page for a frame of random markets; ``changes`` replace columns of the rows."""
    frame = make_frame(SYMBOLS, hours=HOURS) if frame is None else frame
    planned = decide(frame, load_profile()).groupby(level="symbol").tail(1)
    newest = planned.assign(**{f"age_{source}": 0.0 for source in SOURCES})
    closes = frame["close"].unstack("symbol").tail(25)
    return market_rows(newest, closes).assign(**changes)


def half_blind(symbols: list[str], blind: list[str]) -> pd.DataFrame:
    """Markets of which some have candles only."""
    frame = make_frame(symbols, hours=HOURS)
    known = ["open", "high", "low", "close", "volume_usd"]
    frame.loc[blind, frame.columns.difference(known)] = np.nan
    return frame


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    served = serve(monkeypatch, new_sqlite(), tmp_path)
    yield served
    served.engine.dispose()


@pytest.fixture
def market(here: Instance) -> Instance:
    """Twelve stored markets, the last three of them with candles only."""
    store(here, half_blind(SYMBOLS, SYMBOLS[-3:]))
    return here


def note_replay(here: Instance, state: str, done: int, **changes: object) -> None:
    now = datetime.now(UTC)
    row = {
        "key": state,
        "source": "Simulated market",
        "profile_name": "balanced",
        "profile_version": "0" * 16,
        "state": state,
        "rows_done": done,
        "rows_total": 1000,
        "started_at": now,
        "updated_at": now,
    }
    with here.engine.begin() as conn:
        conn.execute(replays.insert().values(row | changes))


# Rows


def test_every_market_has_one_row():
    assert sorted(make_rows().index) == sorted(SYMBOLS)


def test_the_change_is_from_the_close_24_hours_ago():
    frame = make_frame(["AUSDT"], hours=240)
    closes = frame["close"].to_numpy()
    assert make_rows(frame)["change_24h"].item() == pytest.approx(closes[-1] / closes[-25] - 1)


def test_without_a_close_24_hours_ago_the_change_is_unknown():
    frame = make_frame(["AUSDT"], hours=240)
    frame.iloc[-25, frame.columns.get_loc("close")] = np.nan
    assert np.isnan(make_rows(frame)["change_24h"].item())


def test_a_store_without_rows_gives_no_rows(here):
    with here.engine.connect() as conn:
        nothing = market_rows(queries.load_newest(conn, "balanced"), queries.load_closes(conn, 24))
    assert nothing.empty


@pytest.mark.parametrize(
    ("show", "wanted"),
    [
        (ALL, {1, 0, -1, NONE}),
        ("With a signal", {1, 0, -1}),
        ("Long", {1}),
        ("Short", {-1}),
        ("Neutral", {0}),
        ("No signal", {NONE}),
    ],
)
def test_a_filter_shows_what_it_says_and_nothing_else(show, wanted):
    rows = make_rows(direction=[1, 0, -1, np.nan] * 3)
    found = chosen(rows, show=show)["direction"].fillna(NONE)
    assert len(found) == 3 * len(wanted)
    assert set(found) == wanted


def test_every_filter_that_is_offered_is_tested():
    assert set(SHOWN) == {ALL, "With a signal", "Long", "Short", "Neutral", "No signal"}


def test_verdicts_filter_together_with_the_search_for_a_symbol():
    rows = make_rows(verdict=["CONFIRM", "SKIP", "WAIT", "DOWNSIZE"] * 3)
    found = chosen(rows, verdicts=["CONFIRM", "SKIP"], search=" s1")
    said = rows["verdict"].filter(like="S1")
    assert set(found.index) == set(said[said.isin(["CONFIRM", "SKIP"])].index)
    assert len(found) > 0


def test_a_search_is_for_letters_not_for_a_pattern():
    assert chosen(make_rows(), search=".*").empty


@pytest.mark.parametrize("order", [name for name, (by, _) in ORDERS.items() if by != "symbol"])
def test_an_order_puts_the_unknown_last_and_equals_by_symbol(order):
    column, falling = ORDERS[order]
    rows = make_rows(make_frame(["A", "B", "C", "D"]), **{column: [2.0, np.nan, 3.0, 2.0]})
    found = "".join(chosen(rows.iloc[::-1], order=order).index)
    assert found == ("CADB" if falling else "ADCB")


def test_markets_can_be_sorted_by_name():
    rows = make_rows(make_frame(["B", "C", "A"]))
    assert "".join(chosen(rows, order="Symbol A to Z").index) == "ABC"


def test_by_default_the_strongest_conviction_comes_first():
    conviction = chosen(make_rows())["conviction"]
    assert conviction.is_monotonic_decreasing


@pytest.mark.parametrize(
    ("directions", "verdicts", "sentence"),
    [
        (
            [1, 1, 1, -1, 0, np.nan],
            ["CONFIRM", "CONFIRM", "CONFIRM", "CONFIRM", "SKIP", None],
            "5 of 6 markets have enough data; 3 confirmed longs, 1 confirmed short.",
        ),
        (
            [1, np.nan],
            ["WAIT", None],
            "1 of 2 markets have enough data; none is confirmed.",
        ),
        ([np.nan], [None], "None of 1 market has enough data for a signal."),
    ],
)
def test_the_sentence_counts_what_there_is(directions, verdicts, sentence):
    assert summary(pd.DataFrame({"direction": directions, "verdict": verdicts})) == sentence


# The table


def given(rows: pd.DataFrame, order: str = "Highest conviction", now: datetime = NOW) -> dict:
    return table_data(
        rows,
        load_profile(),
        order=order,
        clock=UTC_CLOCK,
        now=now,
        link=lambda symbol: f"symbol?symbol={symbol}",
    )


def test_the_table_gets_json_that_any_browser_reads():
    rows = make_rows(half_blind(SYMBOLS, SYMBOLS[:3]))
    assert json.loads(json.dumps(given(rows), allow_nan=False))["rows"] == given(rows)["rows"]


def test_a_market_without_a_signal_shows_dashes_and_says_why():
    row = given(make_rows(half_blind(["AUSDT"], ["AUSDT"])))["rows"][0]
    assert row["word"] == "no signal"
    assert row["score"] == row["verdict"] == DASH
    assert row["direction"] is row["agreement"] is None
    assert row["why"].startswith("coverage 0.20 is under 0.50: not enough data for liquidations")
    assert row["lacks"].startswith("not enough data for liquidations")


def test_a_missing_factor_is_a_gap_and_no_fifty():
    frame = make_frame(["AUSDT"], hours=HOURS, social_score=np.nan)
    factors = given(make_rows(frame))["rows"][0]["factors"]
    assert factors[FACTORS.index("social_sentiment")] is None
    assert sum(value is None for value in factors) == 1


def test_bars_are_as_wide_as_the_weights_of_the_profile():
    shares = [factor["share"] for factor in given(make_rows())["factors"]]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert shares[0] == max(shares)


def test_every_order_of_a_column_title_exists():
    offered = [order for parts, _ in COLUMNS for orders in parts.values() for order in orders]
    assert set(offered) == set(ORDERS)


def test_a_row_at_the_market_s_last_bar_is_not_called_old():
    row = given(make_rows())["rows"][0]
    assert (row["age"], row["stale"]) == ("last bar", False)


def test_a_row_that_fell_behind_shows_its_age_and_is_marked():
    row = given(make_rows(), now=NOW + STALE + timedelta(hours=1))["rows"][0]
    assert (row["age"], row["stale"]) == ("3\u00a0h", True)


def test_the_age_of_every_source_is_in_words():
    row = given(make_rows(age_social=np.nan, age_funding=5.0))["rows"][0]
    assert "funding 5\u00a0h" in row["sources"]
    assert "social unknown" in row["sources"]


def test_a_sparkline_has_gaps_and_its_own_scale():
    assert spark(np.array([3.0, np.nan, 1.0, 2.0])) == [100, None, 0, 50]
    assert spark(np.array([2.0, 2.0])) == [50, 50]
    assert spark(np.array([np.nan, 2.0])) == []


# The page


def test_the_page_shows_every_market_and_the_sentence(market):
    at = open_app()
    shown = table(at)
    assert {row["symbol"] for row in shown["rows"]} == set(SYMBOLS)
    assert at.subheader[0].value.startswith("9 of 12 markets have enough data; ")
    assert "SIMULATED MARKET" in words(at)
    assert "Not investment advice" in words(at)


def test_the_address_holds_the_view(market):
    at = open_page("signals.py", {"show": "No signal", "sort": "Symbol A to Z", "find": "s1"})
    assert [row["symbol"] for row in table(at)["rows"]] == ["S10USDT", "S11USDT"]


def test_a_view_that_nobody_knows_is_the_default_one(market):
    at = open_app({"show": "Everything", "sort": "chance", "verdict": "MAYBE"})
    assert len(table(at)["rows"]) == len(SYMBOLS)


def test_a_mode_that_nobody_knows_is_the_default_one(market):
    unknown, default = (table(open_app(query))["rows"] for query in ({"mode": "reckless"}, {}))
    assert unknown == default


def test_each_mode_shows_the_signals_of_its_own_profile(market):
    def directed(mode: str) -> int:
        rows = table(open_app({"mode": mode}))["rows"]
        return sum(row["direction"] in (1, -1) for row in rows)

    cautious, balanced, bold = (directed(mode) for mode in PROFILE_NAMES)
    assert cautious <= balanced <= bold
    assert cautious < bold


def test_a_row_leads_to_its_market_in_the_same_mode_and_zone(market):
    at = open_app({"mode": "aggressive", "tz": "UTC"}, timezone="Europe/Berlin")
    row = next(row for row in table(at)["rows"] if row["symbol"] == "S3USDT")
    assert row["href"] == "symbol?symbol=S3USDT&mode=aggressive&tz=UTC"


def test_times_are_in_the_reader_s_zone_and_the_zone_is_named(market):
    at = open_app(timezone="Asia/Tokyo")
    assert "Times in Asia/Tokyo" in words(at)
    local = Clock.named("Asia/Tokyo").stamp(NOW)
    assert table(at)["rows"][0]["at"] == local
    assert local in words(at)


def test_filters_that_leave_nothing_say_so(market):
    at = open_page("signals.py", {"find": "nothing"})
    assert table(at) is None
    assert "No market passes these filters" in words(at)


def test_an_empty_store_says_what_to_run(here):
    at = open_app()
    assert table(at) is None
    assert "No signals yet" in words(at)
    assert "core replay" in at.code[0].value


def test_an_empty_live_market_names_the_command_that_asks_its_sources(here, monkeypatch):
    live = Instance(here.settings, LIVE, here.engine, here.accounts)
    monkeypatch.setattr(states, "instance", lambda: live)
    at = open_page("signals.py")
    assert "first start takes minutes" in words(at)
    assert at.code[0].value == "python -m core doctor"


def test_while_a_replay_runs_the_page_shows_its_progress_and_stays_usable(market):
    note_replay(market, "running", 250)
    at = open_app()
    assert at.get("progress")[0].value == 25
    assert len(table(at)["rows"]) == len(SYMBOLS)
    assert "worked through up to" in words(at)


def test_before_the_first_rows_a_replay_is_awaited_and_not_asked_for(here):
    note_replay(here, "waiting", 0)
    at = open_app()
    assert "appear here by themselves" in words(at)
    assert not at.code


def test_a_replay_that_failed_says_why(market):
    note_replay(market, "failed", 250, message="The disk is full.")
    at = open_app()
    assert "The disk is full." in at.error[0].value


def test_a_database_that_breaks_is_a_sentence_and_the_next_run_is_whole(market, monkeypatch):
    def broken(*_: object) -> pd.DataFrame:
        raise OperationalError("select", {}, Exception("disk I/O error"))

    with monkeypatch.context() as broken_store:
        broken_store.setattr(queries, "load_newest", broken)
        at = open_app()
        assert "The database does not answer" in words(at)
        assert table(at) is None
    assert len(table(run(at))["rows"]) == len(SYMBOLS)


def test_a_page_of_500_markets_shows_them_all(here):
    store(here, make_frame(500, hours=24 * 9))
    assert len(table(open_app())["rows"]) == 500


# The header


def test_only_a_simulated_market_has_the_striped_band():
    assert "SIMULATED MARKET" in badge_html(DEMO)
    for market in (LIVE, RECORDING):
        assert "simulated" not in badge_html(market).lower()


def test_a_market_that_has_ended_is_not_called_old():
    later = NOW + timedelta(days=400)
    for market, says in ((DEMO, "simulation ends"), (RECORDING, "recording ends")):
        text = age_html(market, NOW, UTC_CLOCK, later)
        assert says in text
        assert "ago" not in text


def test_a_live_market_says_how_old_its_data_is():
    text = age_html(LIVE, NOW, UTC_CLOCK, NOW + timedelta(minutes=4))
    assert "data up to" in text
    assert "4\u00a0min ago" in text


def test_ages_are_told_by_the_market_s_own_clock_unless_it_is_live():
    assert market_now(RECORDING, NOW) == NOW
    assert market_now(LIVE, NOW) > NOW
    assert market_now(DEMO, None).tzinfo is UTC


# Replays


def replay_row(**changes: object) -> dict:
    at = SimpleNamespace(start=NOW - timedelta(minutes=1), now=NOW)
    return {
        "source": "Simulated market",
        "state": "running",
        "rows_done": 50,
        "rows_total": 100,
        "message": None,
        "started_at": at.start,
        "updated_at": at.now,
    } | changes


def test_progress_is_over_all_profiles_that_were_started_together():
    rows = [replay_row(), replay_row(state="waiting", rows_done=0), replay_row(state="done")]
    rows[2]["rows_done"] = 100
    assert standing(rows, NOW).fraction == pytest.approx(0.5)


def test_an_earlier_replay_does_not_count_as_progress():
    before = replay_row(state="done", rows_done=100, started_at=NOW - timedelta(days=1))
    assert standing([replay_row(), before], NOW).fraction == pytest.approx(0.5)


def test_a_replay_that_says_nothing_for_minutes_is_silent():
    assert standing([replay_row()], NOW + timedelta(minutes=5)).state == "silent"


def test_a_failure_that_was_made_good_is_not_shown():
    rows = [replay_row(state="done"), replay_row(state="failed", message="no disk")]
    assert standing(rows, NOW).state == "done"
    assert standing(rows[::-1], NOW).state == "failed"


def test_the_time_left_is_not_guessed_before_anything_moved():
    assert remaining([(NOW, 0.1), (NOW + timedelta(seconds=9), 0.1)]) is None


def test_a_market_is_found_by_the_name_of_its_coin_and_sorted_by_its_rank():
    coins = pd.DataFrame({"name": ["Bitcoin", "Ether"], "rank": [1.0, 2.0]}, ["S1USDT", "S0USDT"])
    frame = make_frame(symbols=["S0USDT", "S1USDT", "S2USDT"], hours=24 * 9)
    newest = decide(frame, load_profile()).groupby(level="symbol").tail(1)
    rows = market_rows(newest, frame["close"].unstack("symbol").tail(25), coins)
    assert chosen(rows, search="bitc").index.tolist() == ["S1USDT"]
    by_value = chosen(rows, order="Most valuable coin")
    assert by_value.index.tolist() == ["S1USDT", "S0USDT", "S2USDT"]
