"""A signal as a stored row: which columns of the pipeline go where, and how they come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine

from core.errors import StoreError
from core.market.frame import INDEX, NAMES, SOURCES
from core.signals import FACTORS, Profile
from core.store.bulk import floats, number_objects, texts, times
from core.store.database import dump_json
from core.store.reading import gather, moments, numbers, words

MEASURES = ("raw", "normal", "z", "factor")
WORDS = ("verdict", "risk_mode", "no_signal")
NUMBERS = ("score", "coverage", "agreement", "direction", "multiplier")
INPUTS = (
    *NAMES,
    *(f"{measure}_{factor}" for factor in FACTORS for measure in MEASURES),
    "volatility_ratio",
    "conviction",
    "risk_points",
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
_ELSEWHERE = {*NUMBERS, *WORDS, "reasons", *PLAN_NUMBERS, *PLAN_WORDS}


def to_columns(
    bind: Connection | Engine,
    planned: pd.DataFrame,
    ages: pd.DataFrame,
    profile: Profile,
    recorded_at: datetime,
) -> dict[str, list[Any]]:
    """The columns of `tables.signals` for a planned frame, as the driver of ``bind`` takes them.

    Numbers that the pipeline adds and this module does not know by name go to ``inputs`` too.
    """
    symbols, moments = planned.index.get_level_values(0), planned.index.get_level_values(1)
    count = len(planned)
    return {
        "profile_name": [profile.name] * count,
        "symbol": symbols.tolist(),
        "time": times(bind, moments),
        "profile_version": [profile.version] * count,
        "recorded_at": times(bind, pd.DatetimeIndex([recorded_at])) * count,
        "last_price": floats(_numbers(planned, ["close"])["close"], "close"),
        **{name: floats(planned[name], name) for name in NUMBERS if name != "direction"},
        "direction": [
            None if value is None else int(value)
            for value in floats(planned["direction"], "direction")
        ],
        **{name: texts(planned[name]) for name in WORDS},
        "reasons": _same_text_once(planned["reasons"]),
        "inputs": [dump_json(row) for row in number_objects(_inputs(planned))],
        "plan": _plans(planned),
        "ages": [dump_json(row) for row in number_objects(ages.reindex(planned.index))],
    }


def _inputs(planned: pd.DataFrame) -> pd.DataFrame:
    names = sorted(set(planned.columns) - _ELSEWHERE)
    for name in names:
        if not pd.api.types.is_float_dtype(planned[name].dtype):
            raise StoreError(f"Column {name} holds {planned[name].dtype}; only numbers are stored.")
    return planned[names]


def _plans(planned: pd.DataFrame) -> list[str | None]:
    plans: list[dict[str, Any]] = list(number_objects(_numbers(planned, sorted(PLAN_NUMBERS))))
    for name in PLAN_WORDS:
        if name in planned.columns:
            for plan, word in zip(plans, texts(planned[name]), strict=True):
                if word is not None:
                    plan[name] = word
    return [dump_json(plan) if plan else None for plan in plans]


def _numbers(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return frame.reindex(columns=list(names)).astype(np.float64)


def _same_text_once(reasons: pd.Series) -> list[str]:
    written: dict[tuple[str, ...], str] = {}
    for value in set(reasons):
        written[value] = dump_json(list(value))
    return [written[value] for value in reasons]


def from_columns(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """The planned frame that rows of `tables.signals` were made of, and age_<source> columns.

    ``columns`` holds JSON already parsed. Every column of the pipeline is there, NaN or None where
    the row did not have it. Index (symbol, time), in the order given.
    """
    inputs, plans = columns["inputs"], [plan or {} for plan in columns["plan"]]
    known = dict.fromkeys(INPUTS)
    others = sorted({name for row in inputs for name in row} - known.keys())
    content: dict[str, Any] = {name: gather(inputs, name) for name in (*known, *others)}
    content |= {name: numbers(columns[name]) for name in NUMBERS}
    content |= {name: words(columns[name]) for name in WORDS}
    content["reasons"] = words([tuple(value) for value in columns["reasons"]])
    content |= {name: gather(plans, name) for name in PLAN_NUMBERS}
    content |= {name: words([plan.get(name) for plan in plans]) for name in PLAN_WORDS}
    content |= {f"age_{source}": gather(columns["ages"], source) for source in SOURCES}
    frame = pd.DataFrame(content)
    frame.index = pd.MultiIndex.from_arrays(
        [columns["symbol"], moments(columns["time"], "time")], names=list(INDEX)
    )
    return frame
