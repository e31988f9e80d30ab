"""The Accuracy page: its views, its filters, and that its figures are those of `core.accuracy`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from streamlit.testing.v1 import AppTest

from core.accounts import people, sessions
from core.accuracy import brier, confusion, factor_sums, summarise, value_of_caution
from core.accuracy.record import KEYS, Place, Record, curves, record_of, spreads
from core.accuracy.tallies import LATER, LIVE, tally
from core.backtest import run as backtest
from core.instance import Instance
from core.outcomes import HORIZONS
from core.signals import load_profile, score
from core.store import ledger
from core.store.database import open_database
from core.store.record import Filters, load_pairs, load_tallies
from core.store.tables import factor_days, signals, tallies, tally_cells, verdicts
from core.store.tallies import keep_verdict_tallies
from core.ui import session
from core.ui.accuracy_filters import narrowing, population
from core.ui.accuracy_models import model_of
from core.ui.accuracy_scores import brier_words
from core.ui.claims import headline
from core.ui.formats import DASH, number, percent
from core.ui.record_table import caution_rows, record_rows
from core.ui.verdict_matrix import matrix_data
from tests.builders import START, make_frame
from tests.pages import (
    charts,
    copy_of_past,
    open_app,
    open_page,
    run,
    serve,
    serve_copy,
    store,
    words,
)
from tests.stored import load_outcomes

HOURS = 24 * 75
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
PROFILE = load_profile()
FILTERS = Filters("balanced")
MODEL = "gpt-a / 1"
ANSWERS = (("CONFIRM", "NORMAL", 1.0), ("DOWNSIZE", "REDUCED", 0.5), ("SKIP", "AVOID", 0.0))


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


@pytest.fixture(scope="module")
def judged_past(past: Path, frame: pd.DataFrame) -> Path:
    """The past with a model's verdicts on some of it, and with its factors summed up."""
    path = past.with_name("judged.sqlite")
    path.write_bytes(past.read_bytes())
    engine = open_database(f"sqlite:///{path}")
    with engine.begin() as conn:
        judge(conn)
        sum_factors(conn, frame)
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


def judge(conn: Connection) -> None:
    """A model's answer to every third signal that has a direction."""
    ledger.hold(conn)
    spoken = select(signals.c.id, signals.c.multiplier).where(signals.c.direction != 0)
    ids = []
    for place, (signal_id, most) in enumerate(conn.execute(spoken.order_by(signals.c.id)).all()):
        if place % 3:
            continue
        verdict, mode, multiplier = ANSWERS[place % 9 // 3]
        conn.execute(
            insert(verdicts).values(
                signal_id=signal_id,
                endpoint="http://127.0.0.1/v1",
                model="gpt-a",
                prompt_version="1",
                state="answered",
                verdict=verdict,
                risk_mode=mode,
                multiplier=min(multiplier, most),
                reasons=[],
                attempts=1,
                asked_at=datetime(2025, 10, 1, tzinfo=UTC),
                recorded_at=datetime(2025, 10, 1, tzinfo=UTC),
            )
        )
        ids.append(signal_id)
    keep_verdict_tallies(conn, ids)


def sum_factors(conn: Connection, frame: pd.DataFrame) -> None:
    rows = factor_sums(score(frame, PROFILE), PROFILE.windows).reset_index()
    rows["windows_version"] = PROFILE.windows_version
    rows["n"] = rows["n"].astype(int)
    conn.execute(insert(factor_days), rows.to_dict("records"))


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch, past: Path, tmp_path: Path) -> Iterator[Instance]:
    served = serve_copy(monkeypatch, past, tmp_path)
    yield served
    served.engine.dispose()


@pytest.fixture
def judged(
    monkeypatch: pytest.MonkeyPatch, judged_past: Path, tmp_path: Path
) -> Iterator[Instance]:
    served = serve_copy(monkeypatch, judged_past, tmp_path)
    yield served
    served.engine.dispose()


@pytest.fixture(scope="module")
def outcomes(past: Path) -> pd.DataFrame:
    engine = open_database(f"sqlite:///{past}")
    with engine.connect() as conn:
        found = load_outcomes(conn, "balanced")
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def sums(outcomes: pd.DataFrame) -> pd.DataFrame:
    return tally(outcomes, KEYS)


