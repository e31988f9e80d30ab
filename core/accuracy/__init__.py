"""How good the verdicts are: rates with the intervals that overlapping outcomes leave them."""

from core.accuracy.agreement import Agreement, confusion
from core.accuracy.calibration import Brier, brier, reliability
from core.accuracy.caution import value_of_caution
from core.accuracy.eras import (
    CONFIDENCE,
    ERAS,
    Eras,
    benjamini_hochberg,
    power_n_eff,
    split_eras,
)
from core.accuracy.factors import correlations, factor_sums, information
from core.accuracy.summary import (
    cumulative_r,
    daily_r,
    distribution,
    summarise,
    summarise_tallies,
)

__all__ = [
    "CONFIDENCE",
    "ERAS",
    "Agreement",
    "Brier",
    "Eras",
    "benjamini_hochberg",
    "brier",
    "confusion",
    "correlations",
    "cumulative_r",
    "daily_r",
    "distribution",
    "factor_sums",
    "information",
    "power_n_eff",
    "reliability",
    "split_eras",
    "summarise",
    "summarise_tallies",
    "value_of_caution",
]
