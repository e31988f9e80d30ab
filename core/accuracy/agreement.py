"""How often the rules and the model said the same, beyond what chance would make them say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from core.accuracy.eras import CONFIDENCE
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
    "A Coefficient of Agreement for Nominal Scales"). The interval is the large-sample one of
    Fleiss, Cohen and Everitt 1969; it takes signals for independent, so for signals of
    neighbouring hours it is too narrow.
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
    return Agreement(table, share, kappa, max(-1.0, kappa - half), min(1.0, kappa + half), n)


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
