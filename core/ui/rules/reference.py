"""The table of the language on the page: every name and function, searchable."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st

from core.alerts.reference import reference
from core.ui.formats import count


def draw_reference() -> None:
    """Draw the table, collapsed."""
    with st.expander(
        "Names and functions of the language", icon=":material/menu_book:", key="rule_words"
    ):
        asked = st.text_input(
            "Search", key="rule_reference", placeholder="funding, percent, rank, source",
            label_visibility="collapsed", icon=":material/search:",
        )  # fmt: skip
        found, rows = matching(asked or "")
        if asked:
            st.caption(f"{count(rows, 'row')} with “{asked}”." if rows else
                       f"Nothing here has “{asked}” in it. Search for a part of a word.")  # fmt: skip
        if rows:
            st.markdown(found)


def matching(asked: str) -> tuple[str, int]:
    """The tables with the rows that have every word that is asked for, and how many rows those are.

    >>> text, rows = matching("crosses below")
    >>> rows, "`crosses_below(x, y)`" in text, "`fear_greed`" in text
    (1, True, False)
    """
    wanted = asked.lower().split()
    tables, total = [], 0
    for head, rule, rows in _tables():
        kept = [row for row in rows if all(word in row.lower() for word in wanted)]
        total += len(kept)
        if kept:
            tables.append("\n".join([head, rule, *kept]))
    return "\n\n".join(tables), total


def _tables() -> Iterator[tuple[str, str, list[str]]]:
    for table in reference().strip().split("\n\n"):
        head, rule, *rows = table.split("\n")
        yield head, rule, rows
