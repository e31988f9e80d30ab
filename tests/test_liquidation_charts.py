"""Charts of liquidations: what they draw is what was reported, and what was not heard is hatched."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from core.ui.charts import TimeAxis
from core.ui.charts.heat_map import Map, shades_of
from core.ui.charts.liquidations import CUMULATIVE, OVER_TIME, Flow
from core.ui.formats import UTC_CLOCK, Clock
from core.ui.palette import DARK, LIGHT, Palette
from tests.plotted import flow_figure, heat_figure, ranking_figure

NOON = pd.Timestamp("2026-01-01T12:00Z")
MINUTE = pd.Timedelta("1min")
AXIS = TimeAxis(UTC_CLOCK)


def make_flow(longs: list[float], shorts: list[float], **changes: Any) -> Flow:
    slots = pd.date_range(NOON, periods=len(longs), freq=MINUTE)
    sums = pd.DataFrame({"long_usd": longs, "short_usd": shorts}, index=slots, dtype=float)
    end = NOON + len(longs) * MINUTE
    made = {"gaps": {"Binance": [], "OKX": []}, "times": AXIS, "colours": LIGHT, "now": end}
    return Flow(sums=sums, start=NOON, end=end, step=MINUTE, **{**made, **changes})


def make_map(events: list[tuple[float, str, float, float]], **changes: Any) -> Map:
    """Events as minute after noon, side, price and USD."""
    table = pd.DataFrame(events, columns=["at", "liquidated_side", "price", "usd"])
    table["occurred_at"] = NOON + pd.to_timedelta(table.pop("at"), unit="min")
    nothing = pd.Series([], index=pd.DatetimeIndex([], tz="UTC"), dtype=float)
    made: dict[str, Any] = {
        "closes": nothing,
        "start": NOON,
        "end": NOON + 10 * MINUTE,
        "gaps": [],
        "times": AXIS,
        "colours": LIGHT,
    }
    return Map(symbol="BTCUSDT", events=table, step=MINUTE, **{**made, **changes})


def traces(figure: go.Figure, name: str, kind: str = "bar") -> list[Any]:
    return [trace for trace in figure.data if (trace.name, trace.type) == (name, kind)]


def test_longs_stand_above_zero_and_shorts_below_and_neither_is_netted():
    figure = flow_figure(make_flow([5, 0, 7], [9, 2, 0]), [OVER_TIME])
    assert traces(figure, "longs")[0].y.tolist() == [5, 0, 7]
    assert traces(figure, "shorts")[0].y.tolist() == [-9, -2, 0]
    low, high = figure.layout.yaxis.range
    assert -low == high > 9


def test_a_bar_lies_inside_its_own_minute():
    (bars,) = traces(flow_figure(make_flow([1, 2], [1, 2]), [OVER_TIME]), "longs")
    assert bars.x.tolist() == [AXIS.at(NOON), AXIS.at(NOON + MINUTE)]
    assert 0 < bars.offset < bars.offset + bars.width < 60_000


def test_what_adds_up_starts_at_zero_and_ends_with_the_window_s_totals():
    figure = flow_figure(make_flow([5, 0, 7], [9, 2, 0]), [CUMULATIVE])
    assert traces(figure, "longs", "scatter")[0].y.tolist() == [0, 5, 5, 12]
    assert traces(figure, "shorts", "scatter")[0].y.tolist() == [0, -9, -11, -11]
    assert "longs 12 USD" in figure.layout.meta["alt"]


def test_minutes_that_are_still_to_come_add_nothing_to_the_line():
    figure = flow_figure(make_flow([5, 0, 0], [1, 0, 0], now=NOON + 1.5 * MINUTE), [CUMULATIVE])
    assert traces(figure, "longs", "scatter")[0].x.tolist()[-1] == AXIS.at(NOON + 1.5 * MINUTE)


def test_a_gap_of_one_stream_is_hatched_over_the_sums_and_in_its_own_lane():
    gap = (NOON + MINUTE, NOON + 2 * MINUTE)
    figure = flow_figure(make_flow([1, 0, 1], [1, 0, 1], gaps={"Binance": [], "OKX": [gap]}))
    hatched = [trace for trace in figure.data if trace.name == "missing"]
    assert [trace.yaxis for trace in hatched] == ["y", "y2", "y3"]
    for trace in hatched:
        assert trace.fillpattern.shape == "/"
        assert [trace.x[0], trace.x[1]] == [AXIS.at(time) for time in gap]
    whole, cut = traces(figure, "Binance", "scatter") + traces(figure, "OKX", "scatter")
    assert None not in whole.x
    assert [x for x in cut.x if x is not None] == [
        AXIS.at(NOON + at * MINUTE) for at in (0, 1, 2, 3)
    ]


def test_an_hour_that_bars_do_not_know_is_a_gap_and_no_zero():
    flow = make_flow([1, np.nan, 1], [1, np.nan, 1], gaps={})
    figure = flow_figure(flow)
    assert "yaxis3" not in figure.layout
    assert [trace.yaxis for trace in figure.data if trace.name == "missing"] == ["y", "y2"]
    assert np.isnan(traces(figure, "longs")[0].y[1])


def test_the_slot_is_said_on_the_axis_and_the_bound_in_the_title():
    figure = flow_figure(make_flow([1], [1]), [OVER_TIME], narrow=True)
    assert "USD per 1 min" in figure.layout.meta["title"]
    assert "lower bounds" in figure.layout.meta["title"]


@pytest.mark.parametrize("narrow", [False, True])
def test_the_reader_s_zoom_stays_while_the_view_stays(narrow):
    for panes in ([OVER_TIME], None):
        figure = flow_figure(make_flow([1], [1]), panes, narrow=narrow, keep="1 h okx")
        assert figure.layout.uirevision == "1 h okx"
    assert heat_figure(make_map([]), keep="BTCUSDT").layout.uirevision == "BTCUSDT"


# Who adds up to what


def ranked(**usd: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(usd, index=["long_usd", "short_usd"]).T.astype(float)


def test_every_name_has_a_bar_to_each_side_from_zero():
    figure = ranking_figure(ranked(A=(5, 3), B=(1, 2)), LIGHT, what="symbol", rows=12)
    assert traces(figure, "longs")[0].x.tolist() == [5, 1]
    assert traces(figure, "shorts")[0].x.tolist() == [-3, -2]
    assert list(figure.layout.yaxis.ticktext) == ["A", "B"]
    assert "A: longs 5, shorts 3" in figure.layout.meta["alt"]


def test_what_finds_no_row_is_added_up_and_the_height_stays():
    many = ranked(**{f"S{n}": (10.0 - n, 1.0) for n in range(10)})
    figure = ranking_figure(many, LIGHT, what="symbol", rows=4)
    assert list(figure.layout.yaxis.ticktext) == ["S0", "S1", "S2", "7 others"]
    assert traces(figure, "longs")[0].x.sum() == many["long_usd"].sum()
    few = ranking_figure(many.head(1), LIGHT, what="symbol", rows=4)
    assert few.layout.height == figure.layout.height


# The map


def cells(figure: go.Figure, side: str) -> np.ndarray:
    (trace,) = traces(figure, side, "heatmap")
    return np.asarray(trace.z, dtype=float)


def test_the_map_holds_every_dollar_on_its_own_side():
    figure = heat_figure(make_map([(1, "long", 100, 1e4), (1, "short", 102, 1e5)]))
    for side, column, power in (("longs", 2, 4), ("shorts", 3, 5)):
        shades = cells(figure, side)
        assert shades[~np.isnan(shades)].tolist() == [power]
        assert np.argwhere(~np.isnan(shades))[0][1] == column
    assert np.argwhere(~np.isnan(cells(figure, "longs")))[0][0] == 1
    assert np.argwhere(~np.isnan(cells(figure, "shorts")))[0][0] == 28


def test_both_sides_have_one_scale():
    figure = heat_figure(make_map([(1, "long", 100, 1e4), (1, "short", 102, 3e6)]))
    one, other = (trace for trace in figure.data if trace.type == "heatmap")
    assert (one.zmin, one.zmax) == (other.zmin, other.zmax) == (3, 7)
    assert list(other.colorbar.ticktext) == [
        "1.0\u00a0k", "10.0\u00a0k", "100\u00a0k", "1.0\u00a0M", "10.0\u00a0M"
    ]  # fmt: skip


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_a_stronger_shade_is_farther_from_the_ground(colours: Palette):
    def grey(colour: str) -> float:
        return float(np.dot(list(bytes.fromhex(colour[1:])), [0.299, 0.587, 0.114]))

    for hue in (colours.long, colours.short):
        away = [abs(grey(shade) - grey(colours.ground)) for _, shade in shades_of(hue, colours)]
        assert away == sorted(away)
        assert away[0] > 20


def test_the_map_hatches_gaps_and_shows_the_price_that_bars_know():
    closes = pd.Series([100.0, 101.0], index=[NOON, NOON + 8 * MINUTE])
    gap = (NOON, NOON + MINUTE)
    figure = heat_figure(make_map([(1, "long", 100, 1e4)], closes=closes, gaps=[gap]))
    assert [trace.name for trace in figure.data] == ["missing", "longs", "shorts", "price"]
    assert figure.data[-1].y.tolist() == [100, 101]


def test_a_map_without_an_event_says_so():
    figure = heat_figure(make_map([]))
    assert "no single liquidation" in figure.layout.meta["alt"]
    assert not [trace for trace in figure.data if trace.type == "heatmap"]


def test_times_are_in_the_reader_s_zone_and_every_figure_is_json():
    tokyo = TimeAxis(Clock.named("Asia/Tokyo"))
    for figure in (
        flow_figure(make_flow([1, np.nan], [1, np.nan], times=tokyo)),
        heat_figure(make_map([(1, "long", 100, 1e4)], times=tokyo)),
    ):
        assert figure.layout.xaxis.title.text == "Time in Asia/Tokyo"
        assert figure.layout.xaxis.range[0] == AXIS.at(NOON + pd.Timedelta("9h"))
        assert json.loads(figure.to_json(validate=False))["layout"]["meta"]["alt"]
