"""What was liquidated over time: per slot and cumulative, longs above zero and shorts below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.ui.charts.figure import Figure
from core.ui.charts.stack import Label, Pane, axis_ticks, hatch, stack
from core.ui.charts.steps import Gap, Window, step_name
from core.ui.charts.times import TimeAxis
from core.ui.charts.view import hover, level
from core.ui.formats import compact
from core.ui.palette import Palette

OVER_TIME, CUMULATIVE, HEARD = "over time", "cumulative", "heard"
_LANE_PX = 17


@dataclass(frozen=True)
class Flow:
    """Sums from ``start`` to ``end``: ``sums`` has long_usd and short_usd by the beginning of each
    slot of ``step``, NaN where they are not known. ``gaps`` is by name of a stream when it was not
    heard; ``now`` is how far the time has come."""

    sums: pd.DataFrame
    start: pd.Timestamp
    end: pd.Timestamp
    now: pd.Timestamp
    step: pd.Timedelta
    gaps: Mapping[str, Sequence[Gap]]
    times: TimeAxis
    colours: Palette

    @property
    def any_gap(self) -> list[Gap]:
        """When any stream was not heard, and slots without a sum."""
        unknown = self.sums.index[self.sums["long_usd"].isna()]
        slots = [(slot, slot + self.step) for slot in unknown]
        return [*(gap for gaps in self.gaps.values() for gap in gaps), *slots]


def flow_figure(
    flow: Flow, panes: Sequence[str] | None = None, *, narrow: bool = False, keep: str = ""
) -> Figure:
    """The panes asked for, all by default, above one time axis; see `market_figure`."""
    every = [name for name in _PANES if name != HEARD or flow.gaps]
    drawn = [_PANES[name](flow) for name in (panes or every)]
    window = Window(flow.start, flow.end, flow.step)
    figure = stack(drawn, window, flow.times, flow.colours, compact=narrow, keep=keep)
    figure["layout"]["xaxis"]["range"] = [flow.times.at(flow.start), flow.times.at(flow.end)]
    return figure


def draw_slots(flow: Flow) -> Pane:
    """Bars from zero for every slot."""
    longs, shorts, colours = flow.sums["long_usd"], flow.sums["short_usd"], flow.colours
    reach = _reach(longs, shorts)
    step = step_name(flow.step)
    hatched = "not every stream was heard" if flow.gaps else "not known; 4 h totals are equal hours"
    return Pane(
        title="Liquidated, as reported: lower bounds",
        look=f"Look for one side far above the rest. Hatched: {hatched}",
        height=210,
        says=f"Liquidated per {step}: longs at most {compact(longs.max())} USD, shorts at most "
        f"{compact(shorts.max())} USD, lower bounds as reported.",
        unit=f"USD per {step}",
        low=-reach,
        high=reach,
        ticks={tick: compact(abs(tick)) for tick in axis_ticks(-reach, reach)},
        traces=[
            _bars(longs, flow, colours.long, "longs", 1),
            _bars(shorts, flow, colours.short, "shorts", -1),
        ],
        shapes=[level(0, colours.neutral)],
        labels=[
            Label(reach * 0.6, "▲ longs", colours.long_ink),
            Label(-reach * 0.6, "▼ shorts", colours.short_ink),
        ],
        gaps=flow.any_gap,
    )


def draw_cumulative(flow: Flow) -> Pane:
    """What the slots add up to since the window began."""
    begun = flow.sums[flow.sums.index < flow.now]
    longs, shorts = begun["long_usd"].cumsum(), begun["short_usd"].cumsum()
    colours, reach = flow.colours, _reach(longs, shorts)
    totals = [float(side.max()) if side.notna().any() else 0.0 for side in (longs, shorts)]
    return Pane(
        title="Cumulative",
        look="Look for a step: a cascade. The two sides are never netted",
        height=110,
        says=f"Since the window began: longs {compact(totals[0])} USD, shorts "
        f"{compact(totals[1])} USD.",
        unit="USD since the window began",
        low=-reach,
        high=reach,
        ticks={tick: compact(abs(tick)) for tick in axis_ticks(-reach, reach, 3)},
        traces=[
            _climb(longs, flow, colours.long, "longs", 1),
            _climb(shorts, flow, colours.short, "shorts", -1),
        ],
        shapes=[level(0, colours.neutral)],
        labels=[
            Label(totals[0], f"▲ {compact(totals[0])}", colours.long_ink),
            Label(-totals[1], f"▼ {compact(totals[1])}", colours.short_ink),
        ],
        gaps=flow.any_gap,
    )


def draw_heard(flow: Flow) -> Pane:
    """A lane per stream: a line while it was heard, hatched while it was not."""
    lanes = list(flow.gaps)
    missing = [f"{name} {len(gaps)}" for name, gaps in flow.gaps.items() if gaps]
    traces: list[dict[str, Any]] = []
    for lane, name in enumerate(lanes):
        gaps = flow.gaps[name]
        if gaps:
            traces.append(hatch(gaps, (-lane - 0.4, -lane + 0.4), flow.times, flow.colours))
        traces.append(_lane(name, -lane, gaps, flow))
    return Pane(
        title="Streams heard",
        look="",
        height=_LANE_PX * max(len(lanes), 1),
        says=f"Gaps by stream: {', '.join(missing)}." if missing else "Every stream was heard.",
        unit="a line while heard, hatched while not",
        low=-max(len(lanes), 1) + 0.5,
        high=0.5,
        traces=traces,
        labels=[Label(-lane, name, flow.colours.muted) for lane, name in enumerate(lanes)],
    )


_PANES: dict[str, Callable[[Flow], Pane]] = {
    OVER_TIME: draw_slots,
    CUMULATIVE: draw_cumulative,
    HEARD: draw_heard,
}


def _reach(longs: pd.Series, shorts: pd.Series) -> float:
    """The same room for both sides, so that their bars can be compared."""
    largest = np.nanmax([1.0, *longs.to_numpy(), *shorts.to_numpy()])
    return 1.1 * float(largest)


def _bars(usd: pd.Series, flow: Flow, colour: str, name: str, sign: int) -> dict[str, Any]:
    width = flow.step / pd.Timedelta("1ms")
    return {
        "type": "bar",
        "x": flow.times.of(usd.index),
        "y": sign * usd.to_numpy(),
        "offset": 0.08 * width,
        "width": 0.84 * width,
        "marker": {"color": colour, "line": {"width": 0}},
        "name": name,
        **hover([f"{name} liquidated: {compact(value)} USD" for value in usd]),
    }


def _climb(usd: pd.Series, flow: Flow, colour: str, name: str, sign: int) -> dict[str, Any]:
    """A line from zero through the end of every slot; the last one ends now."""
    slots = pd.DatetimeIndex(usd.index)
    ends = [*slots[:1], *(slots[:-1] + flow.step), *([flow.now] if len(usd) else [])]
    values = [0.0, *usd] if len(usd) else []
    return {
        "type": "scatter",
        "mode": "lines",
        "x": flow.times.of(pd.DatetimeIndex(ends)) if ends else [],
        "y": sign * np.array(values, dtype=np.float64),
        "line": {"color": colour, "width": 1.8},
        "connectgaps": False,
        "name": name,
        **hover([f"{name} since the window began: {compact(value)} USD" for value in values]),
    }


def _lane(name: str, place: float, gaps: Sequence[Gap], flow: Flow) -> dict[str, Any]:
    xs: list[float | None] = []
    since = flow.start
    for first, last in gaps:
        if first > since:
            xs += [flow.times.at(since), flow.times.at(first), None]
        since = max(since, last)
    if since < flow.now:
        xs += [flow.times.at(since), flow.times.at(flow.now)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": xs,
        "y": [None if x is None else place for x in xs],
        "line": {"color": flow.colours.muted, "width": 3},
        "connectgaps": False,
        "name": name,
        "hoverinfo": "skip",
    }
