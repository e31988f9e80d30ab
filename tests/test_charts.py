"""Charts: what they draw is the data, gaps are gaps, and every figure says what it shows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from core.accuracy.record import KEYS, Record, curves, record_of, spreads
from core.accuracy.tallies import tally
from core.backtest import decide, run
from core.signals import load_profile
from core.ui.charts import (
    PANES,
    Levels,
    TimeAxis,
    View,
    Window,
    levels_of,
    signal_runs,
)
from core.ui.charts.marks import mark_places
from core.ui.charts.steps import candles, gaps, regular, totals
from core.ui.formats import UTC_CLOCK, Clock
from core.ui.palette import DARK, LIGHT
from tests.builders import START, make_frame
from tests.plotted import (
    correlation_figure,
    curves_figure,
    information_figure,
    market_figure,
    rates_figure,
    reliability_figure,
    spread_figure,
)

HOUR = pd.Timedelta("1h")
SYMBOL = "S0USDT"
PROFILE = load_profile()
UTC_AXIS = TimeAxis(UTC_CLOCK)

# The pane, the column it draws, and the name of the trace that shows it.
DRAWN = [
    ("score", "score", "score"),
    ("liquidations", "long_liquidations_usd", "longs"),
    ("liquidations", "short_liquidations_usd", "shorts"),
    ("open interest", "open_interest", "open interest"),
    ("funding", "funding_rate_8h", "funding"),
    ("crowd", "long_account_share", "accounts"),
    ("crowd", "top_long_share", "top"),
]
SOURCES_OF = {
    "price": ["open", "high", "low", "close"],
    "liquidations": ["long_liquidations_usd", "short_liquidations_usd"],
    "open interest": ["open_interest", "open_interest_usd"],
    "funding": ["funding_rate_8h"],
    "crowd": ["long_account_share", "top_long_share"],
}


@pytest.fixture(scope="module")
def past() -> pd.DataFrame:
    """Sixty days of one market, decided hour by hour; index time."""
    return decide(make_frame(1, hours=24 * 60), PROFILE).loc[SYMBOL]


def make_view(past: pd.DataFrame, days: float = 7, **changes: Any) -> View:
    window = Window.around(past.index[0], past.index[-1], pd.Timedelta(days=days))
    view = {
        "symbol": SYMBOL,
        "bars": past,
        "history": past[["score", "direction", "verdict"]],
        "window": window,
        "times": UTC_AXIS,
        "colours": LIGHT,
        "long_threshold": PROFILE.long_threshold,
        "short_threshold": PROFILE.short_threshold,
        **changes,
    }
    return View(**view)


def trace(figure: go.Figure, name: str) -> Any:
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


def words(figure: go.Figure) -> str:
    return " ".join(note.text for note in figure.layout.annotations)


def hidden(past: pd.DataFrame, columns: list[str], first: int, last: int) -> pd.DataFrame:
    """The past without these columns in hours ``first`` to ``last`` from the end."""
    gapped = past.copy()
    gapped.loc[gapped.index[-first:-last], columns] = np.nan
    return gapped


# What every chart of a symbol has


@pytest.mark.parametrize("pane", PANES)
def test_every_pane_has_a_title_a_unit_a_line_on_what_to_look_for_and_an_alt_text(past, pane):
    drawn = PANES[pane](make_view(past))
    assert drawn.title
    assert drawn.unit
    assert 20 < len(drawn.look) < 125
    assert len(drawn.says) > 20
    figure = market_figure(make_view(past), [pane])
    for text in (drawn.title, drawn.unit, drawn.look):
        assert text in words(figure)
    assert drawn.says in figure.layout.meta["alt"]
    assert figure.layout.meta["alt"].startswith(SYMBOL)


@pytest.mark.parametrize("pane", PANES)
def test_every_axis_has_ticks_in_words_within_its_range(past, pane):
    axis = market_figure(make_view(past), [pane]).layout.yaxis
    low, high = axis.range
    assert len(axis.tickvals) >= 2
    assert all(low <= tick <= high for tick in axis.tickvals)
    assert len(set(axis.ticktext)) == len(axis.ticktext) or pane == "liquidations"


def test_all_panes_share_one_time_axis_and_the_crosshair_runs_through_them(past):
    figure = market_figure(make_view(past))
    assert {trace.xaxis for trace in figure.data} == {"x"}
    assert {trace.yaxis for trace in figure.data} == {"y", "y2", "y3", "y4", "y5", "y6"}
    assert figure.layout.xaxis.showspikes
    assert figure.layout.xaxis.spikemode == "across"
    assert figure.layout.hoversubplots == "axis"


def test_panes_do_not_overlap_and_no_axis_lies_over_another(past):
    layout = market_figure(make_view(past)).layout
    axes = [layout[f"yaxis{number}"] for number in ("", 2, 3, 4, 5, 6)]
    for upper, lower in pairwise(axes):
        assert upper.domain[0] > lower.domain[1]
    assert all(axis.overlaying is None for axis in axes)


def test_the_zone_is_named_once(past):
    figure = market_figure(make_view(past, times=TimeAxis(Clock.named("Asia/Tokyo"))))
    assert figure.layout.xaxis.title.text == "Time in Asia/Tokyo"
    assert "Tokyo" not in words(figure)


def test_times_are_drawn_on_the_reader_s_clock(past):
    utc = trace(market_figure(make_view(past), ["score"]), "score")
    tokyo_view = make_view(past, times=TimeAxis(Clock.named("Asia/Tokyo")))
    tokyo = trace(market_figure(tokyo_view, ["score"]), "score")
    assert set(tokyo.x - utc.x) == {9 * 3_600_000.0}


def test_zoom_lasts_until_something_else_is_shown(past):
    figure = market_figure(make_view(past), keep="S0USDT balanced 7 d")
    assert figure.layout.uirevision == "S0USDT balanced 7 d"


def test_a_phone_gets_one_pane_that_does_not_catch_the_finger(past):
    figure = market_figure(make_view(past), ["funding"], compact=True)
    assert {trace.yaxis for trace in figure.data} == {"y"}
    assert figure.layout.dragmode is False
    assert figure.layout.xaxis.fixedrange
    assert "Funding" not in words(figure)
    assert figure.layout.meta["title"] == "Funding, % per 8 h"
    assert figure.layout.height < 420


@pytest.mark.parametrize(("colours", "ground"), [(LIGHT, "#FFFFFF"), (DARK, "#0F1318")])
def test_charts_follow_the_appearance(past, colours, ground):
    figure = market_figure(make_view(past, colours=colours))
    assert figure.layout.template.layout.paper_bgcolor == ground


# What is drawn is the data


@pytest.mark.parametrize(("pane", "column", "name"), DRAWN)
def test_lines_and_bars_show_the_very_values(past, pane, column, name):
    view = make_view(past)
    drawn = trace(market_figure(view, [pane]), name)
    expected = past.loc[view.window.start :, column].to_numpy()
    np.testing.assert_array_equal(np.abs(drawn.y), np.abs(expected))


@pytest.mark.parametrize(("pane", "column", "name"), DRAWN)
def test_a_gap_in_the_data_is_a_gap_in_the_line(past, pane, column, name):
    gapped = hidden(past, [column], 60, 40)
    view = make_view(gapped, history=gapped[["score", "direction", "verdict"]])
    drawn = trace(market_figure(view, [pane]), name)
    assert np.isnan(drawn.y).sum() == 20
    assert drawn.type == "bar" or drawn.connectgaps is False


@pytest.mark.parametrize(("pane", "column", "name"), DRAWN)
def test_missing_rows_are_gaps_too(past, pane, column, name):
    fewer = past.drop(past.index[-60:-40])
    view = make_view(fewer, history=fewer[["score", "direction", "verdict"]])
    drawn = trace(market_figure(view, [pane]), name)
    assert np.isnan(drawn.y).sum() == 20
    assert set(np.diff(drawn.x)) == {3_600_000.0}


@pytest.mark.parametrize("pane", SOURCES_OF)
def test_a_missing_stretch_is_hatched_from_the_last_known_value_to_the_next(past, pane):
    gapped = hidden(past, SOURCES_OF[pane], 60, 40)
    hatch = trace(market_figure(make_view(gapped), [pane]), "missing")
    assert hatch.fillpattern.shape == "/"
    assert min(t for t in hatch.x if t) == UTC_AXIS.at(past.index[-61])
    assert max(t for t in hatch.x if t) == UTC_AXIS.at(past.index[-40])


@pytest.mark.parametrize("pane", SOURCES_OF)
def test_a_source_that_is_missing_throughout_is_said_to_be(past, pane):
    blind = past.assign(**dict.fromkeys(SOURCES_OF[pane], np.nan))
    figure = market_figure(make_view(blind), [pane])
    assert [trace.name for trace in figure.data] == ["missing"]
    assert "no " in words(figure)


def test_where_nothing_is_missing_nothing_is_hatched(past):
    assert "missing" not in {trace.name for trace in market_figure(make_view(past)).data}


def test_open_interest_falls_back_to_dollars_and_says_that_they_move_with_the_price(past):
    drawn = PANES["open interest"](make_view(past.assign(open_interest=np.nan)))
    assert drawn.unit == "USD"
    assert "with the price" in drawn.look


def test_liquidations_are_mirrored_about_zero_and_called_a_lower_bound(past):
    drawn = PANES["liquidations"](make_view(past))
    longs, shorts = drawn.traces
    assert (longs["y"] >= 0).all()
    assert (shorts["y"] <= 0).all()
    assert drawn.low == -drawn.high
    assert "lower bound" in drawn.title
    assert not any("−" in text for text in drawn.ticks.values())


def test_each_bar_of_the_score_has_the_thresholds_of_the_version_that_decided_it(past):
    change = past.index[-48]
    thresholds = pd.Series(58.0, index=past.index).where(past.index < change, 70.0)
    view = make_view(past, long_threshold=70.0, short_threshold=30.0, thresholds=thresholds)
    pane = PANES["score"](view)
    drawn = {each["name"]: each for each in pane.traces}
    assert set(drawn["long from"]["y"]) == {58.0, 70.0}
    assert set(drawn["short to"]["y"]) == {42.0, 30.0}
    score = past["score"].loc[view.window.start : view.window.end]
    expected = (score >= thresholds.loc[score.index]).sum()
    found = drawn["long"]["y"] if "long" in drawn else np.array([np.nan])
    assert np.isfinite(found).sum() == expected
    assert [label.text for label in pane.labels][1] == "long from 70"


def test_the_score_shows_its_thresholds_and_colours_only_what_lies_beyond_them(past):
    drawn = PANES["score"](make_view(past, days=30))
    assert {shape["y0"] for shape in drawn.shapes} >= {58.0, 42.0}
    long, short = (next(t for t in drawn.traces if t["name"] == side) for side in ("long", "short"))
    assert np.nanmin(long["y"]) >= 58
    assert np.nanmax(short["y"]) <= 42
    assert (long["line"]["color"], short["line"]["color"]) == (LIGHT.long, LIGHT.short)


# Windows, candles and sums


@pytest.mark.parametrize(("days", "bar"), [(1, "1 h"), (7, "1 h"), (30, "4 h"), (59, "1 d")])
def test_long_windows_are_gathered_into_longer_candles_and_say_so(past, days, bar):
    view = make_view(past, days=days)
    drawn = PANES["price"](view)
    assert drawn.title.startswith(f"Price, {bar} candles")
    assert len(drawn.traces[0]["x"]) < 260


def test_a_gathered_candle_opens_first_closes_last_and_reaches_as_far_as_its_hours():
    bars = make_frame(1, hours=24 * 30).loc[SYMBOL]
    window = Window.of(bars.index[0], bars.index[-1])
    day = bars.loc["2025-09-10T01:00Z":"2025-09-11T00:00Z"]
    candle = candles(bars, Window(window.start, window.end, pd.Timedelta("1D"))).loc[day.index[-1]]
    assert candle["open"] == day["open"].iloc[0]
    assert candle["close"] == day["close"].iloc[-1]
    assert candle["high"] == day["high"].max()
    assert candle["low"] == day["low"].min()


def test_no_candle_is_drawn_in_a_gap(past):
    gapped = hidden(past, SOURCES_OF["price"], 60, 40)
    candlesticks = PANES["price"](make_view(gapped)).traces[0]
    assert len(candlesticks["x"]) == 24 * 7 + 1 - 20
    assert not np.isnan(candlesticks["close"]).any()


def test_a_candle_with_an_hour_missing_inside_is_no_candle():
    bars = make_frame(1, hours=24 * 3).loc[SYMBOL]
    window = Window(bars.index[0], bars.index[-1], pd.Timedelta("4h"))
    gathered = candles(bars.drop(bars.index[10]), window)
    assert gathered["close"].isna().sum() == 1
    assert not gathered["forming"].any()


def test_only_the_newest_candle_may_still_be_forming():
    bars = make_frame(1, hours=24 * 3 + 2).loc[SYMBOL]
    window = Window(bars.index[0], bars.index[-1], pd.Timedelta("4h"))
    gathered = candles(bars, window)
    assert gathered["forming"].tolist() == [False] * 18 + [True]
    assert gathered["close"].iloc[-1] == bars["close"].iloc[-1]


def test_sums_over_longer_bars_lose_nothing():
    bars = make_frame(1, hours=24 * 3).loc[SYMBOL]
    window = Window(bars.index[0], bars.index[-1], pd.Timedelta("4h"))
    column = "long_liquidations_usd"
    assert totals(bars, [column], window)[column].sum() == pytest.approx(bars[column].sum())


def test_a_window_around_an_open_signal_shows_what_followed_and_not_beyond_the_data():
    first, last = START, START + pd.Timedelta(days=30)
    opened = START + pd.Timedelta(days=10)
    window = Window.around(first, last, pd.Timedelta(days=6), opened)
    assert (opened - window.start, window.end - opened) == (
        pd.Timedelta(days=4),
        pd.Timedelta(days=2),
    )
    at_the_end = Window.around(first, last, pd.Timedelta(days=6), last - HOUR)
    assert at_the_end.end == last


def test_regular_rows_stand_on_every_step_of_the_window():
    bars = make_frame(1, hours=48).loc[SYMBOL].drop(START + 5 * HOUR)
    rows = regular(bars, Window.of(START, START + 10 * HOUR))
    assert len(rows) == 11
    assert gaps(rows["close"]) == [(START + 4 * HOUR, START + 6 * HOUR)]


def test_a_window_without_rows_is_a_pane_without_prices(past):
    later = Window.of(past.index[-1] + HOUR, past.index[-1] + 25 * HOUR)
    assert PANES["price"](make_view(past, window=later)).missing


# Past signals


def make_history(*said: tuple[float, str | None], score: float = 60.0) -> pd.DataFrame:
    """Hours with direction and verdict."""
    times = pd.date_range(START, periods=len(said), freq="1h")
    return pd.DataFrame(
        {
            "direction": [direction for direction, _ in said],
            "verdict": [verdict for _, verdict in said],
            "score": score,
        },
        index=times,
    )


QUIET = (0.0, "SKIP")
LONG = (1.0, "CONFIRM")
HALF = (1.0, "DOWNSIZE")
SHORT = (-1.0, "CONFIRM")


def runs_of(history: pd.DataFrame, days: float = 7) -> pd.DataFrame:
    end = history.index[-1]
    return signal_runs(history, Window.of(end - pd.Timedelta(days=days), end))


def test_in_a_day_every_signal_is_marked():
    assert len(runs_of(make_history(LONG, LONG, QUIET, LONG), days=1)) == 3


def test_in_a_week_the_first_of_each_run_is_marked_with_its_length():
    runs = runs_of(make_history(QUIET, LONG, LONG, HALF, QUIET, LONG, SHORT))
    assert [time.hour for time in runs.index] == [2, 4, 6, 7]
    assert runs["steps"].tolist() == [2, 1, 1, 1]


def test_a_gap_ends_a_run():
    history = make_history(LONG, LONG, LONG, LONG)
    assert len(runs_of(history.drop(history.index[1]))) == 2


def test_no_signal_is_no_mark():
    history = make_history(QUIET, (np.nan, None))
    assert runs_of(history).empty
    assert runs_of(history, days=1).empty


def test_in_a_month_the_strongest_signal_of_each_candle_and_direction_is_marked():
    history = make_history(LONG, QUIET, LONG, SHORT)
    history["score"] = [60.0, 50.0, 70.0, 40.0]
    end = START + 3 * HOUR
    runs = signal_runs(history, Window(end - pd.Timedelta(days=30), end, pd.Timedelta("4h")))
    assert runs["score"].tolist() == [70.0, 40.0]


@pytest.mark.parametrize(
    ("verdict", "symbol"),
    [
        ("CONFIRM", "circle"),
        ("DOWNSIZE", "circle-open"),
        ("WAIT", "circle-open"),
        ("SKIP", "circle-x-open"),
    ],
)
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_mark_shows_the_verdict_by_its_shape_and_the_direction_by_place_triangle_and_colour(
    past, verdict, symbol, direction
):
    history = past[["score"]].tail(24).assign(direction=0.0, verdict="SKIP")
    history.loc[history.index[12], ["direction", "verdict"]] = [direction, verdict]
    view = make_view(past, days=1, history=history)
    figure = market_figure(view, ["price"])
    mark, triangle = trace(figure, verdict), trace(figure, "direction")
    bar = past.loc[history.index[12]]
    assert mark.marker.symbol == symbol
    assert list(mark.marker.color) == [LIGHT.of(direction)]
    assert triangle.marker.symbol == ("triangle-up" if direction > 0 else "triangle-down",)
    assert mark.y[0] < bar["low"] if direction > 0 else mark.y[0] > bar["high"]
    assert mark.customdata[0][0] == history.index[12].isoformat()
    halves = [shape for shape in figure.layout.shapes if shape.type == "path"]
    assert len(halves) == (verdict == "DOWNSIZE")


def test_a_mark_in_a_gap_stands_by_the_candle_before_it(past):
    marks = make_history(LONG)
    bars = past[["low", "high"]].head(3).assign(low=[90.0, np.nan, 80.0], high=100.0)
    marks.index = bars.index[1:2]
    assert mark_places(marks, bars, 1.0).tolist() == [89.0]


def test_an_open_signal_is_marked_through_all_panes_and_what_followed_is_veiled(past):
    opened = past.index[-24]
    figure = market_figure(make_view(past, opened=opened))
    lines = [s for s in figure.layout.shapes if s.type == "line" and s.x0 == UTC_AXIS.at(opened)]
    veils = [s for s in figure.layout.shapes if s.type == "rect"]
    assert len(lines) == len(veils) == len(PANES)
    assert "what followed" in words(figure)


def test_the_levels_of_the_plan_are_drawn_and_named(past):
    price = past["close"].iloc[-1]
    levels = Levels(price, 0.99 * price, 1.02 * price, past.index[-1], past.index[-1] + 24 * HOUR)
    text = words(market_figure(make_view(past, levels=levels), ["price"]))
    assert "stop" in text
    assert "target" in text


def test_levels_too_far_away_do_not_squash_the_candles(past):
    price = past["close"].iloc[-1]
    levels = Levels(price, 0.01 * price, 100 * price, past.index[-1], past.index[-1] + 24 * HOUR)
    with_plan = PANES["price"](make_view(past, levels=levels))
    assert with_plan.high < 2 * past["high"].max()


def test_levels_of_a_row_are_its_plan_or_what_would_have_been():
    planned = decide(make_frame(2, hours=24 * 20), PROFILE)
    traded = planned[planned["entry_price"].notna()].iloc[0]
    skipped = planned[planned["counterfactual_entry_price"].notna()].iloc[0]
    quiet = planned[planned["direction"] == 0].iloc[0]
    assert levels_of(traded).stop == traded["stop_price"]
    assert levels_of(skipped).stop == skipped["counterfactual_stop_price"]
    assert levels_of(quiet) is None


# The track record


@pytest.fixture(scope="module")
def outcomes() -> pd.DataFrame:
    return run(make_frame(3, hours=24 * 60), PROFILE).outcomes


@pytest.fixture(scope="module")
def sums(outcomes) -> pd.DataFrame:
    return tally(outcomes, KEYS)


@pytest.fixture(scope="module")
def record(sums) -> Record:
    return record_of(sums, sums)


def test_rates_stand_in_two_blocks_that_never_mix(record):
    figure = rates_figure(record.trades, record.shadows, LIGHT)
    heads = [note for note in figure.layout.annotations if note.text.startswith("<b>")]
    assert [note.text for note in heads] == [
        "<b>Trades</b>",
        "<b>Not traded: what would have been</b>",
    ]
    border = heads[1].y
    for name, y in zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True):
        assert (y < border) == name.startswith(("CONFIRM", "DOWNSIZE"))


def test_every_rate_has_its_count_and_its_baselines_beside_it(record):
    figure = rates_figure(record.trades, record.shadows, LIGHT)
    counts = [note.text for note in figure.layout.annotations if note.text.startswith("n ")]
    assert len(counts) == len(record.trades) + len(record.shadows)
    np.testing.assert_array_equal(
        trace(figure, "raw signal").x, [*record.trades["baseline"], *record.shadows["baseline"]]
    )
    for name in ("always long", "coin toss"):
        assert len(trace(figure, name).x) == len(counts)
    assert "%" in figure.layout.xaxis.title.text


def test_intervals_are_bands_from_low_to_high(record):
    trades = record.trades
    ends = [
        value
        for value in trace(rates_figure(trades, trades.iloc[:0], LIGHT), "95 % interval").x
        if value
    ]
    judged = trades.dropna(subset=["low"])
    assert ends == [end for row in judged.itertuples() for end in (row.low, row.high)]


def test_a_rate_without_an_interval_is_a_hollow_dot_and_one_of_too_few_is_none(record):
    bare = record.trades.iloc[:2].assign(
        low=np.nan, high=np.nan, n_eff=np.nan, n=[40, 3], note="too few"
    )
    figure = rates_figure(bare, bare.iloc[:0], LIGHT)
    dots = [trace for trace in figure.data if trace.hovertemplate and "won" in trace.hovertemplate]
    assert [dot.marker.symbol for dot in dots] == ["circle-open"]
    assert not [value for value in trace(figure, "95 % interval").x if value]
    assert "too few" in words(figure)


def test_curves_start_at_nothing_and_end_at_the_sum_of_r_and_trades_are_above_the_rest(
    sums, outcomes
):
    figure = curves_figure(
        curves(sums, traded=True), curves(sums, traded=False), ["1h", "4h", "24h"], LIGHT
    )
    for drawn in figure.data:
        assert drawn.y[0] == 0
    confirmed = outcomes[outcomes["traded"] & (outcomes["verdict"] == "CONFIRM")]
    total = confirmed.xs("1h", level="horizon")["r_multiple"].sum()
    first = next(drawn for drawn in figure.data if drawn.name == "CONFIRM")
    assert first.y[-1] == pytest.approx(total)
    axes = {trace.yaxis for trace in figure.data if trace.name in ("WAIT", "SKIP")}
    traded = {trace.yaxis for trace in figure.data if trace.name == "CONFIRM"}
    assert not axes & traded
    assert figure.layout.yaxis.domain[0] > figure.layout.yaxis4.domain[1]


def test_what_a_day_made_is_drawn_at_its_end(sums):
    curve = curves(sums, traded=True)["CONFIRM", "4h"]
    drawn = trace(curves_figure({("CONFIRM", "4h"): curve}, {}, ["4h"], LIGHT), "CONFIRM")
    assert drawn.x[0] == UTC_AXIS.at(curve.index[0])
    assert drawn.x[1] == UTC_AXIS.at(curve.index[0] + pd.Timedelta("23h59min"))


def test_curves_are_told_apart_by_their_dashes_and_labelled_directly(sums):
    figure = curves_figure(curves(sums, traded=True), {}, ["4h"], LIGHT)
    assert {trace.name: trace.line.dash for trace in figure.data} == {
        "CONFIRM": "solid",
        "DOWNSIZE": "dash",
    }
    assert {trace.line.shape for trace in figure.data} == {"hv"}
    assert not figure.layout.showlegend
    assert "CONFIRM" in words(figure)


def test_a_cell_whose_r_was_never_known_has_no_curve(sums):
    blind = sums.assign(n_r=0, sum_r=0.0)
    assert curves(sums, traded=False)
    assert curves(blind, traded=False) == {}
    part = sums.index.get_level_values("verdict") == "WAIT"
    mixed = pd.concat([sums[~part], blind[part]])
    assert {name for name, _ in curves(mixed, traded=False)} == {"SKIP"}


@pytest.mark.parametrize("compact", [False, True])
def test_a_refused_plan_has_one_name_in_every_chart(sums, record, compact):
    refused = record.trades.iloc[:2]
    named = ["CONFIRM, no plan 1 h", "DOWNSIZE, no plan 1 h"]
    rates = rates_figure(record.trades.iloc[:0], refused, LIGHT, compact=compact)
    assert [text.replace("<br>", " ") for text in rates.layout.yaxis.ticktext] == named
    lines = curves_figure({}, curves(sums, traded=True), ["1h"], LIGHT, compact=compact)
    assert "CONFIRM, no plan" in words(lines).replace("<br>", " ")


def test_a_phone_says_too_how_many_independent_outcomes_a_rate_is_like(record):
    figure = rates_figure(record.trades, record.shadows, LIGHT, compact=True)
    judged = pd.concat([record.trades, record.shadows]).dropna(subset=["n_eff"])
    assert words(figure).count("like ") == len(judged) > 0


@pytest.mark.parametrize("compact", [False, True])
def test_figures_of_the_track_record_describe_themselves(sums, record, compact):
    rates = rates_figure(record.trades, record.shadows, DARK, compact=compact)
    lines = curves_figure(curves(sums, traded=True), {}, ["1h"], DARK, compact=compact)
    for figure in (rates, lines):
        assert "CONFIRM" in figure.layout.meta["alt"]
        assert figure.layout.dragmode in (False, "zoom")


def test_curves_of_nothing_are_an_empty_figure():
    assert not curves_figure({}, {}, ["1h"], LIGHT).data


def test_a_distribution_is_shares_from_zero_with_everything_beyond_hatched(sums):
    trades, shadows = spreads(sums, traded=True), spreads(sums, traded=False)
    figure = spread_figure(trades, shadows, ["1h", "4h", "24h"], LIGHT)
    assert len(figure.data) == 6
    for bars in figure.data:
        assert sum(bars.y) == pytest.approx(1)
        assert list(bars.marker.pattern.shape) == ["/", *[""] * (len(bars.x) - 2), "/"]
    assert figure.layout.yaxis.range[0] == 0
    fills = {bars.name: bars.marker.color for bars in figure.data}
    assert fills["trades"] != fills["counterfactuals"] == LIGHT.ground
    assert f"n {trades['1h']['n'].sum():,}" in words(figure)
    assert "lost 1 R or more" in figure.layout.meta["alt"]


def test_a_distribution_of_nothing_has_no_bars(sums):
    assert not spread_figure({}, {}, ["1h"], LIGHT).data


def make_bins(**changes: list[float]) -> pd.DataFrame:
    """Three bins with outcomes, the others empty."""
    bins = pd.DataFrame(
        {
            "n": [400, 60, 5],
            "claimed": [0.52, 0.57, 0.62],
            "win_rate": [0.48, 0.5, 0.6],
            "low": [0.44, np.nan, np.nan],
            "high": [0.52, np.nan, np.nan],
            "note": [None, "not enough time yet", "too few"],
        },
        index=[50, 55, 60],
    ).assign(**changes)
    return bins.reindex(range(50, 100, 5)).assign(n=lambda table: table["n"].fillna(0))


def test_empty_bins_have_no_mark_no_band_and_no_count():
    figure = reliability_figure({"4h": make_bins()}, LIGHT)
    assert list(trace(figure, "n").text) == ["400", "60", "5"]
    assert [x for x in trace(figure, "95 % interval").x if x is not None] == [0.52, 0.52]
    assert list(trace(figure, "won").x) == [0.52, 0.57]
    assert list(trace(figure, "won").marker.symbol) == ["circle", "circle-open"]


def test_reliability_without_outcomes_shows_only_what_would_be_right():
    figure = reliability_figure({"1h": make_bins(n=[0, 0, 0])}, LIGHT)
    assert [drawn.name for drawn in figure.data] == ["as claimed"]
    assert "1 h: no outcomes" in figure.layout.meta["alt"]


def make_information(**changes: object) -> pd.DataFrame:
    rows = [
        {"factor": name, "horizon": horizon, "ic": 0.02, "low": -0.01, "high": 0.05, "n": 900}
        for name in ("liquidations", "fear_greed")
        for horizon in ("1h", "4h")
    ]
    return pd.DataFrame(rows).assign(note=None, **changes)


def test_information_has_a_band_only_where_there_is_an_interval():
    figure = information_figure(make_information(), ["4h"], LIGHT)
    assert [x for x in trace(figure, "95 % interval").x if x is not None] == [-0.01, 0.05] * 2
    bare = make_information(low=np.nan, high=np.nan).assign(note="not enough time yet")
    figure = information_figure(bare, ["1h"], LIGHT)
    assert not trace(figure, "95 % interval").x
    assert set(trace(figure, "information coefficient").marker.symbol) == {"circle-open"}
    assert "not enough time yet" in figure.layout.meta["alt"]


def test_information_lies_around_zero():
    low, high = information_figure(make_information(), ["1h"], LIGHT).layout.xaxis.range
    assert low == -high < -0.05


@pytest.mark.parametrize("compact", [False, True])
def test_correlations_never_known_together_are_empty(compact):
    names = ["liquidations", "fear_greed", "smart_money"]
    matrix = pd.DataFrame(np.nan, index=names, columns=names)
    matrix.loc["liquidations", "smart_money"] = matrix.loc["smart_money", "liquidations"] = -0.2
    matrix.attrs["n"] = {one: dict.fromkeys(names, 40) for one in names}
    figure = correlation_figure(matrix, LIGHT, compact=compact)
    texts = np.array(figure.data[0].text)
    assert (texts != "").sum() == 2
    assert set(texts[texts != ""]) == {"−.20" if compact else "−0.20"}
    assert "−0.20" in figure.layout.meta["alt"]
