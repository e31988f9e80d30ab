"""Which version of a mode decides which bar: one from each moment on, so that the past keeps its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.signals.profile import Profile


@dataclass(frozen=True)
class Schedule:
    """``first`` decides until the first of ``changes``, each of which decides from its moment on.

    The moments are aware, ascending and all different.
    """

    first: Profile
    changes: tuple[tuple[datetime, Profile], ...] = ()

    def at(self, time: datetime) -> Profile:
        """The version that decides the bar of ``time``, its close."""
        begun = [profile for moment, profile in self.changes if moment <= time]
        return begun[-1] if begun else self.first

    def parts(self, times: pd.DatetimeIndex) -> Iterator[tuple[Profile, npt.NDArray[np.bool_]]]:
        """Every version that decides some of the ``times``, in order, and which those are."""
        if times.empty:
            return
        ends = [moment for moment, _ in self.changes]
        number = np.zeros(len(times), dtype=np.int64)
        for moment in ends:
            number += times >= pd.Timestamp(moment)
        versions = (self.first, *(profile for _, profile in self.changes))
        for each in np.unique(number):
            yield versions[each], number == each

    def versions(self, first: datetime, last: datetime) -> tuple[tuple[str, str], ...]:
        """What decides the bars from ``first`` to ``last``, as text: moment ("" at first), version."""
        inside = [
            (moment.isoformat(), profile.version)
            for moment, profile in self.changes
            if first < moment <= last
        ]
        return (("", self.at(first).version), *inside)
