"""Walking the ledger: whether the record is what was written, and if not, where it first is not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, literal, select

from core.errors import ProfileError, SettingsError
from core.signals import parse_profile
from core.store import ledger as chain
from core.store.append_only import unguarded
from core.store.contents import OUTCOME, SIGNAL, VERDICT, utc_text
from core.store.entries import Entry, read_entries
from core.store.reading import raw
from core.store.tables import (
    ledger,
    measurements,
    metadata,
    outcomes,
    profiles,
    signals,
    verdicts,
)
from core.store.tallies import check_tallies


@dataclass(frozen=True)
class Verified:
    """How far the chain holds: ``length`` entries up to ``head``, and what is wrong first, if anything.

    ``unguarded`` are the tables of the record that the database does not keep from being changed.
    """

    length: int
    head: bytes
    fault: str | None
    unguarded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """A head as it was published: ``LENGTH:HASH``."""

    length: int
    head: bytes

    def __str__(self) -> str:
        """As it is published.

        >>> str(Published(3, bytes(32)))[:8]
        '3:000000'
        """
        return f"{self.length}:{self.head.hex()}"


def parse_published(text: str) -> Published:
    """What was written down; `SettingsError` if it is no head.

    >>> parse_published("12:" + "ab" * 32).length
    12
    """
    found = re.fullmatch(r"([0-9]+):([0-9a-f]{64})", text.strip().lower())
    if found is None:
        raise SettingsError(
            f"{text} is no head: write the length, a colon and the 64 digits of the hash."
        )
    return Published(int(found[1]), bytes.fromhex(found[2]))


def verify(
    conn: Connection,
    progress: Callable[[int, int], None] = lambda *_: None,
    with_sums: bool = True,
) -> Verified:
    """Walk the whole chain, then look for rows outside it and for sums that do not follow from it.

    In a `core.store.entries.snapshot`.

    ``progress`` is told how many of how many entries are done, after every batch. Not
    ``with_sums``, those of outcomes are left out.
    """
    total, _ = chain.head(conn)
    walked = _Walk(conn)
    walked.fault = _before_the_first(conn)
    if walked.fault:
        return Verified(0, chain.GENESIS, walked.fault, tuple(unguarded(conn, metadata)))
    for batch in read_entries(conn):
        walked.take(batch)
        if walked.fault:
            break
        progress(walked.length, total)
    fault = walked.fault or _outside(conn, walked.counts)
    if with_sums and not fault:
        fault = _wrong_sum(conn)
    return Verified(walked.length, walked.head, fault, tuple(unguarded(conn, metadata)))


def unguarded_words(names: Sequence[str]) -> str:
    """What it means that tables have lost their triggers."""
    return (
        f"The triggers that refuse changes are missing from {', '.join(names)}: anybody at the "
        "database can change or delete rows there. They were taken off; a database that this version "
        "made, or a backup, has them."
    )


def still_there(conn: Connection, published: Published) -> bool:
    """Whether a head that was published is in the chain; say so only of a chain that was verified."""
    if published.length == 0:
        return published.head == chain.GENESIS
    if published.length > chain.head(conn)[0]:
        return False
    held = conn.scalar(select(ledger.c.hash).where(ledger.c.position == published.length))
    return bool(held == published.head)


def _before_the_first(conn: Connection) -> str | None:
    """An entry that no walk from the beginning comes by."""
    query = select(ledger.c.position, *raw(ledger, "kind", "row_id"))
    row = conn.execute(query.where(ledger.c.position <= 0).order_by(ledger.c.position)).first()
    if row is None:
        return None
    return (
        f"There is an entry {row.position:,} of the ledger ({row.kind} {row.row_id}), and the first is "
        "entry 1: it was put in beside the chain."
    )


class _Walk:
    """The chain from its beginning, entry by entry, until it breaks."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.length = 0
        self.head = chain.GENESIS
        self.counts: Counter[str] = Counter()
        self.fault: str | None = None

    def take(self, batch: list[Entry]) -> None:
        for number, entry in enumerate(batch):
            wrong = self._wrong_with(entry)
            if wrong is not None:
                following = batch[number + 1] if number + 1 < len(batch) else self._after(entry)
                self.fault = self._words(entry, wrong, following)
                return
            self.length, self.head = entry.position, entry.hash
            self.counts[entry.kind] += 1

    def _wrong_with(self, entry: Entry) -> str | None:
        """A word for it; empty where only the hash is another one."""
        if entry.position != self.length + 1:
            return "gap"
        if entry.content is None:
            return entry.fault
        return None if _hash_of(self.head, entry) == entry.hash else ""

    def _after(self, entry: Entry) -> Entry | None:
        batches = read_entries(self.conn, entry.position)
        return next(batches, [None])[0]

    def _words(self, entry: Entry, wrong: str, following: Entry | None) -> str:
        if wrong == "gap":
            return self._gap(entry)
        where = f"Entry {entry.position:,} of the ledger, {describe(self.conn, entry)}"
        if wrong:
            return f"{where}: {wrong}."
        return f"{where}: {self._what_changed(entry, following)}."

    def _gap(self, entry: Entry) -> str:
        missing = f"{self.length + 1:,}"
        if entry.position > self.length + 2:
            missing += f" to {entry.position - 1:,}"
        outside = _first_outside(self.conn)
        told = "" if outside is None else f" It may be that of {outside}, which is in no entry."
        return f"Entry {missing} of the ledger is missing.{told}"

    def _what_changed(self, entry: Entry, following: Entry | None) -> str:
        """The row or the entry: the entry after this one was made from the hash as it was."""
        if not isinstance(entry.hash, bytes) or len(entry.hash) != len(chain.GENESIS):
            return "its hash was changed and is none any more"
        if following is None or following.content is None:
            return "its row, or its hash, was changed"
        if _hash_of(entry.hash, following) == following.hash:
            return "its row was changed; the entry still has the hash of what was there"
        now = _hash_of(self.head, entry)
        if _hash_of(now, following) == following.hash:
            return "its hash was changed; the row is as it was"
        return "it does not follow from the entries before it; its row or the chain was changed"


