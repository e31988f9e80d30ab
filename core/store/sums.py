"""The sums of `core.accuracy.tallies.tally`, made by the database where the outcomes lie.

The same numbers, integers to the last one; a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import pandas as pd
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy import Integer as Whole
from sqlalchemy.types import NullType

from core.accuracy.tallies import BEYOND, CELL, COUNTS, DAY, LATER, LIVE, R_COUNTS, R_EDGES, RULES
from core.outcomes import HORIZONS, Costs
from core.store.tables import outcomes, signals, verdicts

# A row of tallies is also added up over all bins of coverage, of the score, or of both: what asks for
# less then reads less. The bin of such a row is this.
ANY_BIN = -1
BINS = ("coverage_bin", "score_bin")
# How many signals there are whose outcome falls on the day, finished or not.
FOLLOWED = "followed"

Expression = ColumnElement[Any]
_LIVE_HOURS = 2
_MIDNIGHT = " 00:00:00.000000"
_SECOND = "interval '1 second'"
_WHOLE = frozenset((*COUNTS, FOLLOWED))


@dataclass(frozen=True, eq=False)
class Judged:
    """Signals as one kind of judge sees them: the rules, or whichever model answered."""

    judge: Expression
    verdict: Expression
    risk_mode: Expression
    multiplier: Expression
    allowed: Expression  # the size from which the judge could go down
    traded: Expression
    signals: FromClause

    @property
    def outcomes(self) -> FromClause:
        return self.signals.join(outcomes, outcomes.c.signal_id == signals.c.id)


def _trades(verdict: Expression) -> Expression:
    """Whether a verdict is an order to trade."""
    return or_(verdict == "CONFIRM", verdict == "DOWNSIZE")


BY_RULES = Judged(
    literal(RULES),
    func.coalesce(signals.c.verdict, ""),
    func.coalesce(signals.c.risk_mode, ""),
    signals.c.multiplier,
    literal(1.0),
    outcomes.c.traded,
    signals,
)
BY_MODELS = Judged(
    verdicts.c.model + " / " + verdicts.c.prompt_version,
    verdicts.c.verdict,
    func.coalesce(verdicts.c.risk_mode, ""),
    verdicts.c.multiplier,
    signals.c.multiplier,
    and_(outcomes.c.traded, _trades(verdicts.c.verdict)),
    signals.join(
        verdicts, and_(verdicts.c.signal_id == signals.c.id, verdicts.c.state == "answered")
    ),
)


def judged_by(judge: str) -> Judged:
    """How a judge's signals are read: "rules", or a model and the version of all it was asked
    with (prompt, endpoint, temperature)."""
    return BY_RULES if judge == RULES else BY_MODELS


def of_judge(judge: str) -> Expression:
    """Whether a row of `judged_by` is this judge's, in words that an estimate can be made of."""
    if judge == RULES:
        return true()
    model, _, prompt_version = judge.rpartition(" / ")
    return and_(verdicts.c.model == model, verdicts.c.prompt_version == prompt_version)


@cache
def cell_of(judged: Judged, dialect: str) -> Mapping[str, Expression]:
    """What tells the cells of outcomes apart, by the names of `CELL`; made once, as it takes long."""
    claimed = case(
        (_claimed() * 100 < 50, literal_column("50.0")),
        (_claimed() * 100 > 100, literal_column("100.0")),
        else_=_claimed() * 100,
    )
    return {
        "profile_name": signals.c.profile_name,
        "profile_version": signals.c.profile_version,
        "judge": judged.judge,
        "recorded": recorded(dialect),
        "verdict": judged.verdict,
        "risk_mode": judged.risk_mode,
        "direction": signals.c.direction,
        "horizon": outcomes.c.horizon,
        "coverage_bin": cast(func.floor(signals.c.coverage * 10 + 1e-9), Whole),
        "score_bin": 5 * cast(func.floor(claimed / 5 + 1e-9), Whole),
        "traded": judged.traded,
    }


