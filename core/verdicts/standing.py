"""What stands of two verdicts: the more cautious one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from core.market.frame import INDEX
from core.verdicts.rules import VERDICTS


def settle(judged: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    """``judged`` with the verdict and the multiplier that stand, over the same index.

    ``model`` has ``verdict`` and ``multiplier`` of a language model for some of the rows, over the
    same kind of index; None and NaN where it gave none, and then the rules' verdict stands. The lower
    multiplier stands, and of equal ones the later word of CONFIRM, DOWNSIZE, WAIT, SKIP. Adds
    ``rules_verdict``, ``rules_multiplier`` and ``lowered``: whether the model changed what stands.

    The risk mode stays the rules', because it sets the stop by which outcomes are followed.
    """
    said = model[["verdict", "multiplier"]].reindex(judged.index)
    of_rules = judged["multiplier"].to_numpy(dtype=np.float64)
    of_model = said["multiplier"].to_numpy(dtype=np.float64)
    words, model_words = judged["verdict"].astype(object), said["verdict"].astype(object)
    less = of_model < of_rules
    # NaN is neither less nor equal: without a multiplier on both sides the rules' verdict stands.
    lowered = less | ((of_model == of_rules) & (_caution(model_words) > _caution(words)))
    verdict = words.where(~lowered, model_words)
    if isinstance(judged["verdict"].dtype, pd.CategoricalDtype):
        verdict = verdict.astype(judged["verdict"].dtype)
    return judged.assign(
        rules_verdict=judged["verdict"],
        rules_multiplier=of_rules,
        verdict=verdict,
        multiplier=np.where(less, of_model, of_rules),
        lowered=lowered,
    )


def settle_row(row: pd.Series, model: Mapping[str, Any] | None) -> pd.Series:
    """A stored row, named (symbol, time), with what stands of its verdict and a model's."""
    if model is None:
        added = {"rules_verdict": row["verdict"], "rules_multiplier": row["multiplier"]}
        return pd.Series(row.to_dict() | added | {"lowered": False}, name=row.name, dtype=object)
    frame = as_frame(row)
    said = {name: [None if model is None else model[name]] for name in ("verdict", "multiplier")}
    return settle(frame, pd.DataFrame(said, index=frame.index)).iloc[0]


def as_frame(row: pd.Series) -> pd.DataFrame:
    """A stored row, named (symbol, time), as a frame of one row, which can be planned again."""
    symbol, time = cast("tuple[str, pd.Timestamp]", row.name)
    # Of one row there is nothing to sort and to check, which takes longer than all else here.
    index = pd.MultiIndex([[symbol], [time]], [[0], [0]], names=INDEX, verify_integrity=False)
    return pd.DataFrame([row.to_dict()], index=index)


def _caution(verdicts: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    ranks = {verdict: float(rank) for rank, verdict in enumerate(VERDICTS)}
    return np.array([ranks.get(one, np.nan) for one in verdicts], dtype=np.float64)
