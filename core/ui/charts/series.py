"""The panes under the price: score, liquidations, open interest, funding, and who is long."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.ui.charts.stack import Label, Pane, axis_ticks
from core.ui.charts.steps import gaps, regular, step_name, totals
from core.ui.charts.view import View, columns, last, level, line, nothing, room
from core.ui.formats import compact, number, percent

_LONGS, _SHORTS = "long_liquidations_usd", "short_liquidations_usd"
# A single hour beyond a threshold has no line; its point shows it.
_POINTS = {"mode": "lines+markers", "marker": {"size": 3}}
_CROWD: Mapping[str, tuple[str, str]] = {
    "long_account_share": ("accounts", "solid"),
    "top_long_share": ("top", "dash"),
}


def draw_score(view: View) -> Pane:
    """The score with its thresholds; the parts beyond them are drawn in their direction's colour."""
    score = regular(view.history["score"].to_frame(), view.window)["score"]
    if score.isna().all():
        return nothing("Score", "no score in this window: not enough data")
    colours, uppers = view.colours, _uppers(view, score)
    upper = float(uppers.iloc[-1])
    lower = 100 - upper
    reach = max(12.0, float(uppers.max()) - 46, float((score - 50).abs().max()) + 2)
    traces = [line(score, view, "score %{y:.1f}", colours.muted, name="score")]
    shapes = [level(50, colours.line)]
    if uppers.nunique() == 1:
        shapes = [
            level(upper, colours.long, dash="dot"),
            level(lower, colours.short, dash="dot"),
            *shapes,
        ]
    else:
        # Another version came in force in between: each bar has the thresholds that decided it.
        traces += [
            line(values, view, None, colour, name=name, width=1, dash="dot", shape="hv")
            for values, colour, name in (
                (uppers, colours.long, "long from"),
                (100 - uppers, colours.short, "short to"),
            )
        ]
    for beyond, colour, name in (
        (score >= uppers, colours.long, "long"),
        (score <= 100 - uppers, colours.short, "short"),
    ):
        if beyond.any():
            part = score.where(beyond)
            traces.append(line(part, view, None, colour, name=name, width=2.6) | _POINTS)
    return Pane(
        title="Score",
        look="Look for crossings of the dotted thresholds: beyond them there is a direction",
        height=120,
        says=f"Score between {number(score.min(), 1)} and {number(score.max(), 1)}, "
        f"last {number(last(score), 1)}; long from {number(upper)}, short to {number(lower)}.",
        unit="0 to 100",
        low=50 - reach,
        high=50 + reach,
        ticks={tick: number(tick) for tick in axis_ticks(50 - reach, 50 + reach)},
        traces=traces,
        shapes=shapes,
        labels=[
            Label(last(score), number(last(score), 1), colours.ink),
            Label(upper, f"long from {number(upper)}", colours.long_ink),
            Label(lower, f"short to {number(lower)}", colours.short_ink),
        ],
        gaps=gaps(score),
    )


def _uppers(view: View, score: pd.Series) -> pd.Series:
    """The score from which each bar was LONG; SHORT is its mirror."""
    if view.thresholds is None:
        return pd.Series(view.long_threshold, index=score.index)
    found = regular(view.thresholds.to_frame("upper"), view.window)["upper"].reindex(score.index)
    return found.ffill().bfill().fillna(view.long_threshold)


def draw_liquidations(view: View) -> Pane:
    """What was liquidated per bar: longs above zero, shorts below, never netted."""
    sums = totals(view.steps, [_LONGS, _SHORTS], view.window)
    longs, shorts, colours = sums[_LONGS], sums[_SHORTS], view.colours
    if longs.isna().all() and shorts.isna().all():
        return nothing("Liquidations", "no liquidations reported for this market")
    reach = 1.08 * max(float(longs.max()), float(shorts.max()), 1.0)
    bar = step_name(view.window.bar)
    said_longs = [f"longs liquidated: {compact(value)} USD" for value in longs.tolist()]
    said_shorts = [f"shorts liquidated: {compact(value)} USD" for value in shorts.tolist()]
    return Pane(
        title="Liquidations, a lower bound",
        look="Look for one side far above its usual size; 4 h totals are drawn as equal hours",
        height=120,
        says=f"Liquidations: longs at most {compact(longs.max())} USD and shorts at most "
        f"{compact(shorts.max())} USD in {bar}, a lower bound.",
        unit=f"USD per {bar}",
        low=-reach,
        high=reach,
        ticks={tick: compact(abs(tick)) for tick in axis_ticks(-reach, reach)},
        traces=[
            columns(longs, view, said_longs, colours.long, name="longs"),
            columns(-shorts, view, said_shorts, colours.short, name="shorts"),
        ],
        shapes=[level(0, colours.neutral)],
        labels=[
            Label(reach * 0.6, "▲ longs", colours.long_ink),
            Label(-reach * 0.6, "▼ shorts", colours.short_ink),
        ],
        gaps=gaps(longs + shorts),
    )


