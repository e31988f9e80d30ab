"""What caution was worth: the losses that SKIP, WAIT and DOWNSIZE avoided, less the gains missed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.accuracy.cells import gather, horizon_days, need
from core.accuracy.eras import Eras

_SUMS = ["n_r", "forgone_loss_r", "forgone_gain_r"]
_COLUMNS = ["n", "loss_avoided_r", "gain_missed_r", "value_r", "low", "high", "note"]


def value_of_caution(
    tallies: pd.DataFrame, by: Sequence[str] = ("verdict", "horizon")
) -> pd.DataFrame:
    """One row per cell of ``by`` of DOWNSIZE (traded), WAIT and SKIP; all in R of the full size.

    Of each outcome only the part of the allowed size that was not taken counts: of the rules all of
    the full size for SKIP and WAIT, half where half was traded; of a model what it went below the
    rules, so that their caution is not counted as its own. ``loss_avoided_r`` and ``gain_missed_r`` are sums over ``n``
    outcomes, ``value_r`` is the first minus the second: above 0, caution was worth having. Both are
    after the same costs, those that the trade would have paid. ``low`` and ``high`` are the 95 %
    interval of value_r: n times that of the mean per outcome, a t interval over eras
    (`core.accuracy.eras`); ``note`` says why there is none, else None. The tallies must tell
    "verdict", "traded" and "horizon" apart.
    """
    keys = list(by)
    need(tallies, [*keys, "verdict", "traded", "horizon"])
    verdict = tallies.index.get_level_values("verdict")
    traded = tallies.index.get_level_values("traded").to_numpy(dtype=bool)
    kept = verdict.isin(["WAIT", "SKIP"]) | (verdict.isin(["DOWNSIZE"]) & traded)
    part = tallies[kept & (tallies["n_r"] > 0).to_numpy()]
    cells = gather(part, keys, _SUMS)
    if not len(cells.keys):
        return pd.DataFrame(columns=_COLUMNS, index=cells.index)
    n, avoided, missed = (cells.total(name) for name in _SUMS)
    gained = cells["forgone_loss_r"] - cells["forgone_gain_r"]
    eras = Eras.of(cells["n_r"], cells.days, horizon_days(part, cells))
    mean = eras.mean(gained, cells["n_r"])
    return pd.DataFrame(
        {
            "n": n.astype(np.int64),
            "loss_avoided_r": avoided,
            "gain_missed_r": missed,
            "value_r": avoided - missed,
            "low": n * mean.low,
            "high": n * mean.high,
            "note": pd.Series(eras.note, index=cells.index, dtype=object),
        },
        index=cells.index,
    )
