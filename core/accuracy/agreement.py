"""How often the rules and the model said the same, beyond what chance would make them say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from core.accuracy.cells import day_numbers
from core.accuracy.eras import CONFIDENCE, ERAS, Eras
from core.market.grid import Floats

ORDER: tuple[str, ...] = ("CONFIRM", "DOWNSIZE", "WAIT", "SKIP")


@dataclass(frozen=True)
class Agreement:
    """``table`` counts signals (rows: rules, columns: model); ``share`` of them on the diagonal.

    ``kappa`` is Cohen's, with its 95 % interval; NaN where it is not defined: without signals, and
    where both always said one and the same thing.
    """

    table: pd.DataFrame
    share: float
    kappa: float
    low: float
    high: float
    n: int


def confusion(pairs: pd.DataFrame) -> Agreement:
    """Agreement of verdicts from ``pairs`` with columns rules, model, n (signals with that pair).

    Plain kappa, every disagreement weighing the same: (share - expected) / (1 - expected), where
    expected is the share that two judges with these habits would agree on by chance (Cohen 1960,
    "A Coefficient of Agreement for Nominal Scales").

    With a column ``day`` (midnight UTC, of the bar) the interval is a t interval over ten eras of
    days, see `core.accuracy.eras`; NaN where there are too few. Without it, it is the large-sample
    one of Fleiss, Cohen and Everitt 1969, which takes signals for independent: for signals of
    neighbouring hours that is too narrow.
    """
    counts = pairs.pivot_table(index="rules", columns="model", values="n", aggfunc="sum")
    table = counts.reindex(index=list(ORDER), columns=list(ORDER)).fillna(0).astype(np.int64)
    n = int(table.to_numpy().sum())
    if not n:
        return Agreement(table, np.nan, np.nan, np.nan, np.nan, 0)
    part = table.to_numpy(dtype=np.float64) / n
    share = float(np.trace(part))
    kappa, error = _kappa(part, n)
    half = float(ndtri(0.5 + CONFIDENCE / 2)) * error
    low, high = kappa - half, kappa + half
    if "day" in pairs.columns:
        low, high = _over_eras(pairs, kappa)
    low, high = np.clip((low, high), -1, 1).tolist()
    return Agreement(table, share, kappa, low, high, n)


def _over_eras(pairs: pd.DataFrame, kappa: float) -> tuple[float, float]:
    known = pairs[pairs["rules"].isin(ORDER) & pairs["model"].isin(ORDER)]
    days, place = np.unique(day_numbers(pd.Index(known["day"])), return_inverse=True)
    table = np.zeros((len(ORDER), len(ORDER), len(days)))
    spoken = [pd.Index(ORDER).get_indexer(pd.Index(known[name])) for name in ("rules", "model")]
    np.add.at(table, (*spoken, place), known["n"].to_numpy(dtype=np.float64))
    eras = Eras.of(table.sum(axis=(0, 1))[None], days, np.zeros(1))
    parts = np.stack([eras.left_out(row[None])[0] for row in table.reshape(-1, len(days))])
    left = [
        _kappa((parts[:, era] / parts[:, era].sum()).reshape(4, 4), 1)[0] for era in range(ERAS)
    ]
    found = eras.interval(np.array([kappa]), np.array([left]))
    return float(found.low[0]), float(found.high[0])


def _kappa(part: Floats, n: int) -> tuple[float, float]:
    rules, model = part.sum(axis=1), part.sum(axis=0)
    share, expected = float(np.trace(part)), float(rules @ model)
    if expected >= 1:
        return np.nan, np.nan
    kappa = (share - expected) / (1 - expected)
    # Fleiss, Cohen and Everitt 1969, equation 13.
    weight = rules[None, :] + model[:, None]
    agreed = np.diag(part) * (1 - (rules + model) * (1 - kappa)) ** 2
    apart = part * weight**2 * (1 - kappa) ** 2
    np.fill_diagonal(apart, 0)
    rest = (kappa - expected * (1 - kappa)) ** 2
    variance = (agreed.sum() + apart.sum() - rest) / (n * (1 - expected) ** 2)
    return kappa, float(np.sqrt(max(variance, 0)))
