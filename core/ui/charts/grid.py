"""Small charts side by side: the same kind of chart per horizon, trades above what was not traded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.ui.palette import Palette, template


@dataclass(frozen=True)
class Cell:
    """A chart's place in a grid of ``down`` by ``across``; ``label_part`` of it is room on its right
    and ``head_part`` room above it."""

    at: int
    column: int
    down: int
    across: int
    label_part: float = 0.08
    head_part: float = 0.12

    @property
    def axis(self) -> str:
        """The number that the chart's axes have, empty for the first."""
        number = self.at * self.across + self.column + 1
        return "" if number == 1 else str(number)

    @property
    def axes(self) -> dict[str, str]:
        """The axes that a trace of this chart names."""
        return {"xaxis": f"x{self.axis}", "yaxis": f"y{self.axis}"}

    @property
    def across_domain(self) -> tuple[float, float]:
        """Left and right ends as parts of the width."""
        right = self.column + 1 - self.label_part
        return self.column / self.across, right / self.across

    @property
    def up_domain(self) -> tuple[float, float]:
        """Lower and upper ends as parts of the height."""
        top = 1 - self.at / self.down
        return top - (1 - self.head_part) / self.down, top - self.head_part / self.down

    def head(self, text: str, *, shift: int = -36) -> dict[str, Any]:
        """Words above the chart."""
        return {
            "text": text,
            "xref": "paper",
            "x": self.across_domain[0],
            "xanchor": "left",
            "xshift": shift,
            "yref": "paper",
            "y": self.up_domain[1],
            "yshift": 3,
            "yanchor": "bottom",
            "showarrow": False,
        }


def grid_frame(
    down: int,
    cell_px: int,
    colours: Palette,
    *,
    left: int = 46,
    right: int = 4,
    zooms: bool = False,
) -> dict[str, Any]:
    """The layout around so many rows of charts."""
    return {
        "template": template(colours.mode),
        "height": 50 + cell_px * max(down, 1),
        "margin": {"l": left, "r": right, "t": 4, "b": 46},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": "zoom" if zooms else False,
        "annotations": [],
    }


def value_axis(ends: tuple[float, float], ticks: dict[float, str]) -> dict[str, Any]:
    """A value axis, up or across, without zoom."""
    return {
        "range": list(ends),
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
        "fixedrange": True,
        "automargin": False,
        "showspikes": False,
    }


def placed(cell: Cell, across: dict[str, Any], up: dict[str, Any]) -> dict[str, Any]:
    """Both axes of a chart at its place."""
    return {
        f"xaxis{cell.axis}": across
        | {"domain": list(cell.across_domain), "anchor": f"y{cell.axis}"},
        f"yaxis{cell.axis}": up | {"domain": list(cell.up_domain), "anchor": f"x{cell.axis}"},
    }
