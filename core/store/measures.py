"""What a bar measured: the numbers that are the same for every profile with the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from core.market.frame import NAMES, SOURCES
from core.signals import FACTORS

MEASURES = ("raw", "normal", "z", "factor")
MEASURED = (
    *NAMES,
    *(f"{measure}_{factor}" for factor in FACTORS for measure in MEASURES),
    "volatility_ratio",
    "atr",
    "normal_atr",
)
AGES = tuple(f"age_{source}" for source in SOURCES)


def digests(
    bars: Sequence[str], measured: npt.NDArray[np.float64], names: Sequence[str], windows: str
) -> list[str]:
    """16 hexadecimal digits over every row: its bar, its numbers, their names and the windows.

    Numbers that are stored alike count as equal: every NaN, and zero of either sign.

    >>> rows = np.array([[1.0, np.nan], [0.0, 2.0], [-0.0, 2.0]])
    >>> first, second, third = digests(["x", "x", "x"], rows, ["a", "b"], "w")
    >>> first == second, second == third
    (False, True)
    """
    plain = (measured + 0.0).astype("<f8", order="C")
    plain[np.isnan(plain)] = np.nan
    begun = blake2b(f"{windows} {' '.join(names)} ".encode(), digest_size=8)
    found = []
    for bar, row in zip(bars, plain, strict=True):
        of_row = begun.copy()
        of_row.update(bar.encode())
        of_row.update(row)
        found.append(of_row.hexdigest())
    return found
