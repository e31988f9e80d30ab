"""The log of changes as administrators see it: that of the market and that of people as one list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from itertools import islice

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from core.instance import instance
from core.store import audit
from core.store.audit import Change
from core.ui.loaders.kept import reading
from core.ui.session import require_user

MARKET, PEOPLE = "market", "people"


@dataclass(frozen=True)
class Wanted:
    """Which entries; None is all. ``since`` is included, ``until`` is not."""

    subject: str | None = None
    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """An entry, and in which of the two logs it stands: numbers are of a log."""

    log: str
    change: Change

    @property
    def key(self) -> str:
        return f"{self.log} {self.change.id}"


@dataclass(frozen=True)
class Place:
    """How far a reader has come: the last entry of each log that was shown."""

    market: int | None = None
    people: int | None = None

    def after(self, shown: Sequence[Entry]) -> Place:
        """Behind these.

        >>> change = Change(7, datetime(2025, 6, 2), "ada", "create", "rule", "1", "Up", None, None)
        >>> Place(market=9, people=4).after([Entry(MARKET, change)])
        Place(market=7, people=4)
        """
        last = {one.log: one.change.id for one in shown}
        return replace(self, **last)


def load_changes(wanted: Wanted, limit: int, behind: Place | None = None) -> list[Entry]:
    """The newest first, from behind a place on."""
    require_user("admin")
    behind = behind or Place()
    found: list[list[Entry]] = []
    for log, conn in _logs():
        changes = audit.list_changes(
            conn,
            subject=wanted.subject,
            by=wanted.by,
            since=wanted.since,
            until=wanted.until,
            before_id=getattr(behind, log),
            limit=limit,
        )
        found.append([Entry(log, one) for one in changes])
    return list(islice(merge(*found, key=lambda one: one.change.at, reverse=True), limit))


def load_authors() -> list[str]:
    """Everyone who ever changed something."""
    require_user("admin")
    return sorted({name for _, conn in _logs() for name in audit.list_authors(conn)})


def _logs() -> Iterator[tuple[str, Connection]]:
    """Each log with a connection to it; there is one where people are in the market's database."""
    here = instance()
    with reading() as conn:
        yield MARKET, conn
    if here.accounts is not here.engine:
        with _reading_people(here.accounts) as conn:
            yield PEOPLE, conn


@contextmanager
def _reading_people(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as conn:
            yield conn
    except SQLAlchemyError as error:
        raise StoreError(
            "The database of people does not answer, and half a log is none: try again."
        ) from error
