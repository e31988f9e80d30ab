"""Times as a chart draws them: wall-clock times of the reader's zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.ui.formats import Clock


@dataclass(frozen=True)
class TimeAxis:
    """Aware times as milliseconds since 1970 on the clock of a zone, which Plotly reads as dates.

    >>> berlin = TimeAxis(Clock.named("Europe/Berlin"))
    >>> berlin.at(pd.Timestamp("1970-01-01T01:00Z")) / 3_600_000
    2.0
    """

    clock: Clock

    @property
    def label(self) -> str:
        """The zone's name."""
        return self.clock.label

    def of(self, times: pd.Index) -> npt.NDArray[np.float64]:
        """Every time of an index."""
        local = self.clock.axis(pd.DatetimeIndex(times))
        return local.as_unit("ms").asi8.astype(np.float64)

    def at(self, time: pd.Timestamp) -> float:
        """One time."""
        local = time.tz_convert(self.clock.zone).tz_localize(None)
        return float(local.as_unit("ms").asm8.view(np.int64))
