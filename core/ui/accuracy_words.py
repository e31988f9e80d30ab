"""What the Accuracy page says where outcomes are not finished, or where the filters leave none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from core.accuracy.tallies import LATER, LIVE
from core.store.record import Filters, Unfinished
from core.ui import loaders
from core.ui.accuracy_filters import clear, narrowing_parts
from core.ui.claims import hours
from core.ui.formats import count, number


def finished_words(by_kind: Mapping[str, int]) -> str:
    """How many outcomes are finished, and of both kinds of recording each apart.

    >>> finished_words({"live": 20, "later": 1400})
    '1,420 finished outcomes: 20 recorded at the time, 1,400 filled in afterwards.'
    >>> finished_words({"later": 1})
    '1 finished outcome.'
    """
    all_of_them = count(sum(by_kind.values()), "finished outcome")
    kinds = {LIVE: "recorded at the time", LATER: "filled in afterwards"}
    parts = [f"{number(by_kind[kind])} {said}" for kind, said in kinds.items() if by_kind.get(kind)]
    return f"{all_of_them}: {', '.join(parts)}." if len(parts) > 1 else f"{all_of_them}."


def unfinished_words(waiting: Mapping[str, Unfinished]) -> str:
    """How many outcomes are not finished, by horizon; overdue ones lack bars.

    >>> unfinished_words({"1h": Unfinished(0, 2), "4h": Unfinished(3, 0), "24h": Unfinished(20, 1)})
    'Not finished and not counted: pending 3 at 4 h, 20 at 24 h; overdue, for want of bars, 2 at 1 h, 1 at 24 h.'
    """
    kinds = {
        "pending": {horizon: found.pending for horizon, found in waiting.items()},
        "overdue, for want of bars,": {
            horizon: found.overdue for horizon, found in waiting.items()
        },
    }
    said = [
        f"{kind} {_listed(amounts)}" for kind, amounts in kinds.items() if any(amounts.values())
    ]
    return (
        f"Not finished and not counted: {'; '.join(said)}."
        if said
        else "Every outcome is finished."
    )


def _listed(amounts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{number(amount)} at {hours(horizon)}" for horizon, amount in amounts.items() if amount
    )


CAUTION_CAVEAT = (
    "Where trades lose on average, halving any of them, chosen by a coin, scores above 0 too: the sign "
    "says nothing about choosing. Choice does: whether what was taken smaller or left out won less "
    "often than the raw signal."
)


def draw_nothing_left(filters: Filters) -> None:
    """Say that no finished outcome is left, and what each filter takes away, with a way to drop it."""
    with st.container(border=True, key="no_match", gap="small"):
        st.markdown(":material/filter_alt_off: **No finished outcome passes these filters.**")
        waiting = loaders.load_unfinished(filters)
        if any(sum(found) for found in waiting.values()):
            st.markdown(unfinished_words(waiting))
        loosened = False
        for key, words, usual in narrowing_parts(filters):
            left = loaders.load_tallies(replace(filters, **usual), (), ("n",))
            amount = int(left["n"].sum())
            if amount:
                loosened = True
                st.button(
                    f"Without “{words}”: {count(amount, 'outcome')}",
                    icon=":material/filter_alt_off:",
                    key=f"without_{key}",
                    on_click=clear,
                    args=(key,),
                )
        if not loosened:
            st.markdown(
                "No single filter is to blame: show everything, and narrow it step by step."
            )
