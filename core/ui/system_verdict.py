"""One sentence about the whole: everything works, or what does not and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.settings import Settings
from core.store.operation import Operation
from core.store.published import Suspicion
from core.ui.formats import Clock, count, duration, number, percent
from core.ui.replaying import standing
from core.ui.system_freshness import TableView
from core.ui.system_sources import SourceView
from core.ui.system_words import COLUMN_TITLES, TABLE_TITLES, source_of
from core.ui.system_worker import Rounds, StreamView
from core.ui.venues import venue_name

# A round with all that it waits for takes less.
LATE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class Problem:
    """What does not work and what to do; a lower ``rank`` is worse."""

    rank: int
    what: str
    do: str = ""


def everything_that_fails(
    operation: Operation,
    rounds: Rounds,
    sources: Sequence[SourceView],
    streams: Sequence[StreamView],
    tables: Sequence[TableView],
    settings: Settings,
    clock: Clock,
    now: datetime,
) -> list[Problem]:
    """The problems of a live market, the worst first; empty when everything works."""
    found = [
        *_worker(operation, settings),
        *_rounds(operation, rounds, clock, now),
        *_sources(sources, settings),
        *(problem for stream in streams if (problem := _stream(stream, now))),
        *_tables(tables, now),
    ]
    return sorted(found, key=lambda problem: problem.rank)


def suspicion_words(one: Suspicion) -> str:
    """What is suspicious about a column, without its source.

    >>> suspicion_words(Suspicion("social", "", "social_score", 50.0, 0.98, 480)).replace("\\u00a0", " ")
    'social score is 50 in 98 % of 480 recent values'
    """
    column = COLUMN_TITLES[one.column]
    if one.value is None:
        return f"{column} is published empty: none of {count(one.n, 'recent row')} has it"
    value = number(one.value, 6).rstrip("0").rstrip(".") if one.value % 1 else number(one.value)
    return f"{column} is {value} in {percent(one.share, 0)} of {count(one.n, 'recent value')}"


def _worker(operation: Operation, settings: Settings) -> Iterator[Problem]:
    if operation.workers.empty:
        again = " or start the dashboard again, which keeps one" if settings.worker else ""
        yield Problem(
            0,
            "No worker is alive: nothing new is collected.",
            f"Start one with `python -m core worker`{again}.",
        )


def _rounds(operation: Operation, rounds: Rounds, clock: Clock, now: datetime) -> Iterator[Problem]:
    if rounds.state == "done" or standing(operation.past, now).state == "running":
        return
    late = now - rounds.newest
    if rounds.state == "failed" or (late > LATE_AFTER and operation.first_round_at is not None):
        message = f" {rounds.message}" if rounds.message else ""
        yield Problem(
            1,
            f"The bar of {clock.minute(rounds.newest)} is not stored, {duration(late)} after its "
            f"close.{message}",
            "It is tried again by itself while a worker lives.",
        )


def _sources(sources: Sequence[SourceView], settings: Settings) -> Iterator[Problem]:
    bad = [one for one in sources if one.state in ("failing", "left alone")]
    down = {one.name for one in bad}
    if down >= set(settings.exchanges):
        yield Problem(
            1,
            "No exchange works: no new bar can be stored.",
            "Each says below why; if none can be reached, check this machine's network.",
        )
    for one in bad:
        first = one.name == settings.exchanges[0]
        rank = 2 if first else 3 if one.name in settings.exchanges else 5
        said = next(iter(one.troubles.values()), one.last_failure)
        yield Problem(rank, _failure(one, said), _remedy(said))
    for one in sources:
        for suspicion in one.suspicions:
            rank = 4 if suspicion.value is not None else 6
            yield Problem(
                rank,
                f"{_of(suspicion)}: {suspicion_words(suspicion)}.",
                "A constant is a dead source, not information: compare it with the source itself."
                if suspicion.value is not None
                else "The source may have renamed the field: see its own documentation.",
            )


def _failure(one: SourceView, said: str) -> str:
    """What a source says of itself begins with its name, which is not said twice."""
    rest = said.removeprefix(f"{one.name} ")
    if one.state == "left alone":
        return f"{one.title} is left alone {one.words}".strip() + (f": {said}" if said else ".")
    return f"{one.title} {rest}" if rest != said else f"{one.title} fails: {said}"


def _of(one: Suspicion) -> str:
    return f"{venue_name(source_of(one.table, one.venue))}, {TABLE_TITLES[one.table].lower()}"


def _remedy(said: str) -> str:
    if "asked too often" in said:
        return (
            "It is asked again by itself; if this stays so, lower budget_share in "
            "CRYPTOSATX_LIMITS, or see what else asks from this address."
        )
    if "refuses this address or key" in said:
        return "Check its key, and whether it serves this country."
    return "It is asked again by itself; `python -m core doctor` asks it now and says more."


def _stream(stream: StreamView, now: datetime) -> Problem | None:
    title = venue_name(stream.venue)
    heard = f", last heard {duration(now - stream.heard_at)} ago" if stream.heard_at else ""
    if stream.state in ("down", "silent"):
        return Problem(
            3,
            f"The liquidation stream of {title} is {stream.state}{heard}. {stream.message}".strip(),
            "It is connected again by itself; until then its hours have no totals.",
        )
    if stream.state == "followed by nobody":
        return Problem(
            3,
            f"Nobody follows the liquidation stream of {title}{heard}.",
            "A living worker takes it up within 20 s.",
        )
    if stream.lost_lately:
        return Problem(
            5,
            f"{count(stream.lost_lately, 'liquidation')} of {title} were lost in the last 24 h.",
            "They could be neither stored nor kept on disk: see that the database stays reachable.",
        )
    return None


def _tables(tables: Sequence[TableView], now: datetime) -> Iterator[Problem]:
    for one in tables:
        if one.asked and one.stale and one.newest_at is not None:
            yield Problem(
                4,
                f"{TABLE_TITLES[one.table]}: the newest is {duration(now - one.newest_at)} old.",
                f"Asked for it: {', '.join(one.asked)}.",
            )
