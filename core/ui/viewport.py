"""Whether the reader's screen is narrow, so that a page draws one chart instead of many."""

from __future__ import annotations

import streamlit as st

NARROW_PX = 640
_KEY = "viewport"

_watch = st.components.v2.component(
    "cryptosatx_viewport",
    js="""
export default function ({ data, setStateValue }) {
  const query = window.matchMedia(`(max-width: ${data.px}px)`)
  const tell = () => { if (query.matches !== data.narrow) setStateValue("narrow", query.matches) }
  tell()
  query.addEventListener("change", tell)
  return () => query.removeEventListener("change", tell)
}
""",
)


def is_narrow() -> bool:
    """Whether the screen is as narrow as a phone's: what it told last, at first the browser's word.

    A page that asks has to call `watch_viewport` too.
    """
    told = (st.session_state.get(_KEY) or {}).get("narrow")
    return "Mobi" in st.context.headers.get("User-Agent", "") if told is None else bool(told)


def watch_viewport() -> None:
    """Have the browser tell when its width is another than the page was drawn for; draws nothing."""
    _watch(key=_KEY, data={"px": NARROW_PX, "narrow": is_narrow()}, on_narrow_change=lambda: None)
