"""The view of the ledger: what to note so that nobody can change the record unseen, and the record."""

from __future__ import annotations

import re

import streamlit as st

from core.accounts import Person
from core.settings import ROOT
from core.store.verifying import Published
from core.ui import loaders
from core.ui.formats import count

_FORMS = {"csv": "CSV", "parquet": "Parquet", "jsonl": "JSON lines"}
_RECIPE = re.compile(r"### Recompute it yourself\n.*?```python\n(.*?)```", re.DOTALL)


def draw_ledger(person: Person) -> None:
    """Length and head hash, how to verify, the exports, and the recipe for them."""
    length, head = loaders.load_head()
    published = Published(length, head)
    st.markdown(
        f"#### {count(length, 'entry', 'entries')}, and one number that stands for them all"
    )
    st.markdown(
        "Every signal with what it was made from, every model's verdict and every outcome is an entry "
        "of a chain: its hash is made from its own content and the hash before it. Whoever notes the "
        "head can tell ever after that nothing before it was changed, left out or put in between. "
        "Publish it where you cannot change it either."
    )
    st.code(str(published), language=None, wrap_lines=True)
    st.markdown(
        "**To verify**, on the server: this walks the chain, names the first entry that is not what "
        "was written, and says whether the head that you noted is still in it."
    )
    st.code(
        f"python -m core verify --published {published}" if length else "python -m core verify",
        language="bash",
        wrap_lines=True,
    )
    _draw_exports(person)
    recipe = find_recipe()
    if recipe:
        with st.expander("A recipe that makes the table of verdicts from the Parquet file"):
            st.markdown("Save it as `recipe.py` and run `python recipe.py FILE.parquet`.")
            st.code(recipe, language="python")


def find_recipe() -> str | None:
    """The recipe as the README states it; None where there is no README."""
    path = ROOT / "README.md"
    found = _RECIPE.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found[1] if found else None


def _draw_exports(person: Person) -> None:
    st.markdown(
        "**To recompute** every figure yourself, download the record: CSV and Parquet have a row for "
        "each outcome and judge, JSON lines an entry of the chain each."
    )
    with st.container(horizontal=True, key="exports"):
        for extension, words in _FORMS.items():
            st.link_button(
                words,
                f"/record/ledger.{extension}",
                icon=":material/download:",
                disabled=person.guest,
            )
    st.caption(
        "Downloads are for those who sign in with an account; a guest only looks around."
        if person.guest
        else "The download of a long record takes a while; it is written as it is read."
    )
