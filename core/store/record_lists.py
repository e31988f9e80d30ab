"""The single signals and outcomes behind the sums of the record, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, and_, false, func, or_, select

from core.accuracy.tallies import RULES
from core.outcomes import HORIZONS
from core.store.filters import (
    Filters,
    of_cells,
    of_outcomes,
    of_pair_days,
    of_pairs,
    settled,
)
from core.store.reading import flags, moments, numbers, raw, read_columns, words
from core.store.sums import Expression, Judged, judged_by
from core.store.tables import outcomes, pair_days, signals, tallies, tally_cells, verdicts

_OF_SIGNAL = ("symbol", "time", "direction", "score", "verdict", "multiplier")
_OF_OUTCOME = ("horizon", "exit_at", "net_return", "r_multiple", "barrier")


class SignalPlace(NamedTuple):
    """The keys of an outcome in `list_signals`."""

    exit_at: datetime
    symbol: str
    horizon: str
    signal_id: int


class BarPlace(NamedTuple):
    """The keys of a signal in `list_disagreements`."""

    time: datetime
    symbol: str
    signal_id: int


def list_signals(conn: Connection, filters: Filters, limit: int, offset: int = 0) -> pd.DataFrame:
    """The outcomes that pass, those whose exit is newest first.

    Columns signal_id, symbol, time, horizon, exit_at, direction, score, verdict and multiplier (of
    the rules), model_verdict and model_multiplier (of whichever model answered, else missing),
    traded (by the asked judge), net_return, r_multiple, barrier.
    """
    chosen = settled(conn, filters)
    if chosen.symbols:
        return _outcome_list(_list_page(conn, chosen, limit, offset))
    of_day = (
        select(tallies.c.day, func.sum(tallies.c.n))
        .join_from(tally_cells, tallies)
        .where(*of_cells(chosen, ()), tallies.c.n > 0)
        .group_by(tallies.c.day)
        .order_by(tallies.c.day.desc())
    )
    return _outcome_list(
        _joined(
            _list_page(conn, replace(chosen, start=day, end=day), wanted, skipped)
            for day, skipped, wanted in _days_of_page(conn, of_day, limit, offset)
        )
    )


def list_signals_behind(
    conn: Connection, filters: Filters, limit: int, place: SignalPlace | None = None
) -> pd.DataFrame:
    """`list_signals` behind an outcome that was listed, by its keys, whatever is stored meanwhile."""
    chosen = settled(conn, filters)
    if place is not None and (chosen.end is None or chosen.end > place.exit_at.date()):
        chosen = replace(chosen, end=place.exit_at.date())
    if chosen.symbols:
        return _outcome_list(_list_page(conn, chosen, limit, 0, place))
    of_day = (
        select(tallies.c.day)
        .join_from(tally_cells, tallies)
        .where(*of_cells(chosen, ()), tallies.c.n > 0)
        .group_by(tallies.c.day)
        .order_by(tallies.c.day.desc())
    )
    days = [row.day.date() for row in conn.execute(of_day)]

    def page(day: date, wanted: int) -> dict[str, list[Any]]:
        return _list_page(conn, replace(chosen, start=day, end=day), wanted, 0, place)

    return _outcome_list(_day_by_day(days, limit, page))


def _day_by_day(
    days: Iterable[date], limit: int, page: Callable[[date, int], dict[str, list[Any]]]
) -> dict[str, list[Any]]:
    """Rows of these days in their order, until there are ``limit``."""
    pages: list[dict[str, list[Any]]] = []
    for day in days:
        if limit <= 0:
            break
        pages.append(page(day, limit))
        limit -= len(pages[-1]["signal_id"])
    return _joined(pages)


def list_disagreements_behind(
    conn: Connection, filters: Filters, limit: int, place: BarPlace | None = None
) -> pd.DataFrame:
    """`list_disagreements` behind a signal that was listed, by its keys, whatever is stored meanwhile."""
    chosen = settled(conn, filters)
    if place is not None and (chosen.end is None or chosen.end > place.time.date()):
        chosen = replace(chosen, end=place.time.date())
    if chosen.symbols:
        return _disagreement_list(conn, _disagreement_page(conn, chosen, limit, 0, place))
    of_day = (
        select(pair_days.c.day)
        .where(*of_pair_days(conn, chosen), pair_days.c.rules != pair_days.c.model)
        .group_by(pair_days.c.day)
        .order_by(pair_days.c.day.desc())
    )
    days = [row.day.date() for row in conn.execute(of_day)]

    def page(day: date, wanted: int) -> dict[str, list[Any]]:
        return _disagreement_page(conn, replace(chosen, start=day, end=day), wanted, 0, place)

    return _disagreement_list(conn, _day_by_day(days, limit, page))


def list_disagreements(
    conn: Connection, filters: Filters, limit: int, offset: int = 0
) -> pd.DataFrame:
    """Signals on which the rules and the model gave different verdicts, the newest bars first.

    Columns signal_id, symbol, time, direction, score, verdict, multiplier, model_verdict,
    model_multiplier, and per horizon what followed: r_<horizon>, NaN while unfinished. The same
    filters count as in `load_pairs`.
    """
    chosen = settled(conn, filters)
    if chosen.symbols:
        found = _disagreement_page(conn, chosen, limit, offset)
    else:
        of_day = (
            select(pair_days.c.day, func.sum(pair_days.c.n))
            .where(*of_pair_days(conn, chosen), pair_days.c.rules != pair_days.c.model)
            .group_by(pair_days.c.day)
            .order_by(pair_days.c.day.desc())
        )
        found = _joined(
            _disagreement_page(conn, replace(chosen, start=day, end=day), wanted, skipped)
            for day, skipped, wanted in _days_of_page(conn, of_day, limit, offset)
        )
    return _disagreement_list(conn, found)


def _disagreement_list(conn: Connection, found: Mapping[str, list[Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "signal_id": np.array(found["signal_id"], dtype=np.int64),
            "symbol": words(found["symbol"]),
            "time": moments(found["time"], "time"),
            **{name: numbers(found[name]) for name in ("direction", "score")},
            "verdict": words(found["verdict"]),
            "multiplier": numbers(found["multiplier"]),
            "model_verdict": words(found["model_verdict"]),
            "model_multiplier": numbers(found["model_multiplier"]),
        }
    )
    ids = found["signal_id"]
    rows = conn.execute(
        select(outcomes.c.signal_id, outcomes.c.horizon, outcomes.c.r_multiple).where(
            outcomes.c.signal_id.in_(ids)
        )
    )
    followed_by = {(row[0], row[1]): row[2] for row in rows}
    for horizon in HORIZONS:
        frame[f"r_{horizon}"] = numbers([followed_by.get((one, horizon)) for one in ids])
    return frame


def _disagreement_page(
    conn: Connection, filters: Filters, limit: int, offset: int, place: BarPlace | None = None
) -> dict[str, list[Any]]:
    query = (
        select(
            signals.c.id.label("signal_id"),
            *raw(signals, *_OF_SIGNAL),
            verdicts.c.verdict.label("model_verdict"),
            verdicts.c.multiplier.label("model_multiplier"),
        )
        .select_from(judged_by(filters.judge).signals)
        .where(*of_pairs(conn, filters), verdicts.c.verdict != signals.c.verdict)
        .order_by(signals.c.time.desc(), signals.c.symbol, signals.c.id)
    )
    if place is not None:
        keys = ((signals.c.symbol, place.symbol), (signals.c.id, place.signal_id))
        query = query.where(_behind((signals.c.time, place.time), keys))
    return read_columns(conn, query.limit(limit).offset(offset))


def _behind(
    newest: tuple[Expression, datetime], keys: Sequence[tuple[Expression, Any]]
) -> Expression:
    """What comes behind a place: earlier, or at the same time with a later key."""
    behind: Expression = false()
    for column, value in reversed(keys):
        behind = or_(column > value, and_(column == value, behind))
    time, at = newest
    return or_(time < at, and_(time == at, behind))


def _listed(judged: Judged, filters: Filters) -> Select[Any]:
    source = judged.outcomes
    if filters.judge == RULES:
        answered = and_(verdicts.c.signal_id == signals.c.id, verdicts.c.state == "answered")
        source = source.outerjoin(verdicts, answered)
    return select(
        signals.c.id.label("signal_id"),
        *raw(signals, *_OF_SIGNAL),
        verdicts.c.verdict.label("model_verdict"),
        verdicts.c.multiplier.label("model_multiplier"),
        judged.traded.label("traded"),
        *raw(outcomes, *_OF_OUTCOME),
    ).select_from(source)


def _days_of_page(
    conn: Connection, query: Select[Any], limit: int, offset: int
) -> Iterator[tuple[date, int, int]]:
    """The days that a page is on, the newest first: the day, how many of it to skip, how many are
    still wanted. The stored sums tell how many there are, so what comes before is not gone through.

    ``query`` gives days, the newest first, and how many there are of each.
    """
    skipped, wanted = offset, limit
    for day, n in conn.execute(query):
        if wanted <= 0:
            return
        if skipped < n:
            yield day.date(), skipped, wanted
            wanted -= n - skipped
        skipped = max(0, skipped - n)


def _list_page(
    conn: Connection, filters: Filters, limit: int, offset: int, place: SignalPlace | None = None
) -> dict[str, list[Any]]:
    order = (outcomes.c.exit_at.desc(), signals.c.symbol, outcomes.c.horizon, outcomes.c.signal_id)
    query = _listed(judged_by(filters.judge), filters).where(*of_outcomes(conn, filters))
    if place is not None:
        keys = (
            (signals.c.symbol, place.symbol),
            (outcomes.c.horizon, place.horizon),
            (outcomes.c.signal_id, place.signal_id),
        )
        query = query.where(_behind((outcomes.c.exit_at, place.exit_at), keys))
    return read_columns(conn, query.order_by(*order).limit(limit).offset(offset))


def _joined(pages: Iterable[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Pages with the same columns, one after the other."""
    found: dict[str, list[Any]] = defaultdict(list)
    for page in pages:
        for name, values in page.items():
            found[name] += values
    return found


def _outcome_list(found: Mapping[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "signal_id": np.array(found["signal_id"], dtype=np.int64),
            "symbol": words(found["symbol"]),
            "time": moments(found["time"], "time"),
            "horizon": words(found["horizon"]),
            "exit_at": moments(found["exit_at"], "exit_at"),
            **{name: numbers(found[name]) for name in ("direction", "score")},
            "verdict": words(found["verdict"]),
            "multiplier": numbers(found["multiplier"]),
            "model_verdict": words(found["model_verdict"]),
            "model_multiplier": numbers(found["model_multiplier"]),
            "traded": flags(found["traded"]),
            **{name: numbers(found[name]) for name in ("net_return", "r_multiple")},
            "barrier": words(found["barrier"]),
        }
    )