@pytest.fixture(scope="module")
def record(sums: pd.DataFrame) -> Record:
    return record_of(sums, sums)


def open_accuracy(query: dict[str, str] | None = None) -> AppTest:
    return open_page("accuracy.py", query)


def alts(at: AppTest) -> list[str]:
    return [chart["alt"] for chart in charts(at)]


def component(at: AppTest, name: str) -> dict[str, Any] | None:
    """What a component of the page was given, if it is there."""
    for element in at.get("bidi_component"):
        if element.proto.component_name == f"cryptosatx_{name}":
            given: dict[str, Any] = json.loads(element.proto.json)
            return given
    return None


def matrix(at: AppTest) -> dict[str, dict[str, Any]] | None:
    """The cells of the matrix by their key."""
    given = component(at, "matrix")
    if given is None:
        return None
    rows = [row for block in given["blocks"] for row in block["rows"]]
    return {cell["key"]: cell for row in rows for cell in row["cells"] if cell}


def plain(text: str) -> str:
    return text.replace("\xa0", " ")


# The rows


def test_trades_and_counterfactuals_are_summarised_apart(outcomes, record):
    assert record.trades["n"].sum() == outcomes["traded"].sum()
    assert record.shadows["n"].sum() == (~outcomes["traded"]).sum()
    assert record.n == len(outcomes)
    assert set(record.trades.index.get_level_values("verdict")) == {"CONFIRM", "DOWNSIZE"}
    assert set(record.shadows.index.get_level_values("verdict")) >= {"WAIT", "SKIP"}


def test_the_baseline_is_every_signal_of_the_horizon_also_where_verdicts_are_left_out(
    sums, outcomes
):
    confirmed = sums[sums.index.get_level_values("verdict") == "CONFIRM"]
    for found in (record_of(sums, sums), record_of(confirmed, sums)):
        for horizon in HORIZONS:
            raw = (outcomes.xs(horizon, level="horizon")["net_return"] > 0).mean()
            rows = pd.concat([found.trades, found.shadows]).xs(horizon, level="horizon")
            assert rows["baseline"].to_numpy() == pytest.approx(raw)


def test_rows_stand_by_horizon_then_verdict(record):
    assert [f"{verdict} {horizon}" for verdict, horizon in record.trades.index] == [
        f"{verdict} {horizon}" for horizon in HORIZONS for verdict in ("CONFIRM", "DOWNSIZE")
    ]


def test_nothing_has_no_rows(sums):
    nothing = sums.iloc[:0]
    assert record_of(nothing, nothing).n == 0
    assert curves(nothing, traded=True) == {}
    assert spreads(nothing, traded=True) == {}


def test_curves_and_spreads_hold_every_outcome(sums, outcomes):
    for traded in (True, False):
        kept = outcomes[outcomes["traded"] == traded]
        for (verdict, horizon), curve in curves(sums, traded=traded).items():
            part = kept[kept["verdict"] == verdict].xs(horizon, level="horizon")
            assert curve.iloc[-1] == pytest.approx(part["r_multiple"].sum())
            assert curve.index.is_monotonic_increasing
        for horizon, table in spreads(sums, traded=traded).items():
            known = kept.xs(horizon, level="horizon")["r_multiple"].notna()
            assert table["n"].sum() == known.sum()


@pytest.mark.parametrize(
    "text", ["", "CONFIRM", "CONFIRM.4h", "CONFIRM.4h.maybe", "X.4h.traded", "😀.."]
)
def test_nonsense_is_no_cell(text):
    assert Place.parse(text) is None


@pytest.mark.parametrize("traded", [True, False])
def test_a_cell_reads_itself_back_from_the_address(traded):
    place = Place("WAIT", "24h", traded)
    assert Place.parse(str(place)) == place


def test_a_flagged_cell_is_marked_by_shape_and_word_and_said_aloud(record):
    trades = record.trades.copy()
    trades["flagged"] = [True, True, *[False] * (len(trades) - 2)]
    trades["lift"] = [0.05, -0.05, *trades["lift"].iloc[2:]]
    given = matrix_data(trades, record.shadows, HORIZONS, None)
    better, worse, *others = (cell for row in by_column(given) for cell in row)
    assert (better["mark"], worse["mark"]) == ("▲ above raw", "▼ below raw")
    assert better["said"].endswith("above raw")
    assert not any(cell["mark"] for cell in others)


