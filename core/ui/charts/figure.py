"""What a chart hands on: a figure as the browser gets it, in plain dicts.

Plotly's own classes check every value of every figure, which takes longer than all the rest of drawing
it. The tests have each chart checked by them instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# ``data`` are traces, and ``layout`` has what `make_figure` was told in its ``meta``.
Figure = dict[str, Any]


def make_figure(
    data: Sequence[dict[str, Any]], layout: dict[str, Any], *, alt: str, **words: str
) -> Figure:
    """A figure for those who see it and, in ``alt``, for those who do not.

    ``words`` are title and look, for the page to print where the figure has no room for them.
    """
    return {"data": list(data), "layout": layout | {"meta": {"alt": alt, **words}}}
