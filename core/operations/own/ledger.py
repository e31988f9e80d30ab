"""The ledger: its head, which stands for all that was recorded, and its entries."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import Field

from core.operations.cursors import read_cursor, write_cursor
from core.operations.own.shared import record_state
from core.operations.registry import Context, NotThere, Operation, Parameters
from core.operations.values import Cursor, Id, Limit, Page, Result, Word, page_of
from core.store import ledger
from core.store.entries import Entry, read_some
from core.store.verifying import Published


class Nothing(Parameters):
    """It takes nothing."""


class Head(Result):
    """What to note, so that nobody can change the record unseen."""

    length: int = Field(description="How many entries there are.")
    hash: str = Field(description="Hash of the newest one, 64 hexadecimal digits.")
    published: str = Field(
        description="Both in one, as `python -m core verify --published` takes them."
    )


class EntryAsked(Parameters):
    position: Id = Field(description="Number of the entry, from 1.", examples=[1])


class EntriesAsked(Parameters):
    after: int = Field(0, ge=0, le=2**53, description="Begin behind the entry of this number.")
    limit: Limit = 100
    cursor: Cursor = None


class Chained(Result):
    """An entry of the ledger."""

    position: int = Field(description="Its number, from 1.")
    kind: str = Field(description="signal, verdict, or outcome and its horizon.")
    row_id: int = Field(description="Number of the row that it is of.")
    hash: str = Field(description="SHA-256 of the hash before it and its content, hexadecimal.")
    content: dict[str, Any] | None = Field(
        description="What was recorded, as its row holds it now; null where the row is missing."
    )
    fault: Word = Field(description="What is wrong with its row; null: nothing.")


def head(context: Context, _: Nothing) -> Head:
    with context.reading() as conn:
        length, newest = ledger.head(conn)
    return Head(length=length, hash=newest.hex(), published=str(Published(length, newest)))


def one(context: Context, asked: EntryAsked) -> Chained:
    with context.reading() as conn:
        found = read_some(conn, asked.position - 1, 1)
        length, _ = ledger.head(conn)
    if not found or found[0].position != asked.position:
        raise NotThere(f"The ledger has {length:,} entries, and none of number {asked.position:,}.")
    return _chained(found[0])


def entries(context: Context, asked: EntriesAsked) -> dict[str, Any]:
    place = read_cursor("ledger_entries", asked, asked.cursor, tuple[Id])
    with context.reading() as conn:
        found = read_some(conn, place[0] if place else asked.after, asked.limit + 1)
    return page_of(
        found,
        asked.limit,
        lambda each: write_cursor("ledger_entries", asked, (each.position,)),
        _chained,
    )


def _chained(entry: Entry) -> Chained:
    return Chained(
        position=entry.position,
        kind=str(entry.kind),
        row_id=entry.row_id,
        hash=bytes(entry.hash).hex(),
        content=None if entry.content is None else orjson.loads(entry.content),
        fault=entry.fault,
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        "ledger_head",
        "Head of the ledger",
        "Length and newest hash of the chain over everything that was recorded. Whoever notes it can "
        "tell ever after that nothing before it was changed, left out or put in between.",
        "ledger",
        "analyst",
        "ledger.read",
        Nothing,
        head,
        result=Head,
        examples=({},),
        path="/ledger/head",
        state=record_state,
    ),
    Operation(
        "ledger_entry",
        "One entry of the ledger",
        "One entry with the content that its hash is made from.",
        "ledger",
        "analyst",
        "ledger.read",
        EntryAsked,
        one,
        result=Chained,
        examples=({"position": 1},),
        path="/ledger/entries/{position}",
        state=record_state,
    ),
    Operation(
        "ledger_entries",
        "Entries of the ledger",
        "Entries in their order, from which anybody can compute the head again.",
        "ledger",
        "analyst",
        "ledger.read",
        EntriesAsked,
        entries,
        result=Page[Chained],
        examples=({"after": 0, "limit": 10},),
        path="/ledger/entries",
        state=record_state,
    ),
)
