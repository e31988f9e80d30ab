"""How good the verdicts are: every rate with its count, its interval and its baselines."""

from collections.abc import Callable, Mapping

import pandas as pd
import streamlit as st

from core.store.record import Filters
from core.ui import loaders
from core.ui.accuracy_address import say_misread
from core.ui.accuracy_factors import draw_factors
from core.ui.accuracy_filters import ask, draw_chosen
from core.ui.accuracy_ledger import draw_ledger
from core.ui.accuracy_models import draw_models
from core.ui.accuracy_scores import draw_scores
from core.ui.accuracy_verdicts import draw_verdicts
from core.ui.controls import chosen_mode
from core.ui.method import draw_method
from core.ui.session import require_user
from core.ui.states import draw_nothing_stored, store_failures_shown
from core.ui.viewport import watch_viewport

PERSON = require_user("analyst")

# Views over the record, which the filters narrow, and those that have nothing to filter.
OVER_RECORD: Mapping[str, Callable[[Filters, pd.DataFrame], None]] = {
    "Verdicts": lambda filters, _: draw_verdicts(filters),
    "Scores": lambda filters, _: draw_scores(filters),
    "Rules and model": draw_models,
    "Factors": lambda filters, _: draw_factors(filters),
}
OTHERS: Mapping[str, Callable[[], None]] = {
    "Ledger": lambda: draw_ledger(PERSON),
    "Method": draw_method,
}


def main() -> None:
    view = _choose_view()
    with store_failures_shown():
        mode = chosen_mode()
        options = loaders.load_record_options(mode)
        if view in OTHERS:
            _ask(mode, options, shown=False)
            OTHERS[view]()
        elif (filters := _ask(mode, options)) is None:
            draw_nothing_stored("finished outcomes")
        else:
            draw_chosen(filters, options)
            OVER_RECORD[view](filters, options)
    watch_viewport()


def _choose_view() -> str:
    views = [*OVER_RECORD, *OTHERS]
    chosen = st.segmented_control(
        "View",
        views,
        default=views[0],
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
        wrap=True,
    )
    # An empty value in the address is no choice, whatever the widget requires.
    return chosen or views[0]


def _ask(mode: str, options: pd.DataFrame, *, shown: bool = True) -> Filters | None:
    """What is narrowed; None where there is no record yet."""
    if options.empty:
        return None
    symbols = loaders.load_symbols(mode)
    say_misread(options, symbols, [*OVER_RECORD, *OTHERS])
    return loaders.load_settled(ask(mode, options, symbols, shown=shown))


main()
