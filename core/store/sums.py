"""The sums of `core.accuracy.tallies.tally`, made by the database where the outcomes lie.

The same numbers, integers to the last one; a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy import Integer as Whole
from sqlalchemy.types import NullType

from core.accuracy.tallies import BEYOND, CELL, COUNTS, DAY, LATER, LIVE, R_COUNTS, R_EDGES, RULES
from core.outcomes import Costs
from core.store.tables import outcomes, signals, verdicts

Expression = ColumnElement[Any]
# What of a verdict is an order to trade.
_TRADING = ("CONFIRM", "DOWNSIZE")
_LIVE_HOURS = 2


@dataclass(frozen=True)
class Judged:
    """Signals as one kind of judge sees them: the rules, or whichever model answered."""

    judge: Expression
    verdict: Expression
    risk_mode: Expression
    multiplier: Expression
    traded: Expression
    signals: FromClause

    @property
    def outcomes(self) -> FromClause:
        return self.signals.join(outcomes, outcomes.c.signal_id == signals.c.id)


BY_RULES = Judged(
    literal(RULES),
    func.coalesce(signals.c.verdict, ""),
    func.coalesce(signals.c.risk_mode, ""),
    signals.c.multiplier,
    outcomes.c.traded,
    signals,
)
BY_MODELS = Judged(
    verdicts.c.model + " / " + verdicts.c.prompt_version,
    verdicts.c.verdict,
    func.coalesce(verdicts.c.risk_mode, ""),
    verdicts.c.multiplier,
    and_(outcomes.c.traded, verdicts.c.verdict.in_(_TRADING)),
    signals.join(
        verdicts, and_(verdicts.c.signal_id == signals.c.id, verdicts.c.state == "answered")
    ),
)


def judged_by(judge: str) -> Judged:
    """How a judge's signals are read: "rules", or a model and its prompt version."""
    return BY_RULES if judge == RULES else BY_MODELS


def cell_of(judged: Judged, dialect: str) -> dict[str, Expression]:
    """What tells the cells of outcomes apart, by the names of `CELL`."""
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
        "coverage_bin": coverage_bin(),
        "score_bin": 5 * cast(func.floor(claimed / 5 + 1e-9), Whole),
        "traded": judged.traded,
    }


def coverage_bin() -> Expression:
    return cast(func.floor(signals.c.coverage * 10 + 1e-9), Whole)


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


def day_of(dialect: str) -> Expression:
    """The UTC day of the exit, as `UtcDateTime` keeps it."""
    if dialect == "sqlite":
        exit_at = type_coerce(outcomes.c.exit_at, NullType())
        return func.substr(exit_at, 1, 10, type_=Text) + " 00:00:00.000000"
    return func.date_trunc("day", outcomes.c.exit_at, "UTC")


def contents(judged: Judged, names: Sequence[str]) -> dict[str, Expression]:
    """What one outcome adds to each of the sums ``names``."""
    o = outcomes.c
    path = and_(o.mae_r.is_not(None), o.mfe_r.is_not(None))
    gain_r, loss_r = (_positive(func.coalesce(side, 0.0)) for side in (o.r_multiple, -o.r_multiple))
    forgone = _forgone(judged.multiplier)
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
    parts = {**cell_of(judged, dialect), DAY: day_of(dialect), **contents(judged, columns)}
    return select(*(part.label(name) for name, part in parts.items())).select_from(judged.outcomes)


def added_up(rows: Subquery, by: Sequence[str], columns: Sequence[str]) -> Select[Any]:
    """Rows of `outcome_rows` added up by some of their keys."""
    keys = [rows.c[name] for name in by]
    return select(*keys, *totals(rows, columns)).group_by(*keys)


def totals(rows: FromClause, columns: Sequence[str]) -> list[Expression]:
    """Sums of columns, whole numbers staying whole."""
    return [
        (cast(func.sum(rows.c[name]), Whole) if name in COUNTS else func.sum(rows.c[name])).label(
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


def _forgone(multiplier: Expression) -> Expression:
    left = 1 - func.coalesce(multiplier, 1.0)
    return case((left < 0, 0.0), (left > 1, 1.0), else_=left)


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
