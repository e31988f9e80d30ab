"""When a rule would have fired: on the price of one market, on all markets, by hour of the day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.alerts.history import RuleHistory
from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.times import TimeAxis
from core.ui.formats import count, number, percent, price
from core.ui.palette import Palette, template

_LANE_PX, _MOST_LANES = 18, 40
_DATES: dict[str, Any] = {"type": "date", "tickangle": 0, "nticks": 6, "fixedrange": True}


def price_figure(
    symbol: str, closes: pd.Series, history: RuleHistory, times: TimeAxis, colours: Palette
) -> Figure:
    """Closes of a market by time, a mark where the rule fired and a band for as long as it did."""
    closes = closes.dropna()
    fired = history.firings[history.firings["symbol"] == symbol]
    at = pd.DatetimeIndex(fired["fired_at"])
    places = closes.reindex(at, method="ffill").to_numpy()
    ends = pd.DatetimeIndex(fired["ended_at"].fillna(pd.Timestamp(history.end)))
    bands = [
        {
            "type": "rect", "xref": "x", "yref": "paper", "x0": x0, "x1": x1, "y0": 0, "y1": 1,
            "fillcolor": colours.neutral, "opacity": 0.22, "line": {"width": 0}, "layer": "below",
        }
        for x0, x1 in zip(times.of(at), times.of(ends), strict=True)
    ]  # fmt: skip
    shown = _with_gaps(closes)
    last = price(closes.iloc[-1]) if len(closes) else "unknown"
    alt = f"Closes of {symbol}, the last {last}, with {count(len(fired), 'firing')} marked."
    return make_figure(
        [
            {
                "type": "scatter", "mode": "lines", "x": times.of(shown.index), "y": shown.to_numpy(),
                "line": {"color": colours.ink, "width": 1.3}, "name": "close",
                "hovertemplate": "%{y:,.6~g}<extra></extra>",
            },
            {
                "type": "scatter", "mode": "markers", "x": times.of(at), "y": places,
                "marker": {
                    "symbol": "triangle-down", "size": 10, "color": colours.ground,
                    "line": {"color": colours.ink, "width": 1.6},
                },
                "name": "fired", "hovertemplate": "fired at %{y:,.6~g}<extra></extra>",
            },
        ],
        _layout(colours, 260)
        | {
            "xaxis": _DATES | {"title": {"text": times.label}},
            "yaxis": {"title": {"text": "quote currency"}, "fixedrange": True, "tickformat": "~g"},
            "shapes": bands,
            "hovermode": "x unified",
        },
        alt=alt,
    )  # fmt: skip


def lanes_figure(history: RuleHistory, times: TimeAxis, colours: Palette) -> Figure:
    """A lane for each market that fired, most firings first; a bar is as long as it fired."""
    totals = history.by_symbol.head(_MOST_LANES)
    fired = history.firings[history.firings["symbol"].isin(totals.index)]
    begun = times.of(pd.DatetimeIndex(fired["fired_at"]))
    ended = times.of(pd.DatetimeIndex(fired["ended_at"].fillna(pd.Timestamp(history.end))))
    # A firing of one bar is still to be seen.
    span = times.at(pd.Timestamp(history.end)) - times.at(pd.Timestamp(history.start))
    widths = np.maximum(ended - begun, span / 400)
    names = [f"{symbol}  {total}" for symbol, total in totals.items()]
    named = dict(zip(totals.index, names, strict=True))
    said = ", ".join(f"{symbol} {total}" for symbol, total in totals.head(5).items())
    alt = f"Firings of {count(len(history.by_symbol), 'market')} over time; most: {said}."
    return make_figure(
        [{
            "type": "bar", "orientation": "h", "y": [named[one] for one in fired["symbol"]],
            "x": widths, "base": begun, "marker": {"color": colours.ink, "line": {"width": 0}},
            "width": 0.55,
            "customdata": [_lasted(minutes) for minutes in fired["minutes"]],
            "hovertemplate": "%{base|%-d %b %H:%M}, %{customdata}<extra>%{y}</extra>",
        }],
        _layout(colours, 60 + _LANE_PX * max(len(names), 3))
        | {
            "xaxis": _DATES
            | {
                "range": [
                    times.at(pd.Timestamp(history.start)),
                    times.at(pd.Timestamp(history.end)),
                ],
                "title": {"text": times.label},
            },
            "yaxis": {
                "categoryorder": "array", "categoryarray": names[::-1], "fixedrange": True,
                "tickfont": {"size": 11}, "showgrid": False,
            },
            "barmode": "overlay",
            "bargap": 0.3,
        },
        alt=alt,
    )  # fmt: skip


def days_figure(history: RuleHistory, colours: Palette) -> Figure:
    """Firings of all markets together on each UTC day."""
    first, last = (pd.Timestamp(end).floor("D") for end in (history.start, history.end))
    days = pd.date_range(first, last, freq="D")
    counts = history.firings["fired_at"].dt.floor("D").value_counts().reindex(days, fill_value=0)
    busiest = counts.idxmax()
    alt = (
        f"Firings by day: most, {counts.max()}, on {busiest:%-d %b %Y}; "
        f"none on {count(int((counts == 0).sum()), 'day')} of {len(counts)}."
    )
    return make_figure(
        [{
            "type": "bar", "x": [f"{day:%Y-%m-%d}" for day in days], "y": counts.to_numpy(),
            "marker": {"color": colours.muted, "line": {"width": 0}},
            "hovertemplate": "%{x|%-d %b %Y}: %{y}<extra></extra>",
        }],
        _layout(colours, 170)
        | {
            "xaxis": _DATES | {"title": {"text": "Day, UTC"}},
            "yaxis": _whole(int(counts.max())) | {"title": {"text": "firings"}},
            "bargap": 0.15,
        },
        alt=alt,
    )  # fmt: skip


def hours_figure(history: RuleHistory, colours: Palette) -> Figure:
    """Share of the firings by the UTC hour in which they began."""
    share = history.by_hour
    best = history.best_hours
    outstanding = best is not None and best.stands_out
    inside = {(best.first_hour + hour) % 24 for hour in range(3)} if best and outstanding else set()
    hour = int(share.to_numpy().argmax())
    alt = f"Firings by hour: most, {percent(share.iloc[hour], 0)}, from {hour} to {hour + 1} UTC."
    return make_figure(
        [{
            "type": "bar", "x": list(range(24)), "y": 100 * share.to_numpy(),
            "marker": {
                "color": [colours.ink if hour in inside else colours.muted for hour in range(24)],
                "line": {"width": 0},
            },
            "hovertemplate": "%{x}:00 to %{x}:59 UTC: %{y:.0f} %<extra></extra>",
        }],
        _layout(colours, 170)
        | {
            "xaxis": {
                "tickvals": list(range(0, 24, 3)), "fixedrange": True, "range": [-0.6, 23.6],
                "title": {"text": "Hour of the day, UTC"},
            },
            "yaxis": {"rangemode": "tozero", "fixedrange": True, "title": {"text": "% of firings"},
                      "nticks": 4},
            "bargap": 0.15,
        },
        alt=alt,
    )  # fmt: skip


def _layout(colours: Palette, height: int) -> dict[str, Any]:
    return {
        "template": template(colours.mode),
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "showlegend": False,
        "dragmode": False,
        "uirevision": "rule",
    }


def _whole(most: int) -> dict[str, Any]:
    """An axis of counts: whole numbers from 0."""
    return {"rangemode": "tozero", "fixedrange": True, "dtick": max(1, round(most / 4))}


def _with_gaps(closes: pd.Series) -> pd.Series:
    """With an unknown value in each gap, so that the line breaks there."""
    if len(closes) < 2:
        return closes
    step = closes.index.to_series().diff().min()
    every = pd.date_range(closes.index[0], closes.index[-1], freq=step)
    return closes.reindex(every)


def _lasted(minutes: float) -> str:
    return "still firing at the end" if np.isnan(minutes) else f"for {number(minutes / 60, 1)} h"
