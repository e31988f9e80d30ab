"""A figure that is drawn anew in place, for parts of a page that move by themselves.

`st.plotly_chart` makes another element of every figure that differs from the one before, which
flickers and forgets the reader's zoom (streamlit/streamlit#8782). This keeps the element.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st
from plotly.offline import get_plotlyjs, get_plotlyjs_version
from starlette.requests import Request
from starlette.responses import Response

LIBRARY = "/plotly.min.js"
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": "reset"}

_CHART = st.components.v2.component(
    "cryptosatx_live_chart",
    html='<div class="chart" role="img"></div>',
    js=(Path(__file__).parent / "live_chart.js").read_text(encoding="utf-8"),
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
    def of(cls, figure: go.Figure) -> Ready:
        """A figure of `core.ui.charts`, whose alt text and words are in ``layout.meta``."""
        meta = figure.layout.meta
        words = f"**{meta['title']}**  \n{meta['look']}" if "title" in meta else ""
        return cls(figure.to_json(validate=False), meta["alt"], figure.layout.height, words)


def draw_live_figure(figure: Ready, *, key: str) -> None:
    """Draw a figure in the place of the one before it."""
    _CHART(
        key=key,
        data={
            "spec": figure.spec,
            "alt": figure.alt,
            "height": figure.height,
            "config": CONFIG,
            "library": f"{LIBRARY}?v={get_plotlyjs_version()}",
        },
    )


def serve_library(request: Request) -> Response:
    """The drawing library that came with the Python one; a browser asks for a version once."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(get_plotlyjs(), media_type="text/javascript", headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(_packed(), media_type="text/javascript", headers=headers)


@cache
def _packed() -> bytes:
    return gzip.compress(get_plotlyjs().encode(), compresslevel=6)
