"""How good the verdicts are: rates with the intervals that overlapping outcomes leave them."""

from core.accuracy.summary import (
    CONFIDENCE,
    ERAS,
    cumulative_r,
    era_interval,
    split_eras,
    summarise,
)

__all__ = ["CONFIDENCE", "ERAS", "cumulative_r", "era_interval", "split_eras", "summarise"]
