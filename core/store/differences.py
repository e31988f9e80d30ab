"""Where a stored sum is not what follows from the rows that it is of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A cell and day whose stored sum is not that of its rows; None where there is no row."""

    cell: dict[str, Any]
    day: datetime
    column: str
    stored: float | None
    computed: float | None
    rows: str = "outcomes"

    def __str__(self) -> str:
        cell = ", ".join(f"{name} {value}" for name, value in self.cell.items())
        return (
            f"{self.column} on {self.day:%Y-%m-%d} of {cell}: "
            f"{_said(self.stored)} is stored, {_said(self.computed)} follows from the {self.rows}"
        )


def _said(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.9g}"
