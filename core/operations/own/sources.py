"""Sources of the live market: how each is doing, and the streams."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from core.market.source_state import Standing, standing
from core.market.sources import KEYS, sources_in_use
from core.operations.own.ledger import Nothing
from core.operations.registry import Context, Operation
from core.operations.values import Number, Result, Time, Whole, Word, known
from core.store.operation import Operation as Machinery
from core.store.operation import load_operation


class Source(Result):
    """One source, as a worker noted it last."""

    name: str = Field(description="Its name, such as binance.")
    standing: Standing = Field(description="How it is doing.")
    last_success_at: Time = Field(description="When it last answered well, UTC.")
    last_failure_at: Time = Field(description="When it last failed, UTC.")
    last_failure: Word = Field(description="How it failed then.")
    requests: Whole = Field(description="Requests since the worker began.")
    failures: Whole = Field(description="How many of them failed.")
    latency_seconds: Number = Field(description="How long the last good answer took.")
    breaker: Word = Field(description="closed, open or half-open.")
    left_alone_seconds: Number = Field(description="How long it will not be asked.")
    troubles: dict[str, str] = Field(description="Failures of the last hour, by path.")
    noted_at: Time = Field(description="When the worker wrote this down, UTC.")
    worker: Word = Field(description="Which worker.")


class Stream(Result):
    """A stream of liquidations."""

    venue: str = Field(description="Whose.")
    heard_at: Time = Field(description="When something was last heard, UTC.")
    updated_at: Time = Field(description="When that was noted, UTC.")


class Health(Result):
    """How the outside is doing. On simulated and recorded markets there is none."""

    live: bool = Field(description="Whether this is the live market.")
    read_at: datetime = Field(description="When this was read, UTC.")
    sources: list[Source] = Field(description="In use first, then those without a key.")
    streams: list[Stream] = Field(description="By venue.")
    workers: list[str] = Field(description="Workers that are alive.")


def health(context: Context, _: Nothing) -> Health:
    if context.market.kind != "live":
        return Health(live=False, read_at=context.now, sources=[], streams=[], workers=[])
    with context.reading() as conn:
        told = load_operation(conn, context.now)
    used = sources_in_use(context.settings)
    lacking = [name for name in KEYS if name not in used]
    return Health(
        live=True,
        read_at=told.read_at,
        sources=[_source(name, told) for name in used]
        + [_silent(name, "no key") for name in lacking],
        streams=[
            Stream(
                venue=str(venue),
                heard_at=known(row["heard_at"]),
                updated_at=known(row["updated_at"]),
            )
            for venue, row in told.streams.iterrows()
        ],
        workers=[str(name) for name in told.workers.index],
    )


def _source(name: str, told: Machinery) -> Source:
    if name not in told.health.index:
        return _silent(name, "not asked yet")
    note = told.health.loc[name].to_dict()
    state: dict[str, Any] = note["state"]
    if not state.get("requests"):
        return _silent(name, "not asked yet")
    age = told.read_at - note["updated_at"]
    left = max(timedelta(seconds=state["left_alone_seconds"]) - age, timedelta(0))
    return Source(
        name=name,
        standing=standing(state, left, gone=note["worker"] not in told.workers.index),
        last_success_at=known(note["last_success_at"]),
        last_failure_at=known(note["last_failure_at"]),
        last_failure=note["last_failure"] or None,
        requests=state["requests"],
        failures=state["failures"],
        latency_seconds=state["latency_seconds"],
        breaker=state["breaker"],
        left_alone_seconds=left.total_seconds(),
        troubles=state["troubles"],
        noted_at=note["updated_at"],
        worker=note["worker"],
    )


def _silent(name: str, why: Standing) -> Source:
    nothing = dict.fromkeys(set(Source.model_fields) - {"name", "standing", "troubles"})
    return Source(name=name, standing=why, troubles={}, **nothing)


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        "sources_health",
        "Health of the sources",
        "How every source of the live market is doing, what failed last, the streams, and which "
        "workers are alive.",
        "sources",
        "admin",
        "sources.read",
        Nothing,
        health,
        result=Health,
        examples=({},),
        path="/sources",
    ),
)
