"""Backtests: runs of profiles over histories, and asking for one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy import Connection

from core.market.histories import find_history, histories
from core.operations.cursors import read_cursor, write_cursor
from core.operations.own.accuracy import Row, rows_of
from core.operations.own.ledger import Nothing
from core.operations.registry import (
    Context,
    NotThere,
    Operation,
    Parameters,
    WrongParameters,
)
from core.operations.values import (
    MODE,
    Cursor,
    Day,
    Limit,
    Line,
    Mode,
    Moment,
    Page,
    Result,
    Symbol,
    Time,
    Version,
    Word,
    page_of,
)
from core.signals import Profile
from core.store import backtests as store
from core.store.histories import Contents, ask_for_run, load_recorded, load_stored
from core.store.profiles import load_schedule
from core.store.tracing import load_stored_profile

RUN = "Id of the run, ten hexadecimal digits."


class History(Result):
    """Something that a profile can be run on."""

    key: str = Field(description="What to ask for it by.")
    label: str = Field(description="The same for people.")
    stored: bool = Field(description="Whether it is the bars in this server's database.")


class Histories(Result):
    """What a profile can be run on."""

    items: list[History] = Field(description="The stored bars first.")


def list_histories(context: Context, _: Nothing) -> Histories:
    found = histories(context.settings, context.market)
    return Histories(
        items=[History(key=one.key, label=one.label, stored=one.market is None) for one in found]
    )


class RunsAsked(Parameters):
    limit: Limit = 50
    cursor: Cursor = None


class Run(Result):
    """A run without its results."""

    id: str = Field(description=RUN)
    name: str = Field(description="What it was called.")
    history: str = Field(description="Key of the history.")
    mode: str = Field(description="Mode of the profile.")
    version: str = Field(description="Version of the profile.")
    symbols: list[str] | None = Field(description="Markets; null: all.")
    start: Time = Field(description="First day, UTC; null: that of the history.")
    end: Time = Field(description="Last day, UTC; null: that of the history.")
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = Field(
        description="Where it is."
    )
    fraction: float = Field(description="How far it is, 0..1.")
    stage: str = Field(description="What is being done.")
    message: Word = Field(description="Why it came to nothing, where it did.")
    headline: Word = Field(description="What it gave in a sentence.")
    held_back_from: Time = Field(description="From which day on results are held back, UTC.")
    asked_by: str = Field(description="Who asked for it.")
    asked_at: datetime = Field(description="When, UTC.")
    finished_at: Time = Field(description="When it ended, UTC; null: not yet.")


def list_runs(context: Context, asked: RunsAsked) -> dict[str, Any]:
    place = read_cursor("backtests_list", asked, asked.cursor, tuple[Moment, str])
    with context.reading() as conn:
        found = store.load_runs(conn, asked.limit + 1, place)
    return page_of(
        found,
        asked.limit,
        lambda one: write_cursor("backtests_list", asked, (one.asked_at, one.id)),
        lambda one: Run(**_fields(one)),
    )


def _fields(run: store.Run) -> dict[str, Any]:
    asked = run.asked
    copied = (
        "id", "state", "fraction", "stage", "message", "headline", "held_back_from", "asked_by",
        "asked_at", "finished_at",
    )  # fmt: skip
    return {
        **{name: getattr(run, name) for name in copied},
        "name": asked.name,
        "history": asked.history,
        "mode": asked.profile.name,
        "version": asked.profile.version,
        "symbols": None if asked.symbols is None else list(asked.symbols),
        "start": asked.start,
        "end": asked.end,
    }


class RunAsked(Parameters):
    run_id: Line = Field(min_length=1, max_length=16, description=RUN, examples=["0123456789"])


class RunWhole(Run):
    """A run with what its shown days gave; the held-back ones are looked at on the page only."""

    profile: Profile = Field(description="The profile as it was run.")
    counts: dict[str, int] = Field(description="Bars and signals; empty while it is not done.")
    looks: int = Field(description="Rows that could have been flagged.")
    rows: list[Row] = Field(description="As accuracy_summary gives them; empty while not done.")


def one_run(context: Context, asked: RunAsked) -> RunWhole:
    with context.reading() as conn:
        run = _load(conn, asked.run_id)
        result = store.load_result(conn, asked.run_id)
    looks, rows = 0, list[Row]()
    if result is not None:
        tallies = store.parse_tallies(result["tallies"])
        looks, rows = rows_of(tallies, tallies)
    return RunWhole(
        **_fields(run),
        profile=run.asked.profile,
        counts={} if result is None else result["counts"],
        looks=looks,
        rows=rows,
    )


def _load(conn: Connection, run_id: str) -> store.Run:
    run = store.load_run(conn, run_id)
    if run is None:
        raise NotThere(f"There is no run {run_id}: backtests_list has all.")
    return run


class RequestAsked(Parameters):
    name: Line = Field(min_length=1, max_length=128, description="To find the run again by.")
    history: Line = Field(
        "", max_length=256, description='Key of the history; "": the stored bars.'
    )
    mode: Mode = Field("balanced", description=MODE)
    version: Version | None = Field(
        None, description="Stored version of the mode; by default the one in force now."
    )
    profile: Profile | None = Field(
        None, description="A whole profile instead, saved or not; its name is the mode."
    )
    symbols: tuple[Symbol, ...] = Field((), max_length=1000, description="Markets; none: all.")
    start: Day | None = Field(None, description="First day, UTC; by default that of the history.")
    end: Day | None = Field(None, description="Last day, UTC; by default that of the history.")

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        if self.profile is not None and self.version is not None:
            raise ValueError("give a version or a profile, not both")
        return self


class Requested(Result):
    """A run that waits for a worker."""

    id: str = Field(description=RUN)


def request(context: Context, asked: RequestAsked) -> Requested:
    with context.reading() as conn:
        profile = _profile(conn, asked, context.now)
        contents = _contents(conn, context, asked.history)
    symbols = _known_symbols(asked.symbols, contents)
    wanted = store.Asked(
        asked.name,
        asked.history or context.market.key,
        profile,
        symbols,
        _midnight(asked.start),
        _midnight(asked.end),
    )
    with context.engine.begin() as conn:
        made = ask_for_run(conn, wanted, contents, by=context.caller, at=context.now)
    return Requested(id=made)


def _profile(conn: Connection, asked: RequestAsked, now: datetime) -> Profile:
    if asked.profile is not None:
        return asked.profile
    in_force = load_schedule(conn, asked.mode)
    if asked.version is None or asked.version == in_force.first.version:
        return in_force.at(now) if asked.version is None else in_force.first
    found = load_stored_profile(conn, asked.mode, asked.version)
    if found is None:
        raise WrongParameters({"version": f"is none of {asked.mode}; profiles_list has all"})
    return found


def _contents(conn: Connection, context: Context, key: str) -> Contents | None:
    found = find_history(context.settings, context.market, key or context.market.key)
    return load_stored(conn) if found.market is None else load_recorded(found.market)


def _known_symbols(symbols: tuple[str, ...], contents: Contents | None) -> tuple[str, ...] | None:
    strange = sorted(set(symbols) - set(contents.symbols)) if contents is not None else []
    if strange:
        raise WrongParameters({"symbols": f"the history has no market {strange[0]}"})
    return tuple(sorted(set(symbols))) or None


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), tzinfo=UTC)


def cancel(context: Context, asked: RunAsked) -> Run:
    with context.engine.begin() as conn:
        _load(conn, asked.run_id)
        if not store.cancel(conn, asked.run_id, context.caller, context.now):
            raise WrongParameters({"run_id": "has ended already"})
        return Run(**_fields(_load(conn, asked.run_id)))


_READ: Mapping[str, Any] = {"group": "backtests", "role": "analyst", "scope": "backtests.read"}
_WRITE: Mapping[str, Any] = {**_READ, "scope": "backtests.write", "writes": True}
OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        name="backtests_list",
        title="Backtests",
        description="Every run that was asked for, the newest first, and how far it is.",
        parameters=RunsAsked,
        run=list_runs,
        result=Page[Run],
        examples=({"limit": 10},),
        path="/backtests",
        **_READ,
    ),
    Operation(
        name="backtests_histories",
        title="Histories for backtests",
        description="What a profile can be run on: the stored bars, recordings, the simulated market.",
        parameters=Nothing,
        run=list_histories,
        result=Histories,
        examples=({},),
        path="/backtests/histories",
        **_READ,
    ),
    Operation(
        name="backtests_one",
        title="One backtest with its results",
        description="A run, the profile as it was run, and what the shown days gave by verdict and "
        "horizon. What is held back can be looked at on the page only, once.",
        parameters=RunAsked,
        run=one_run,
        result=RunWhole,
        examples=({"run_id": "0123456789"},),
        path="/backtests/{run_id}",
        **_READ,
    ),
    Operation(
        name="backtests_request",
        title="Ask for a backtest",
        description="Have a worker run a profile over a history. Its last third is held back.",
        parameters=RequestAsked,
        run=request,
        result=Requested,
        examples=({"name": "Balanced, as it is", "mode": "balanced"},),
        path="/backtests",
        **_WRITE,
    ),
    Operation(
        name="backtests_cancel",
        title="Cancel a backtest",
        description="Have a run that waits or runs end without a result.",
        parameters=RunAsked,
        run=cancel,
        result=Run,
        examples=({"run_id": "0123456789"},),
        path="/backtests/cancel",
        **_WRITE,
    ),
)
