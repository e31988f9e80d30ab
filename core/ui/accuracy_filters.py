"""What the reader of the Accuracy page can choose, all of it in the address, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from core.accuracy.tallies import LATER, LIVE, RULES
from core.outcomes import HORIZONS
from core.store.record import MOST_SYMBOLS, Filters
from core.ui.claims import hours
from core.ui.formats import count, percent
from core.verdicts.rules import RISK_MODES, VERDICTS

ALL, BOTH, NEWEST, ANY = "All", "Both", "newest", "any"
_HORIZONS: Mapping[str, tuple[str, ...]] = {
    ALL: (),
    **{hours(horizon): (horizon,) for horizon in HORIZONS},
}
_SIDES: Mapping[str, int | None] = {BOTH: None, "Long": 1, "Short": -1}
_RECORDED: Mapping[str, str | None] = {
    BOTH: None,
    "At the time": LIVE,
    "Filled in afterwards": LATER,
}
_COVERAGE: Mapping[str, float | None] = {
    ANY: None,
    **{f"{p} %": p / 100 for p in range(60, 101, 10)},
}
# Every filter's key in the address, with what it is when nothing is chosen.
_USUAL: Mapping[str, object] = {
    "horizon": ALL,
    "side": BOTH,
    "source": RULES,
    "profile": NEWEST,
    "recorded": BOTH,
    "judged": [],
    "risk_mode": [],
    "coverage": ANY,
    "symbols": [],
    "from": None,
    "to": None,
}


def ask(mode: str, options: pd.DataFrame, symbols: Sequence[str], *, shown: bool = True) -> Filters:
    """Draw the filters; ``options`` are the rows of `core.store.record.load_options` of the mode.

    A view that has nothing to filter draws them too, not ``shown``: what the address holds belongs to
    fields that are drawn. Whoever goes on to the next view while a view without them is still being
    drawn would find all of them on their defaults, over figures that are filtered.
    """
    judges = judges_of(options)
    if not shown:
        st.html("<style>.st-key-choices { display: none; }</style>")
    with st.container(horizontal=True, vertical_alignment="center", key="choices"):
        horizon = _segments("Horizon", list(_HORIZONS), "horizon")
        side = _segments("Direction", list(_SIDES), "side")
        source = st.selectbox(
            "Source",
            judges,
            key="source",
            bind="query-params",
            label_visibility="collapsed",
            width=220,
        )
        with st.popover("More filters", icon=":material/filter_list:"):
            version, recorded = _ask_population(options)
            judged, risk, coverage = _ask_kind()
            named = _ask_symbols(symbols)
            start, end = _ask_period(options)
    return Filters(
        profile_name=mode,
        profile_version=version,
        judge=source if source in judges else RULES,
        recorded=recorded,
        verdicts=judged,
        risk_modes=risk,
        direction=_SIDES.get(side),
        horizons=_HORIZONS.get(horizon, ()),
        least_coverage=coverage,
        symbols=named,
        start=start,
        end=end,
    )


def judges_of(options: pd.DataFrame) -> list[str]:
    """The rules first, then each model with the version asked (prompt, endpoint, temperature)."""
    return [RULES, *sorted(set(options["judge"]) - {RULES})]


def versions_of(options: pd.DataFrame) -> list[str]:
    """The profile's versions, the one with the newest outcomes first."""
    last = options.groupby("profile_version", observed=True)["last_day"].max()
    return [str(name) for name in last.sort_values(ascending=False, kind="stable").index]


def known_values(options: pd.DataFrame, symbols: Sequence[str]) -> dict[str, Sequence[str]]:
    """What the address may ask of each filter, but for the days."""
    return {
        "horizon": list(_HORIZONS),
        "side": list(_SIDES),
        "source": judges_of(options),
        "profile": [NEWEST, *versions_of(options)],
        "recorded": list(_RECORDED),
        "judged": VERDICTS,
        "risk_mode": RISK_MODES,
        "coverage": list(_COVERAGE),
        "symbols": symbols,
    }


def reset() -> None:
    """Choose nothing; for a button's callback."""
    for key in _USUAL:
        clear(key)


def clear(key: str) -> None:
    """Choose nothing of one filter; for a button's callback."""
    st.session_state[key] = _USUAL[key]


def draw_chosen(filters: Filters, options: pd.DataFrame) -> None:
    """Say whose record is shown and what narrows it, with a way back to everything."""
    narrowed = narrowing(filters)
    with st.container(horizontal=True, vertical_alignment="center", key="chosen"):
        said = f"{population(filters, options)}."
        if narrowed:
            said += f" Only {', '.join(narrowed)}."
        st.caption(said, width="content")
        if any(st.session_state.get(key) != usual for key, usual in _USUAL.items()):
            st.button(
                "Show everything",
                icon=":material/filter_alt_off:",
                type="tertiary",
                key="reset",
                on_click=reset,
            )