def recorded(dialect: str) -> Expression:
    """Whether a signal was stored when its bar was new."""
    if dialect == "sqlite":
        # Times are text there; a comparison of julian days would round the limit.
        time = type_coerce(signals.c.time, NullType())
        limit = func.datetime(time, f"+{_LIVE_HOURS} hours", type_=Text) + func.substr(
            time, 20, type_=Text
        )
        in_time = type_coerce(signals.c.recorded_at, NullType()) <= limit
    else:
        in_time = signals.c.recorded_at - signals.c.time <= literal_column(
            f"interval '{_LIVE_HOURS} hours'"
        )
    return case((in_time, LIVE), else_=LATER)


def day_of(dialect: str, time: Expression) -> Expression:
    """The UTC day of a time, as `UtcDateTime` keeps it."""
    if dialect == "sqlite":
        return func.substr(type_coerce(time, NullType()), 1, 10, type_=Text) + _MIDNIGHT
    return func.date_trunc("day", time, "UTC")


def _day_after(dialect: str, seconds: Expression) -> Expression:
    """The UTC day on which the horizon of a signal ends."""
    if dialect == "sqlite":
        time = type_coerce(signals.c.time, NullType())
        return func.date(time, func.printf("+%d seconds", seconds), type_=Text) + _MIDNIGHT
    return func.date_trunc("day", signals.c.time + seconds * literal_column(_SECOND), "UTC")


@cache
def contents(judged: Judged, names: tuple[str, ...]) -> Mapping[str, Expression]:
    """What one outcome adds to each of the sums ``names``."""
    o = outcomes.c
    path = and_(o.mae_r.is_not(None), o.mfe_r.is_not(None))
    gain_r, loss_r = (_positive(func.coalesce(side, 0.0)) for side in (o.r_multiple, -o.r_multiple))
    forgone = _forgone(judged)
    claimed, win = _claimed(), _one(o.net_return > 0)
    every = {
        "n": literal_column("1"),
        "wins": win,
        "long_wins": _one(o.long_net_return > 0),
        "opposite_wins": _one(_opposite() > 0),
        "beyond": _one(o.gross_return > BEYOND),
        "n_r": _one(o.r_multiple.is_not(None)),
        "n_barrier": _one(o.barrier_r.is_not(None)),
        "stops": _one(o.barrier == "stop"),
        "targets": _one(o.barrier == "target"),
        "n_path": _one(path),
        "funding_assumed": _one(o.funding_assumed),
        **_counted(),
        "sum_net": o.net_return,
        "sum_net_squared": o.net_return * o.net_return,
        "gain_net": _positive(o.net_return),
        "loss_net": _positive(-o.net_return),
        "sum_long_net": o.long_net_return,
        "sum_opposite_net": _opposite(),
        "sum_r": func.coalesce(o.r_multiple, 0.0),
        "sum_r_squared": func.coalesce(o.r_multiple * o.r_multiple, 0.0),
        "gain_r": gain_r,
        "loss_r": loss_r,
        "sum_barrier_r": func.coalesce(o.barrier_r, 0.0),
        "sum_mae_r": case((path, o.mae_r), else_=0.0),
        "sum_mfe_r": case((path, o.mfe_r), else_=0.0),
        "forgone_gain_r": forgone * gain_r,
        "forgone_loss_r": forgone * loss_r,
        "sum_claimed": claimed,
        "sum_claimed_squared": claimed * claimed,
        "sum_claimed_wins": claimed * win,
    }
    return {name: every[name] for name in names}


def outcome_rows(judged: Judged, dialect: str, columns: Sequence[str]) -> Select[Any]:
    """One row per outcome: its cell, its day, and what it adds to the sums ``columns``."""
    parts = {
        **cell_of(judged, dialect),
        DAY: day_of(dialect, outcomes.c.exit_at),
        **contents(judged, tuple(columns)),
    }
    return select(*(part.label(name) for name, part in parts.items())).select_from(judged.outcomes)