def draw_open_interest(view: View) -> Pane:
    """Open contracts in base units; in USD, which rises with the price, where only that is known."""
    in_base = bool(view.column("open_interest").notna().any())
    values = view.column("open_interest" if in_base else "open_interest_usd")
    if values.isna().all():
        return nothing("Open interest", "no open interest known for this market")
    unit = "base units" if in_base else "USD"
    look = "Look for growth with the price (new money), or a fall (positions closed)"
    low, high = room(values)
    words = [f"open interest {compact(value)} {unit}" for value in values.tolist()]
    return Pane(
        title="Open interest",
        look=look
        if in_base
        else "Look for a fall (positions closed); in USD it moves with the price too",
        height=100,
        says=f"Open interest last {compact(last(values))} {unit}, between "
        f"{compact(values.min())} and {compact(values.max())}.",
        unit=unit,
        low=low,
        high=high,
        ticks={tick: compact(tick) for tick in axis_ticks(low, high, 3)},
        traces=[line(values, view, words, view.colours.ink, name="open interest", shape="hv")],
        labels=[Label(last(values), compact(last(values)), view.colours.ink)],
        gaps=gaps(values),
    )


def draw_funding(view: View) -> Pane:
    """The funding rate in percent per 8 hours, as settled, held until the next."""
    rate = view.column("funding_rate_8h")
    if rate.isna().all():
        return nothing("Funding", "no funding known for this market")
    low, high = room(rate, around=0.0)
    now, said = percent(last(rate), 4, sign=True), "funding %{y:+.4%} per 8 h"
    return Pane(
        title="Funding",
        look="Above zero longs pay shorts; at an extreme the paying side is crowded",
        height=90,
        says=f"Funding last {now} per 8 h, between {percent(rate.min(), 4, sign=True)} and "
        f"{percent(rate.max(), 4, sign=True)}.",
        unit="% per 8 h",
        low=low,
        high=high,
        ticks={tick: number(100 * tick, 3, sign=True) for tick in axis_ticks(low, high, 3)},
        traces=[line(rate, view, said, view.colours.ink, name="funding", shape="hv")],
        shapes=[level(0, view.colours.neutral)],
        labels=[Label(last(rate), now, view.colours.ink)],
        gaps=gaps(rate),
    )


def draw_crowd(view: View) -> Pane:
    """The share of all accounts and of the top traders' accounts that are long."""
    rows = {name: view.column(name) for name in _CROWD}
    known = [name for name in _CROWD if rows[name].notna().any()]
    if not known:
        return nothing("Accounts that are long", "no long/short share known for this market")
    shares = np.stack([rows[name].to_numpy(dtype=np.float64) for name in known])
    low, high = room(shares.ravel(), around=0.5)
    ink = dict(zip(_CROWD, (view.colours.ink, view.colours.muted), strict=True))
    traces, labels, said = [], [], []
    for name in known:
        title, dash = _CROWD[name]
        values, now = rows[name], percent(last(rows[name]))
        template = f"{title} %{{y:.1%}} long"
        traces.append(line(values, view, template, ink[name], name=title, dash=dash, shape="hv"))
        labels.append(Label(last(values), f"{title} {now}", ink[name]))
        said.append(f"{title} {now}")
    return Pane(
        title="Accounts that are long: all, and the top traders'",
        look="Accounts, not money: look for a lopsided crowd, and top traders who differ",
        height=110,
        says=f"Long are: {', '.join(said)}.",
        unit="% long",
        low=low,
        high=high,
        ticks={tick: number(100 * tick) for tick in axis_ticks(low, high, 3)},
        traces=traces,
        shapes=[level(0.5, view.colours.neutral)],
        labels=labels,
        # Where none of them is known.
        gaps=gaps(pd.Series(np.fmax.reduce(shares), index=rows[known[0]].index)),
    )