def population(filters: Filters, options: pd.DataFrame) -> str:
    """Whose record it is: judge, profile with its version, and when it was recorded."""
    judge = "the rules" if filters.judge == RULES else f"the model {filters.judge}"
    version = filters.profile_version or (versions_of(options) or ["none yet"])[0]
    of_all = len(versions_of(options))
    which = f"version {version}" + (f", one of {of_all}" if of_all > 1 else "")
    recorded = {
        None: "recorded at the time and filled in afterwards alike",
        LIVE: "recorded at the time",
        LATER: "filled in afterwards",
    }
    return f"Verdicts of {judge} on {filters.profile_name} ({which}), {recorded[filters.recorded]}"


def narrowing(filters: Filters) -> list[str]:
    """What the filters leave of that record, in words; empty where they leave all of it."""
    return [words for key, words, _ in narrowing_parts(filters) if key != "recorded"]


def narrowing_parts(filters: Filters) -> list[tuple[str, str, dict[str, Any]]]:
    """Each filter that takes something away: its key, it in words, and `Filters` without it."""
    parts: list[tuple[str, str, dict[str, Any]]] = []
    if filters.recorded is not None:
        said = {kind: words for words, kind in _RECORDED.items()}[filters.recorded]
        parts.append(("recorded", f"recorded: {said.lower()}", {"recorded": None}))
    if filters.verdicts:
        parts.append(("judged", " or ".join(filters.verdicts), {"verdicts": ()}))
    if filters.risk_modes:
        modes = " or ".join(mode.lower() for mode in filters.risk_modes)
        parts.append(("risk_mode", f"risk mode {modes}", {"risk_modes": ()}))
    if filters.direction is not None:
        side = "long" if filters.direction > 0 else "short"
        parts.append(("side", side, {"direction": None}))
    if filters.horizons:
        parts.append(("horizon", " or ".join(map(hours, filters.horizons)), {"horizons": ()}))
    if filters.least_coverage is not None:
        least = f"coverage of {percent(filters.least_coverage, 0)} or more"
        parts.append(("coverage", least, {"least_coverage": None}))
    if filters.symbols:
        few = len(filters.symbols) <= 3
        named = ", ".join(filters.symbols) if few else count(len(filters.symbols), "symbol")
        parts.append(("symbols", named, {"symbols": ()}))
    if filters.start is not None:
        parts.append(("from", f"exits from {_said(filters.start)}", {"start": None}))
    if filters.end is not None:
        parts.append(("to", f"exits until {_said(filters.end)}", {"end": None}))
    return parts


def _segments(label: str, options: Sequence[str], key: str) -> str:
    chosen = st.segmented_control(
        label,
        options,
        default=options[0],
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    # An empty value in the address is no choice, whatever the widget requires.
    return chosen or options[0]


def _ask_population(options: pd.DataFrame) -> tuple[str | None, str | None]:
    version = st.selectbox(
        "Profile version",
        [NEWEST, *versions_of(options)],
        key="profile",
        bind="query-params",
        help="Versions are separate records and are never counted together.",
    )
    recorded = st.segmented_control(
        "Recorded",
        list(_RECORDED),
        default=BOTH,
        required=True,
        key="recorded",
        bind="query-params",
        help="At the time: stored within two hours of the bar. Filled in afterwards: by a replay.",
    )
    return None if version in (None, NEWEST) else version, _RECORDED.get(recorded or BOTH)


def _ask_kind() -> tuple[tuple[str, ...], tuple[str, ...], float | None]:
    judged = st.pills(
        "Verdict", VERDICTS, selection_mode="multi", key="judged", bind="query-params"
    )
    risk = st.pills(
        "Risk mode", RISK_MODES, selection_mode="multi", key="risk_mode", bind="query-params"
    )
    coverage = st.selectbox(
        "Coverage, at least", list(_COVERAGE), key="coverage", bind="query-params"
    )
    return tuple(sorted(judged)), tuple(sorted(risk)), _COVERAGE.get(coverage or ANY)


def _ask_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    named = st.multiselect(
        "Symbols",
        symbols,
        key="symbols",
        placeholder=f"All, or up to {MOST_SYMBOLS}",
        max_selections=MOST_SYMBOLS,
        bind="query-params",
    )
    return tuple(sorted(named))


def _ask_period(options: pd.DataFrame) -> tuple[date | None, date | None]:
    """First and last day of exits, both included, in UTC as the record counts days."""
    if options.empty:
        return None, None
    first, last = options["first_day"].min().date(), options["last_day"].max().date()
    left, right = st.columns(2)
    with left:
        start = _day("From", "from", first, last)
    with right:
        end = _day("To", "to", first, last)
    return start, end


def _day(label: str, key: str, first: date, last: date) -> date | None:
    chosen = st.date_input(
        label,
        value=None,
        min_value=first,
        max_value=last,
        key=key,
        bind="query-params",
        format="YYYY-MM-DD",
        help="Day of the exit, in UTC.",
    )
    return chosen if isinstance(chosen, date) else None


def _said(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