def by_column(given: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The cells of the trades, a list per horizon."""
    rows = [row["cells"] for row in given["blocks"][0]["rows"]]
    return [list(column) for column in zip(*rows, strict=True)]


def test_the_table_speaks_percent_and_has_an_interval_in_one_cell(record):
    table = record_rows(record.trades, traded=True)
    assert table["Won, %"].tolist() == (100 * record.trades["win_rate"]).tolist()
    low, high = record.trades["low"].iloc[0], record.trades["high"].iloc[0]
    assert table["95 %"].iloc[0] == f"{100 * low:.1f} to {100 * high:.1f}"
    assert table["Verdict"].iloc[0] == "● CONFIRM"


def test_a_refused_plan_is_named_as_such_among_what_was_not_traded(record):
    table = record_rows(record.trades.iloc[:2], traded=False)
    assert table["Verdict"].tolist() == ["● CONFIRM, no plan", "◐ DOWNSIZE, no plan"]


def test_signs_are_real_and_intervals_of_lifts_have_them(record):
    table = record_rows(record.trades, traded=True)
    row = record.trades.iloc[0]
    ends = [number(100 * row[name], 1, sign=True) for name in ("lift_low", "lift_high")]
    assert table["Lift, 95 %"].iloc[0] == " to ".join(ends)
    assert len(table["Mean R, 95 %"].iloc[0].split(" ")[0].split(".")[1]) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lift": -0.05, "lift_high": -0.01, "flagged": True}, "chose what won less often"),
        ({"lift": -0.05, "lift_high": -0.01, "flagged": False}, "chose no better beyond chance"),
        ({"lift": 0.05, "lift_high": 0.1, "flagged": True}, "chose no better beyond chance"),
        ({"lift_high": np.nan, "flagged": False}, DASH),
    ],
)
def test_caution_chose_only_where_the_mark_says_so_for_as_many_cells(sums, record, changes, said):
    table = caution_rows(value_of_caution(sums), record.cautious.assign(**changes))
    assert set(table["Choice"]) == {said}
    assert len(table) == len(record.cautious)


def test_an_interval_that_is_not_there_is_a_dash_with_its_reason(outcomes):
    few = summarise(outcomes.iloc[:5], by=["verdict", "horizon"])
    table = record_rows(few, traded=True)
    assert set(table["95 %"]) == {DASH}
    assert table["Note"].str.contains("too few").all()


def test_without_a_model_chosen_the_one_with_the_newest_outcomes_is_compared():
    later = START + pd.Timedelta("1D")
    options = pd.DataFrame(
        {
            "judge": ["rules", "old / 1", "busy / 1", "rare / 1"],
            "last_day": [later, START, later, later],
            "last_n": [900, 500, 40, 3],
        }
    )
    assert model_of(FILTERS, options) == "busy / 1"
    assert model_of(replace(FILTERS, judge="old / 1"), options) == "old / 1"
    assert model_of(FILTERS, options[:1]) is None


def test_what_filters_leave_is_said_in_words():
    options = pd.DataFrame(
        {"profile_version": ["v1", "v2"], "last_day": [START, START + pd.Timedelta("1D")]}
    )
    assert "version v2, one of 2" in population(FILTERS, options)
    assert "the model gpt-a / 1" in population(replace(FILTERS, judge=MODEL), options)
    assert narrowing(FILTERS) == []
    narrow = replace(
        FILTERS,
        verdicts=("CONFIRM", "WAIT"),
        direction=-1,
        horizons=("4h",),
        least_coverage=0.8,
        symbols=tuple("ABCD"),
        start=date(2025, 9, 2),
    )
    assert [plain(said) for said in narrowing(narrow)] == [
        "CONFIRM or WAIT",
        "short",
        "4 h",
        "coverage of 80 % or more",
        "4 symbols",
        "exits from 2 Sep 2025",
    ]


# The view of the verdicts


def test_the_page_says_first_whether_there_is_an_edge(market, record):
    at = open_accuracy()
    assert f"#### {headline(record.trades, record.looks)}" in [text.value for text in at.markdown]


def test_what_was_recorded_at_the_time_is_counted_apart_from_what_was_filled_in(market):
    with market.engine.begin() as conn:
        kept = select(tally_cells.c.id).where(tally_cells.c.horizon == "1h")
        conn.execute(delete(tallies).where(tallies.c.cell_id.in_(kept.where(of_kind(LIVE)))))
        conn.execute(delete(tally_cells).where(tally_cells.c.horizon == "1h", of_kind(LIVE)))
        of_an_hour = update(tally_cells).where(tally_cells.c.horizon == "1h")
        conn.execute(of_an_hour.values(recorded=LIVE))
        amounts = [
            int(load_tallies(conn, replace(FILTERS, recorded=kind), (), ("n",))["n"].sum())
            for kind in (LIVE, LATER)
        ]
    assert min(amounts) > 0
    assert (
        f"{number(sum(amounts))} finished outcomes: {number(amounts[0])} recorded at the time, "
        f"{number(amounts[1])} filled in afterwards."
    ) in words(open_accuracy())
    assert "recorded at the time," not in words(open_accuracy({"horizon": "1 h"}))


def of_kind(recorded: str) -> ColumnElement[bool]:
    return tally_cells.c.recorded == recorded


def test_every_cell_shows_what_core_accuracy_computes(market, record):
    cells = matrix(open_accuracy())
    assert len(cells) == len(record.trades) + len(record.shadows)
    for summary, traded in ((record.trades, True), (record.shadows, False)):
        for (verdict, horizon), row in summary.iterrows():
            cell = cells[str(Place(verdict, horizon, traded))]
            assert cell["rate"] == percent(row["win_rate"])
            assert cell["count"].startswith(f"n {row['n']:,}")
            assert f"raw {100 * row['baseline']:.1f}" in cell["baselines"]
            assert bool(cell["mark"]) == bool(row["flagged"])
            assert cell["thin"] == np.isnan(row["low"])


def test_the_number_of_cells_that_were_looked_at_is_printed(market, record):
    assert record.looks > 0
    assert f"{record.looks} cells looked at" in words(open_accuracy())


def test_trades_and_counterfactuals_have_a_table_each(market):
    at = open_accuracy()
    caution, trades, made, shadows, _ = (table.value for table in at.dataframe)
    assert made["Verdict"].tolist() == trades["Verdict"].tolist()
    assert trades["Verdict"].str.contains("CONFIRM|DOWNSIZE").all()
    assert shadows["Verdict"].str.contains("WAIT|SKIP").any()
    assert set(caution["Verdict"].str[2:]) <= {"DOWNSIZE", "WAIT", "SKIP"}
    assert "never mixed with trades" in words(at)


def test_every_column_says_what_it_means(market):
    for table in open_accuracy().dataframe:
        columns = json.loads(table.proto.columns)
        for title in set(table.value.columns) - {"Verdict", "Horizon"}:
            assert columns[title]["help"], title


def test_charts_describe_themselves_and_say_how_to_read_them(market):
    at = open_accuracy()
    rates, lines, spread = alts(at)
    assert rates.startswith("Win rates with intervals. CONFIRM 1 h")
    assert lines.startswith("Cumulative R by verdict. Trades:")
    assert spread.startswith("Distribution of net R. Trades at 1 h:")
    for read in ("An edge would be a band", "A line that rises steadily", "A few bars far out"):
        assert read in words(at)


def test_unfinished_outcomes_are_counted_pending_apart_from_overdue(market):
    assert "Not finished and not counted: pending" in words(open_accuracy())


def test_a_cell_in_the_address_lists_its_signals_newest_first(market, outcomes):
    cell = Place("CONFIRM", "4h", traded=True)
    at = open_accuracy({"cell": str(cell)})
    part = outcomes[outcomes["traded"] & (outcomes["verdict"] == "CONFIRM")].xs(
        "4h", level="horizon"
    )
    assert f"**CONFIRM at 4 h**: {len(part):,} signals" in plain(words(at))
    given = component(at, "signals")
    assert len(given["rows"]) == 20
    asked = [parse_qs(urlsplit(row["href"]).query) for row in given["rows"]]
    newest = part.index.get_level_values("time").max()
    assert asked[0]["time"] == [f"{newest:%Y-%m-%dT%H:%MZ}"]
    assert asked[0]["version"] == [PROFILE.version]
    times = [row["time"][0] for row in asked]
    assert times == sorted(times, reverse=True)
    assert component(at, "matrix")["opened"] == str(cell)


def test_the_list_goes_on_page_by_page(market):
    first = component(open_accuracy({"cell": "CONFIRM.4h.traded"}), "signals")
    second = component(open_accuracy({"cell": "CONFIRM.4h.traded", "page": "2"}), "signals")
    assert not {row["href"] for row in first["rows"]} & {row["href"] for row in second["rows"]}


def test_what_a_plan_refused_is_listed_apart_from_trades(market, outcomes):
    refused = outcomes[~outcomes["traded"] & outcomes["verdict"].isin(["CONFIRM", "DOWNSIZE"])]
    at = open_accuracy({"cell": "WAIT.24h.followed"})
    assert "**WAIT at 24 h**" in words(at)
    if refused.empty:
        assert component(open_accuracy({"cell": "CONFIRM.4h.followed"}), "signals") is None


def test_the_list_can_be_closed(market):
    at = open_accuracy({"cell": "CONFIRM.4h.traded"})
    next(button for button in at.button if button.label == "Close").click()
    run(at)
    assert component(at, "signals") is None
    assert "cell" not in at.query_params


# Filters


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ({"horizon": "4 h"}, {"horizons": ("4h",)}),
        ({"side": "Short"}, {"direction": -1}),
        ({"symbols": "ETHUSDT"}, {"symbols": ("ETHUSDT",)}),
        ({"risk_mode": "NORMAL"}, {"risk_modes": ("NORMAL",)}),
        ({"judged": "CONFIRM"}, {"verdicts": ("CONFIRM",)}),
        ({"coverage": "100 %"}, {"least_coverage": 1.0}),
        ({"recorded": "Filled in afterwards"}, {"recorded": "later"}),
        ({"profile": PROFILE.version}, {"profile_version": PROFILE.version}),
        (
            {"from": "2025-09-20", "to": "2025-10-20"},
            {"start": date(2025, 9, 20), "end": date(2025, 10, 20)},
        ),
        (
            {"horizon": "1 h", "side": "Long", "symbols": "BTCUSDT"},
            {"horizons": ("1h",), "direction": 1, "symbols": ("BTCUSDT",)},
        ),
    ],
)
def test_filters_come_from_the_address(market, query, filters):
    asked = replace(FILTERS, **filters)
    with market.engine.connect() as conn:
        tallies = load_tallies(conn, asked, KEYS)
        universe = load_tallies(conn, replace(asked, verdicts=(), risk_modes=()), KEYS)
    expected = record_of(tallies, universe)
    at = open_accuracy(query)
    trades = next(table.value for table in at.dataframe if "n eff." in table.value)
    assert trades["n"].sum() == expected.trades["n"].sum() > 0
    assert f"#### {headline(expected.trades, expected.looks)}" in [t.value for t in at.markdown]


def test_what_a_plan_on_another_page_was_asked_for_is_no_filter_here(market):
    """The plan's inputs stay in the session, so a filter of the same name would find a number."""
    at = open_app()
    for name in ("equity", "risk", "leverage"):
        at.session_state[name] = 1.0
    at.switch_page("accuracy.py")
    assert matrix(run(at))


def test_a_filter_is_said_and_can_be_dropped(market):
    at = open_accuracy({"risk_mode": "NORMAL", "side": "Short"})
    assert "Only risk mode normal, short" in words(at)
    at.button(key="reset").click()
    run(at)
    assert "Only" not in words(at).split("finished outcome")[0]
    assert "reset" not in {button.key for button in at.button}


def test_more_than_ten_symbols_are_not_taken(market, monkeypatch):
    monkeypatch.setattr("core.ui.accuracy_filters.MOST_SYMBOLS", 2)
    at = open_app()
    at.switch_page("accuracy.py")
    run(at)
    assert at.multiselect(key="symbols").proto.max_selections == 2


def test_filters_that_leave_nothing_say_which_to_loosen(market, outcomes):
    at = open_accuracy({"risk_mode": "AVOID", "judged": "CONFIRM"})
    said = words(at)
    assert "No finished outcome passes these filters" in said
    labels = {button.key: plain(button.label) for button in at.button}
    avoided = int((outcomes["risk_mode"] == "AVOID").sum())
    assert labels["without_judged"] == f"Without “CONFIRM”: {avoided:,} outcomes"
    assert not alts(at)
    at.button(key="without_risk_mode").click()
    run(at)
    assert matrix(at)


NONSENSE = ["", "nonsense", "-1", "1e999", "nan", "'; DROP TABLE outcomes; --", "<script>", "😀"]
NAMES = (
    "horizon",
    "side",
    "symbols",
    "source",
    "profile",
    "recorded",
    "judged",
    "risk_mode",
    "coverage",
    "from",
    "to",
    "cell",
    "page",
    "view",
    "tz",
    "mode",
    "time",
)


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_everywhere_in_the_address_falls_back_to_everything(market, value):
    at = open_accuracy(dict.fromkeys(NAMES, value))
    assert len(at.dataframe[1].value) == 6


def test_what_the_address_asks_in_vain_is_said_once(market):
    at = open_accuracy({"judge": "abc", "cell": "XX", "page": "9999", "side": "Long"})
    (said,) = [str(toast.value) for toast in at.toast]
    assert "judge=abc, cell=XX, page=9999" in said
    assert "side" not in said
    run(at)
    assert not at.toast
    assert not open_accuracy({"side": "Long", "cell": "CONFIRM.4h.traded"}).toast


# The other views


def test_the_reliability_is_of_every_signal_and_leaves_empty_bins_out(market, outcomes):
    at = open_accuracy({"view": "Scores"})
    (alt,) = alts(at)
    assert alt.startswith("Reliability of the score. 1 h: claimed")
    spec = json.loads(charts(at)[0]["spec"])
    drawn = sum(len(t["x"]) for t in spec["data"] if t["name"] == "n")
    bins = tally(outcomes, ["horizon", "score_bin"]).groupby(level=["horizon", "score_bin"]).size()
    assert drawn == len(bins)


def test_the_brier_score_is_said_in_words(market, outcomes):
    at = open_accuracy({"view": "Scores"})
    for horizon in HORIZONS:
        part = outcomes[outcomes.index.get_level_values("horizon") == horizon]
        assert brier_words(brier(tally(part, ["score_bin"])), horizon) in words(at)


def test_without_a_model_the_page_says_so_and_how_to_set_one_up(market):
    at = open_accuracy({"view": "Rules and model"})
    assert "No model has judged a signal" in words(at)
    assert "CRYPTOSATX_MODEL" in at.code[0].value
    assert "never about the past" in words(at)


def test_rules_and_model_are_compared_with_kappa_and_the_list_of_disagreements(judged):
    at = open_accuracy({"view": "Rules and model"})
    with judged.engine.connect() as conn:
        found = confusion(load_pairs(conn, replace(FILTERS, judge=MODEL)))
    said = plain(words(at))
    assert f"said the same of {100 * found.share:.0f} % of {found.n:,} signals" in said
    assert f"kappa {found.kappa:.2f}".replace("-", "−") in said
    assert "A model's record is shorter" in said
    apart = found.n - np.trace(found.table.to_numpy())
    assert f"**Where they disagreed**: {apart:,} signals" in said
    rows = component(at, "signals")
    titles = [column["title"] for column in rows["columns"]]
    assert titles[4:6] == ["Rules", "Model"]
    assert all(row["cells"][4].split()[1] != row["cells"][5].split()[1] for row in rows["rows"])


def test_a_model_has_a_record_of_its_own(judged):
    everything, of_model = open_accuracy(), open_accuracy({"source": MODEL})
    with judged.engine.connect() as conn:
        tallies = load_tallies(conn, replace(FILTERS, judge=MODEL), KEYS)
    expected = record_of(tallies, tallies)
    assert of_model.dataframe[1].value["n"].sum() == expected.trades["n"].sum()
    assert everything.dataframe[1].value["n"].sum() > expected.trades["n"].sum()
    assert "Verdicts of the model gpt-a / 1" in words(of_model)


def test_a_cell_of_a_model_lists_its_own_verdicts(judged):
    at = open_accuracy({"source": MODEL, "cell": "DOWNSIZE.1h.traded"})
    rows = component(at, "signals")
    assert all("DOWNSIZE" in row["cells"][5] for row in rows["rows"])


def test_factors_have_a_matrix_and_information_with_intervals(judged):
    at = open_accuracy({"view": "Factors"})
    known, same = alts(at)
    assert known.startswith("Information coefficients of the factors.")
    assert same.startswith("Correlations between factors, the strongest first:")
    assert "miss 0 by luck alone" in words(at)


def test_factors_follow_the_period_and_say_what_is_missing(judged, market):
    at = open_accuracy({"view": "Factors"})
    assert "No day of factors has been summed up yet" in words(at)


def test_the_ledger_shows_what_to_publish_how_to_verify_and_the_recipe(market):
    at = open_accuracy({"view": "Ledger"})
    with market.engine.connect() as conn:
        length, head = ledger.head(conn)
    assert length > 0
    published, verify, recipe = (code.value for code in at.code)
    assert published == f"{length}:{head.hex()}"
    assert verify == f"python -m core verify --published {published}"
    tested = Path(__file__).with_name("recipe.py").read_text(encoding="utf-8")
    assert recipe.split() == tested.split()


@pytest.mark.parametrize("role", [None, "analyst", "admin"])
def test_exports_are_links_for_whoever_signed_in_and_not_for_a_guest(market, monkeypatch, role):
    if role:
        sign_in(market, monkeypatch, role)
    links = open_accuracy({"view": "Ledger"}).get("link_button")
    assert [link.proto.url for link in links] == [
        f"/record/ledger.{kind}" for kind in ("csv", "parquet", "jsonl")
    ]
    assert {link.proto.disabled for link in links} == {role is None}


def test_the_method_states_definitions_costs_and_biases(market):
    said = words(open_accuracy({"view": "Method"}))
    for word in ("Entry", "Costs", "eras", "Counterfactuals", "**R** is", "mislead", "Ibragimov"):
        assert word in said


@pytest.mark.parametrize(
    "limit",
    [
        "The interval of a win rate is about the period shown",
        "less often: in 80 to 93 % of simulations",
        "about one table in twenty still has a mark",
        "the verdict may come up to half an hour later",
        "configure a dated name",
        "in 8 to 9 % with twenty that move together",
    ],
)
def test_the_method_says_how_far_its_numbers_reach(market, limit):
    said = " ".join(words(open_accuracy({"view": "Method"})).split())
    assert limit in plain(said)


# With little or nothing


def test_an_empty_store_says_what_is_missing(here):
    assert "No finished outcomes yet" in words(open_accuracy())


@pytest.mark.parametrize("view", ["Ledger", "Method"])
def test_an_empty_store_still_has_a_ledger_and_a_method(here, view):
    assert "#### 0 entries" in words(open_accuracy({"view": view})) or view == "Method"


def test_signals_without_outcomes_are_not_a_track_record(here, frame):
    store(here, frame)
    assert "No finished outcomes yet" in words(open_accuracy())


def test_one_day_has_counts_and_no_interval(monkeypatch, sqlite_template, tmp_path):
    # Nothing has a score in its first week.
    short = make_frame(SYMBOLS, hours=24 * 8 + 6)
    path = copy_of_past(sqlite_template, short, tmp_path)
    served = serve_copy(monkeypatch, path, tmp_path)
    at = open_accuracy()
    assert "Nothing is proven yet" in words(at)
    assert all(cell["thin"] for cell in matrix(at).values())
    assert {cell["interval"] for cell in matrix(at).values()} <= {"too few", "not enough time yet"}
    served.engine.dispose()


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
    assert matrix(at) is None


@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_an_analyst_and_an_admin_see_it(market, monkeypatch, role):
    sign_in(market, monkeypatch, role)
    assert len(alts(open_accuracy())) == 3


def test_a_guest_sees_it_and_a_stranger_does_not(market, monkeypatch):
    assert len(alts(open_accuracy())) == 3
    monkeypatch.setattr(session, "_browser_token", lambda: None)
    assert not alts(open_accuracy())


def test_the_track_record_of_noise_claims_no_edge():
    claims = []
    for seed in range(4):
        outcomes = backtest(make_frame(2, hours=24 * 40, seed=seed), load_profile()).outcomes
        sums = tally(outcomes, KEYS)
        record = record_of(sums, sums)
        claims.append(headline(record.trades, record.looks))
    assert not [said for said in claims if said.startswith("An edge")]
    assert np.mean([said.startswith("No proven edge") for said in claims]) > 0
