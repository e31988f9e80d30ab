"""A signal as a stored row: which columns of the pipeline go where, and how they come back.

What was measured is one row of `tables.measurements`, which signals of several profiles refer to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import Connection, Engine, Select, select

from core.errors import StoreError
from core.market.frame import INDEX, NAMES, SOURCES
from core.signals import FACTORS, Profile
from core.store.bulk import floats, number_objects, texts, times
from core.store.contents import measured_hashes
from core.store.database import dump_json
from core.store.measures import AGES, MEASURED, MEASURES, digests
from core.store.reading import gather, moments, numbers, raw, words
from core.store.tables import measurements, signals

WORDS = ("verdict", "risk_mode", "no_signal")
NUMBERS = ("score", "coverage", "agreement", "direction", "multiplier")
JUDGED = ("conviction", "risk_points")
# The order of a loaded frame's columns.
INPUTS = (
    *NAMES,
    *(f"{measure}_{factor}" for factor in FACTORS for measure in MEASURES),
    "volatility_ratio",
    *JUDGED,
    "atr",
    "normal_atr",
)
PLAN_NUMBERS = (
    "entry_price",
    "stop_price",
    "target_price",
    "liquidation_price",
    "quantity",
    "notional_usd",
    "risk_usd",
    "size_multiplier",
    "counterfactual_entry_price",
    "counterfactual_stop_price",
    "counterfactual_target_price",
)
PLAN_WORDS = ("binding_cap", "no_plan")
_ELSEWHERE = {*NUMBERS, *JUDGED, *WORDS, "reasons", *PLAN_NUMBERS, *PLAN_WORDS}

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Ready:
    """Signals and what each was made from, row by row and as the driver takes them.

    ``measured`` is what the ledger says of the measurements.
    """

    index: pd.Index
    signals: Columns
    measurements: Columns
    measured: list[str]

    def only(self, wanted: npt.NDArray[np.bool_]) -> Ready:
        """The rows where ``wanted`` is true."""
        keep = wanted.tolist()
        return Ready(
            self.index[wanted],
            {name: list(compress(values, keep)) for name, values in self.signals.items()},
            {name: list(compress(values, keep)) for name, values in self.measurements.items()},
            list(compress(self.measured, keep)),
        )


def joined(several: Sequence[Ready]) -> Ready:
    """All rows, in order."""
    first, *others = several
    return Ready(
        first.index.append([one.index for one in others]),
        _end_to_end([one.signals for one in several]),
        _end_to_end([one.measurements for one in several]),
        [each for one in several for each in one.measured],
    )


def _end_to_end(several: Sequence[Columns]) -> Columns:
    return {name: [value for one in several for value in one[name]] for name in several[0]}


def make_ready(
    bind: Connection | Engine,
    planned: pd.DataFrame,
    ages: pd.DataFrame,
    profile: Profile,
    recorded_at: datetime,
) -> Ready:
    """A planned frame as rows of `tables.signals` and `tables.measurements`, for ``bind``.

    Numbers that the pipeline adds and this module does not know by name were measured too, and go
    to ``others``.
    """
    count = len(planned)
    keys: Columns = {
        "symbol": planned.index.get_level_values(0).tolist(),
        "time": times(bind, planned.index.get_level_values(1)),
    }
    recorded: Columns = {"recorded_at": times(bind, pd.DatetimeIndex([recorded_at])) * count}
    bars = [f"{symbol} {time[:26]}" for symbol, time in zip(*keys.values(), strict=True)]
    measured = _measured(planned, ages, profile, bars)
    of_signals = {
        "profile_name": [profile.name] * count,
        **keys,
        "profile_version": [profile.version] * count,
        "measurement": measured["digest"],
        **_said(planned),
        **recorded,
    }
    of_measurements = {**keys, **measured, **recorded}
    return Ready(planned.index, of_signals, of_measurements, measured_hashes(of_measurements))


def _measured(
    planned: pd.DataFrame, ages: pd.DataFrame, profile: Profile, bars: Sequence[str]
) -> Columns:
    others = sorted(set(planned.columns) - _ELSEWHERE - set(MEASURED))
    for name in (*MEASURED, *others):
        if name in planned and not pd.api.types.is_float_dtype(planned[name].dtype):
            raise StoreError(f"Column {name} holds {planned[name].dtype}; only numbers are stored.")
    names = [*MEASURED, *AGES, *others]
    found = np.column_stack(
        [
            _numbers(planned, MEASURED).to_numpy(),
            ages.reindex(planned.index)[list(SOURCES)].to_numpy(dtype=np.float64),
            _numbers(planned, others).to_numpy(),
        ]
    )
    columns: Columns = {
        name: floats(found[:, at], name) for at, name in enumerate((*MEASURED, *AGES))
    }
    columns["others"] = _objects(_numbers(planned, others))
    columns["digest"] = digests(bars, found, names, profile.windows_version)
    columns["windows_version"] = [profile.windows_version] * len(planned)
    return columns


def _said(planned: pd.DataFrame) -> Columns:
    """What the profile made of it."""
    alone = [name for name in NUMBERS if name != "direction"]
    return {
        "last_price": floats(_numbers(planned, ["close"])["close"], "close"),
        **{name: floats(planned[name], name) for name in alone},
        "direction": [
            None if value is None else int(value)
            for value in floats(planned["direction"], "direction")
        ],
        **{name: floats(_numbers(planned, [name])[name], name) for name in JUDGED},
        **{name: texts(planned[name]) for name in WORDS},
        "reasons": _same_text_once(planned["reasons"]),
        "plan": _plans(planned),
    }


def _plans(planned: pd.DataFrame) -> list[str | None]:
    plans: list[dict[str, Any]] = list(number_objects(_numbers(planned, sorted(PLAN_NUMBERS))))
    for name in PLAN_WORDS:
        if name in planned.columns:
            for plan, word in zip(plans, texts(planned[name]), strict=True):
                if word is not None:
                    plan[name] = word
    return [dump_json(plan) if plan else None for plan in plans]


def _objects(frame: pd.DataFrame) -> list[str | None]:
    if frame.columns.empty:
        return [None] * len(frame)
    return [dump_json(row) if row else None for row in number_objects(frame)]


def _numbers(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return frame.reindex(columns=list(names)).astype(np.float64)


def _same_text_once(reasons: pd.Series) -> list[str]:
    written: dict[tuple[str, ...], str] = {}
    for value in set(reasons):
        written[value] = dump_json(list(value))
    return [written[value] for value in reasons]


@cache
def whole_rows() -> Select[Any]:
    """Signals with what they were made from, in the columns that `from_columns` takes."""
    keys = ("symbol", "time", "profile_name", "profile_version")
    return select(
        *raw(signals, *keys, *NUMBERS, *JUDGED, *WORDS),
        signals.c.reasons,
        signals.c.plan,
        *(measurements.c[name] for name in (*MEASURED, *AGES, "others")),
    ).join_from(signals, measurements)


def from_columns(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """The planned frame that rows of `whole_rows` were made of, and age_<source> columns.

    ``columns`` holds JSON already parsed. Every column of the pipeline is there, NaN or None where
    the row did not have it. Index (symbol, time), in the order given.
    """
    others = [row or {} for row in columns["others"]]
    plans = [plan or {} for plan in columns["plan"]]
    content: dict[str, Any] = {name: numbers(columns[name]) for name in INPUTS}
    content |= {name: gather(others, name) for name in sorted({n for row in others for n in row})}
    content |= {name: numbers(columns[name]) for name in NUMBERS}
    content |= {name: words(columns[name]) for name in WORDS}
    content["reasons"] = words([tuple(value) for value in columns["reasons"]])
    content |= {name: gather(plans, name) for name in PLAN_NUMBERS}
    content |= {name: words([plan.get(name) for plan in plans]) for name in PLAN_WORDS}
    content |= {name: numbers(columns[name]) for name in AGES}
    frame = pd.DataFrame(content)
    frame.index = pd.MultiIndex.from_arrays(
        [columns["symbol"], moments(columns["time"], "time")], names=list(INDEX)
    )
    return frame
