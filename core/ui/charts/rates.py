"""How often verdicts won: rates as dots in their intervals, with their baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.accuracy import ERAS
from core.accuracy.record import row_name
from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.stack import axis_ticks
from core.ui.claims import hours
from core.ui.formats import interval, known, number, percent
from core.ui.palette import Palette, template

TRADES, SHADOWS = "Trades", "Not traded: what would have been"
_ROW_PX, _HEAD_PX, _APART_PX = 30, 30, 10
_LEAST_SPAN = 0.2


def rates_figure(
    trades: pd.DataFrame, shadows: pd.DataFrame, colours: Palette, *, compact: bool = False
) -> Figure:
    """Win rates of the rows of two summaries, index (verdict, horizon), in two separate blocks.

    A dot is the rate in its 95 % interval, a bar across it the raw signal, a diamond always long, a
    cross a coin toss;
    n stands beside, and how many independent outcomes they are like. Under twenty outcomes nothing
    is drawn.
    """
    blocks = [(name, part) for name, part in ((TRADES, trades), (SHADOWS, shadows)) if len(part)]
    places, rows, heads = _places(blocks)
    height = (places[-1] if places else 0) + _ROW_PX / 2
    left, right = (110, 76) if compact else (164, 130)
    low, high = _span(rows)
    ticks = axis_ticks(low, high, 4 if compact else 8)
    data = [
        _bands(rows, places, colours),
        *_marks(rows, places, colours),
        *_dots(rows, places, colours),
    ]
    notes = [_head(name, y) | {"xshift": 4 - left} for y, name in heads]
    notes += [_count(row, y, colours, compact=compact) for row, y in zip(rows, places, strict=True)]
    return make_figure(
        data,
        {
            "template": template(colours.mode),
            "height": height + 50,
            "margin": {"l": left, "r": right, "t": 4, "b": 46},
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": False,
            "annotations": notes,
            "xaxis": {
                "range": [low, high],
                "tickvals": ticks,
                "ticktext": [number(100 * tick) for tick in ticks],
                "title": {"text": "share of outcomes that won after costs, %", "standoff": 6},
                "fixedrange": True,
                "showspikes": False,
            },
            "yaxis": {
                "range": [height, 0],
                "tickvals": places,
                "ticktext": [_broken(_name(row)) if compact else _name(row) for row in rows],
                "fixedrange": True,
                "showgrid": False,
                "automargin": False,
                "tickfont": {"color": colours.ink},
            },
        },
        alt=_rates_alt(rows),
    )


def _places(
    blocks: Sequence[tuple[str, pd.DataFrame]],
) -> tuple[list[float], list[dict[str, Any]], list[tuple[float, str]]]:
    """Depths of the rows and heads under the top, and the rows with their names in them."""
    depth = 0.0
    places, rows, heads = [], [], []
    for name, part in blocks:
        heads.append((depth + _HEAD_PX / 2, name))
        depth += _HEAD_PX
        before = None
        for record in part.reset_index().to_dict("records"):
            row = {str(key): value for key, value in record.items()} | {"block": name}
            depth += _APART_PX if before not in (None, row["horizon"]) else 0
            before = row["horizon"]
            places.append(depth + _ROW_PX / 2)
            rows.append(row)
            depth += _ROW_PX
    return places, rows, heads


def _is_drawn(row: Mapping[str, Any]) -> bool:
    """Whether there are enough outcomes for their share to say anything."""
    return bool(row["n"] >= 2 * ERAS)


def _span(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    names = ("win_rate", "low", "high", "baseline", "baseline_long", "baseline_coin")
    values = [
        row[name]
        for row in rows
        for name in (names if _is_drawn(row) else ("baseline",))
        if known(row[name])
    ]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    air = max(0.04, (_LEAST_SPAN - (high - low)) / 2)
    return max(low - air, -0.01), min(high + air, 1.01)


def _bands(
    rows: Sequence[Mapping[str, Any]], places: Sequence[float], colours: Palette
) -> dict[str, Any]:
    ends = [
        (row["low"], row["high"], y)
        for row, y in zip(rows, places, strict=True)
        if known(row["low"])
    ]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [value for low, high, _ in ends for value in (low, high, None)],
        "y": [value for _, _, y in ends for value in (y, y, None)],
        "line": {"color": colours.line, "width": 12},
        "hoverinfo": "skip",
        "name": "95 % interval",
    }


def _marks(
    rows: Sequence[Mapping[str, Any]], places: Sequence[float], colours: Palette
) -> list[dict[str, Any]]:
    def mark(column: str, symbol: str, size: int, name: str) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "markers",
            "x": [row[column] if column == "baseline" or _is_drawn(row) else None for row in rows],
            "y": list(places),
            "marker": {
                "symbol": symbol,
                "size": size,
                "color": colours.muted,
                "line": {"width": 2 if symbol.startswith("line") else 1.4, "color": colours.muted},
            },
            "hovertemplate": f"{name}: %{{x:.1%}}<extra></extra>",
            "name": name,
        }

    return [
        mark("baseline", "line-ns-open", 20, "raw signal"),
        mark("baseline_long", "diamond-open", 8, "always long"),
        mark("baseline_coin", "x-thin-open", 7, "coin toss"),
    ]


def _dots(
    rows: Sequence[Mapping[str, Any]], places: Sequence[float], colours: Palette
) -> list[dict[str, Any]]:
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [row["win_rate"]],
            "y": [y],
            "marker": {
                "symbol": "circle" if known(row["low"]) else "circle-open",
                "size": 11,
                "color": colours.ink,
                "line": {"width": 1.6, "color": colours.ink},
            },
            "hovertemplate": f"{_said(row)}<extra></extra>",
            "name": _name(row),
        }
        for row, y in zip(rows, places, strict=True)
        if _is_drawn(row)
    ]


def _head(name: str, y: float) -> dict[str, Any]:
    return {
        "text": f"<b>{name}</b>",
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": y,
        "yref": "y",
        "showarrow": False,
    }


def _count(row: Mapping[str, Any], y: float, colours: Palette, *, compact: bool) -> dict[str, Any]:
    independent = f"like {number(row['n_eff'])}" if known(row["n_eff"]) else "no interval"
    independent = independent if _is_drawn(row) else "too few"
    apart = "<br>" if compact else ", "
    beside = f"{apart}<span style='color:{colours.muted}'>{independent}</span>"
    return {
        "text": f"n {number(row['n'])}{beside}",
        "xref": "paper",
        "x": 1,
        "xanchor": "left",
        "xshift": 8,
        "y": y,
        "yref": "y",
        "showarrow": False,
        "align": "left",
        "font": {"size": 11 if compact else 12},
    }


def _name(row: Mapping[str, Any]) -> str:
    verdict = row_name(str(row["verdict"]), traded=row["block"] == TRADES)
    return f"{verdict} {hours(str(row['horizon']))}"


def _broken(name: str) -> str:
    """A name on two lines where it says that the plan was refused, for want of width."""
    return name.replace(", ", ",<br>")


def _said(row: Mapping[str, Any]) -> str:
    band = (
        f"95 % interval {interval(row['low'], row['high'], 1)}"
        if known(row["low"])
        else str(row["note"])
    )
    return (
        f"{_name(row)}: {percent(row['win_rate'])} of {number(row['n'])} won, {band}, "
        f"raw signal {percent(row['baseline'])}, always long {percent(row['baseline_long'])}, "
        f"coin toss {percent(row['baseline_coin'])}"
    )


def _rates_alt(rows: Sequence[Mapping[str, Any]]) -> str:
    return "Win rates with intervals. " + " ".join(f"{_said(row)}." for row in rows)