def followed_rows(judged: Judged, dialect: str) -> Select[Any]:
    """Rows per signal that is followed: the cell and day of its outcome at each horizon to come.

    Whether it is traded is told by its verdict alone; a plan may still be refused.
    """
    lengths = union_all(*(select(*_length(horizon)) for horizon in HORIZONS)).subquery("lengths")
    said: dict[str, Expression] = {"horizon": lengths.c.horizon, "traded": _trades(judged.verdict)}
    parts: dict[str, Expression] = {
        **cell_of(judged, dialect),
        **said,
        DAY: _day_after(dialect, lengths.c.seconds),
        FOLLOWED: literal_column("1"),
    }
    query = select(*(part.label(name) for name, part in parts.items()))
    return query.select_from(judged.signals.join(lengths, true())).where(followed())


def _length(horizon: str) -> tuple[Expression, Expression]:
    seconds = int(pd.Timedelta(horizon).total_seconds())
    return literal(horizon).label("horizon"), literal_column(str(seconds)).label("seconds")


def in_every_family(whole: FromClause, columns: Sequence[str]) -> Select[Any]:
    """Sums by cell (and day), and those over all bins of coverage, of the score, and of both."""
    names = [name for name in (*CELL, DAY) if name in whole.c]
    one: Expression = literal_column("1")
    both = select(one.label("kept")).union_all(select(literal_column("0")))
    keys: dict[str, Expression] = {name: whole.c[name] for name in names}
    source = whole
    for name in BINS:
        keep = both.subquery(f"by_{name}")
        source = source.join(keep, true())
        keys[name] = case((keep.c.kept == 1, whole.c[name]), else_=literal_column(str(ANY_BIN)))
    parts = select(
        *(key.label(name) for name, key in keys.items()), *(whole.c[name] for name in columns)
    ).select_from(source)
    return added_up(parts.subquery("parts"), names, columns)


def added_up(rows: FromClause, by: Sequence[str], columns: Sequence[str]) -> Select[Any]:
    """Rows of `outcome_rows` added up by some of their keys."""
    keys = [rows.c[name] for name in by]
    return select(*keys, *totals(rows, columns)).group_by(*keys)


def totals(rows: FromClause, columns: Sequence[str]) -> list[Expression]:
    """Sums of columns, whole numbers staying whole."""
    return [
        (cast(func.sum(rows.c[name]), Whole) if name in _WHOLE else func.sum(rows.c[name])).label(
            name
        )
        for name in columns
    ]


def same_cell(one: FromClause, other: FromClause) -> Expression:
    return and_(*(one.c[name] == other.c[name] for name in CELL))


def _one(condition: Expression) -> Expression:
    return case((condition, literal_column("1")), else_=literal_column("0"))


def _positive(value: Expression) -> Expression:
    return case((value > 0, value), else_=0.0)


def _claimed() -> Expression:
    share = signals.c.score / 100.0
    return func.coalesce(case((signals.c.direction > 0, share), else_=1 - share), 0.5)


def _forgone(judged: Judged) -> Expression:
    left = func.coalesce(judged.allowed - judged.multiplier, 0.0)
    return case((left < 0, 0.0), else_=left)


def _opposite() -> Expression:
    o = outcomes.c
    paid = o.gross_return - o.net_return
    return -o.gross_return - case((o.funding_assumed, paid), else_=2 * Costs().round_trip - paid)


def _counted() -> dict[str, Expression]:
    r: Expression = outcomes.c.r_multiple
    edges: list[Expression] = [literal_column(repr(float(edge))) for edge in R_EDGES]
    inside = [and_(r >= low, r < high) for low, high in pairwise(edges)]
    conditions = [r < edges[0], *inside, r >= edges[-1]]
    return {name: _one(part) for name, part in zip(R_COUNTS, conditions, strict=True)}


def followed() -> Expression:
    """A signal that is followed: one with a direction. In the words of the index over them."""
    return literal_column("signals.direction <> 0")
