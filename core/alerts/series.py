"""Input series of rule tests in a compact notation, that of Prometheus' rule tests.

1 2 3            three values
0.5x3            0.5 and then three times the same: four values
1+0.1x2          1 1.1 1.2: the first, and two steps; 1-0.1x2 goes down
_ _x3            one unknown value, three unknown values
"""

from __future__ import annotations

import math
import re

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RUN = re.compile(rf"({_NUMBER})(?:([+-](?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))?x(\d+)", re.ASCII)
_PLAIN = re.compile(_NUMBER, re.ASCII)
_WORD = re.compile(r"([A-Z]+)(?:x(\d+))?", re.ASCII)
_GAP = re.compile(r"_(?:x(\d+))?", re.ASCII)
LONGEST = 10_000


def parse_series(text: str) -> list[float | str]:
    """The values of a series, NaN where unknown; words stay words.

    Raises ValueError naming the piece that is wrong.

    >>> parse_series("0 1+0.5x2 _ 7x1")
    [0.0, 1.0, 1.5, 2.0, nan, 7.0, 7.0]
    >>> parse_series("LONGx1 SHORT")
    ['LONG', 'LONG', 'SHORT']
    """
    values: list[float | str] = []
    for piece in text.split():
        values += _values(piece)
        if len(values) > LONGEST:
            raise ValueError(f"a series can have {LONGEST:,} values at most")
    return values


def _values(piece: str) -> list[float | str]:
    if gap := _GAP.fullmatch(piece):
        return [math.nan] * _bounded(gap[1] or "1")
    if _PLAIN.fullmatch(piece):
        return [float(piece)]
    if run := _RUN.fullmatch(piece):
        first, step = float(run[1]), float(run[2] or 0)
        # Rounded, so that 1+0.1x2 is 1 1.1 1.2 and not 1.2000000000000002.
        return [round(first + step * number, 12) for number in range(_bounded(run[3]) + 1)]
    word = _WORD.fullmatch(piece)
    if word is None:
        raise ValueError(f"{piece[:40]!r} is no piece of a series: write 0.5, 0.5x3, 1+0.1x5 or _")
    return [word[1]] * (_bounded(word[2] or "0") + 1)


def _bounded(count: str) -> int:
    if len(count) > 5 or int(count) > LONGEST:
        raise ValueError(f"a series can have {LONGEST:,} values at most")
    return int(count)