def _hash_of(previous: bytes, entry: Entry) -> bytes:
    assert entry.content is not None
    return chain.link(previous, entry.position, entry.kind, entry.row_id, entry.content)


def describe(conn: Connection, entry: Entry) -> str:
    """The row of an entry in words, as far as it can still be found.

    For example: outcome 4h of signal 77 (BTCUSDT at 2025-10-01 12:00 UTC, balanced 3f2a).
    """
    signal_id: Any = entry.row_id
    if entry.kind == VERDICT:
        query = select(verdicts.c.signal_id).where(verdicts.c.id == entry.row_id)
        signal_id = conn.scalar(query)
    name = {SIGNAL: "signal", VERDICT: f"verdict {entry.row_id} on signal"}.get(
        entry.kind, f"{entry.kind} of signal"
    )
    if signal_id is None:
        return f"verdict {entry.row_id}"
    return f"{name} {signal_id}{_of_signal(conn, signal_id)}"


def _of_signal(conn: Connection, signal_id: int) -> str:
    named = raw(signals, "symbol", "time", "profile_name", "profile_version")
    row = conn.execute(select(*named).where(signals.c.id == signal_id)).first()
    if row is None:
        return ""
    time = utc_text(row.time) if isinstance(row.time, datetime) else str(row.time)
    at = time[:16].replace("T", " ")
    return f" ({row.symbol} at {at} UTC, {row.profile_name} {row.profile_version})"


def _outside(conn: Connection, entries: Counter[str]) -> str | None:
    """What is wrong although every entry is in order: rows that no entry stands for."""
    found = _first_outside(conn)
    if found is not None:
        return f"There is {found}, which is in no entry of the ledger: it was put in beside it."
    return _doubled(conn, entries) or _unused_measurement(conn) or _changed_profile(conn)


def _wrong_sum(conn: Connection) -> str | None:
    """A figure of the Accuracy page that does not follow from the outcomes."""
    for difference in check_tallies(conn, limit=1):
        return f"The sums behind the Accuracy page were changed: {difference}."
    return None


def _first_outside(conn: Connection) -> str | None:
    for kind, table in ((SIGNAL, signals), (VERDICT, verdicts), (OUTCOME, outcomes)):
        row_id = table.c.signal_id if table is outcomes else table.c.id
        of_kind = ledger.c.kind == (kind + table.c.horizon if table is outcomes else kind)
        query = (
            select(row_id, table.c.horizon if table is outcomes else literal(""))
            .outerjoin_from(table, ledger, and_(of_kind, ledger.c.row_id == row_id))
            .where(ledger.c.position.is_(None))
            .order_by(row_id)
            .limit(1)
        )
        row = conn.execute(query).first()
        if row is not None:
            return describe(conn, Entry(0, f"{kind}{row[1]}", row[0], b"", None, None))
    return None


def _doubled(conn: Connection, entries: Counter[str]) -> str | None:
    rows = sum(
        conn.scalar(select(func.count()).select_from(table)) or 0
        for table in (signals, verdicts, outcomes)
    )
    if rows == entries.total():
        return None
    key = (ledger.c.kind, ledger.c.row_id)
    twice = select(*key, func.max(ledger.c.position)).group_by(*key).having(func.count() > 1)
    row = conn.execute(twice.order_by(func.max(ledger.c.position)).limit(1)).first()
    if row is None:
        return f"There are {rows:,} rows for {entries.total():,} entries of the ledger."
    told = describe(conn, Entry(row[2], row[0], row[1], b"", None, None))
    return f"Entry {row[2]:,} of the ledger, {told}: its row is in an earlier entry already."


def _unused_measurement(conn: Connection) -> str | None:
    names = select(profiles.c.name).distinct()
    used = select(signals.c.id).where(
        signals.c.profile_name.in_(names),
        signals.c.symbol == measurements.c.symbol,
        signals.c.time == measurements.c.time,
        signals.c.measurement == measurements.c.digest,
    )
    query = select(*raw(measurements, "symbol", "time", "digest")).where(~used.exists()).limit(1)
    row = conn.execute(query).first()
    if row is None:
        return None
    return (
        f"There is a row of measurements of {row.symbol} at {row.time} ({row.digest}) that no signal "
        "was made from: it was put in beside them."
    )


def _changed_profile(conn: Connection) -> str | None:
    """A profile whose numbers are not those that its version stands for."""
    for row in conn.execute(select(profiles).order_by(profiles.c.name, profiles.c.version)):
        try:
            same = parse_profile(row.body)
        except ProfileError:
            same = None
        if same is None or (same.name, same.version) != (row.name, row.version):
            return f"The profile {row.name} {row.version} was changed: its numbers are others."
    return None
