"""Putting a figure on the page, the same way everywhere: drawn by the browser, and anew in its place.

`st.plotly_chart` has Plotly check a figure each time it is drawn, and makes another element of every
figure that differs from the one before, which flickers and forgets the reader's zoom
(streamlit/streamlit#8782). This sends what was made ready once, and keeps the element.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import streamlit as st
from plotly.offline import get_plotlyjs, get_plotlyjs_version
from starlette.requests import Request
from starlette.responses import Response

from core.ui.charts.figure import Figure

LIBRARY = "/plotly.min.js"
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": "reset"}

_CHART = st.components.v2.component(
    "cryptosatx_chart",
    html='<div class="chart" role="img"></div>',
    js=(Path(__file__).parent / "draw.js").read_text(encoding="utf-8"),
    # The library puts its styles into the page, which do not reach an isolated part of it.
    isolate_styles=False,
)


@dataclass(frozen=True)
class Ready:
    """A figure as the browser gets it, which many readers can be sent; ``words`` stand above it where
    it is drawn alone."""

    spec: str
    alt: str
    height: int
    words: str = ""

    @classmethod
    def of(cls, figure: Figure) -> Ready:
        """A figure of `core.ui.charts`; what is not a number in it is left empty."""
        layout = figure["layout"]
        meta = layout["meta"]
        words = f"**{meta['title']}**  \n{meta['look']}" if "title" in meta else ""
        spec = orjson.dumps(figure, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
        return cls(spec.decode(), meta["alt"], round(layout["height"]), words)


def draw_figure(figure: Ready, *, key: str, on_click: Callable[[], None] | None = None) -> None:
    """Draw a figure with its alt text, in the place of the one before it.

    ``on_click`` finds the first of a point's ``customdata`` in ``st.session_state[key].clicked``.
    """
    listening: dict[str, Any] = {} if on_click is None else {"on_clicked_change": on_click}
    _CHART(
        key=key,
        data={
            "spec": figure.spec,
            "alt": figure.alt,
            "height": figure.height,
            "config": CONFIG,
            "listens": on_click is not None,
            "library": f"{LIBRARY}?v={get_plotlyjs_version()}",
        },
        **listening,
    )


def serve_library(request: Request) -> Response:
    """The drawing library that came with the Python one; a browser asks for a version once."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(get_plotlyjs(), media_type="text/javascript", headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(_packed(), media_type="text/javascript", headers=headers)


def _plain(values: object) -> object:
    """An array that is no block of numbers, as of texts or of every second value."""
    if isinstance(values, np.ndarray):
        return values.tolist()
    raise TypeError(f"A figure cannot hold {type(values).__name__}.")


@cache
def _packed() -> bytes:
    return gzip.compress(get_plotlyjs().encode(), compresslevel=6)
