"""The view of the ledger: what to note so that nobody can change the record unseen, and the record."""

from __future__ import annotations

import streamlit as st

from core.ui import loaders
from core.ui.formats import count

_FORMATS = {"csv": "CSV", "parquet": "Parquet", "jsonl": "JSON lines"}


def draw_ledger() -> None:
    """Length and head hash, how to verify, and the exports."""
    length, head = loaders.load_head()
    st.markdown(
        f"#### {count(length, 'entry', 'entries')}, and one number that stands for them all"
    )
    st.markdown(
        "Every signal with what it was made from, every model's verdict and every outcome is an entry "
        "of a chain: its hash is made from its own content and the hash before it. Whoever notes the "
        "head can tell ever after that nothing before it was changed, left out or put in between. "
        "Publish it where you cannot change it either."
    )
    st.code(f"{length} {head.hex()}", language=None)
    st.markdown(
        "**To verify** on the server: walk the chain, name the first entry that is broken, and print "
        "the head to compare. With a noted length and hash it says whether that head lies in the chain."
    )
    st.code("python -m core verify", language="bash")
    st.markdown(
        "**To recompute** every figure yourself, export the record. The README has a recipe of thirty "
        "lines that makes the headline table from the Parquet file."
    )
    with st.container(horizontal=True, key="exports"):
        for extension, words in _FORMATS.items():
            st.link_button(words, f"/record/ledger.{extension}", icon=":material/download:")
    st.caption("An export of a long record takes a while; it is written as it is read.")
