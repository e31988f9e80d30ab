"""The ledger: a chain of hashes over everything that makes up the record.

Each entry is the SHA-256 of the hash before it and of its own canonical JSON, so nothing that lies in
the chain can be changed, left out or put in between without every later hash being another one. Who
has noted a head hash can tell ever after that what was there then is there still.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, Table, func, select

from core.errors import StoreError
from core.store import database
from core.store.bulk import insert_all
from core.store.contents import verdict_content
from core.store.tables import ledger

__all__ = [
    "GENESIS",
    "append",
    "chain",
    "head",
    "hold",
    "link",
    "next_id",
    "spend_ids",
    "verdict_content",
]

GENESIS = bytes(32)
_LAST = 2**63 - 1  # of what a database can count
_ABSURD = 2**62
_LOCK = 7_267_283_002  # any number of its own, the same in every process


def hold(conn: Connection) -> None:
    """Be the only writer of the record until the transaction ends; call it before reading its end."""
    database.hold(conn, _LOCK)


def head(conn: Connection) -> tuple[int, bytes]:
    """Length of the chain and its last hash; 0 and `GENESIS` where nothing is in it."""
    newest = select(func.max(ledger.c.position)).scalar_subquery()
    row = conn.execute(
        select(ledger.c.position, ledger.c.hash).where(ledger.c.position == newest)
    ).first()
    return (0, GENESIS) if row is None else (row.position, row.hash)


def append(conn: Connection, kind: str, contents: Sequence[tuple[int, bytes]]) -> None:
    """Chain rows that were stored in this transaction, by id and content; `hold` comes first.

    Contents are those of `core.store.contents`.
    """
    chain(
        conn, [kind] * len(contents), [row_id for row_id, _ in contents], [c for _, c in contents]
    )


def chain(
    conn: Connection, kinds: Sequence[str], row_ids: Sequence[int], contents: Sequence[bytes]
) -> None:
    """`append` for rows of several kinds, in the order given."""
    position, previous = head(conn)
    if position + len(row_ids) > _LAST:
        raise StoreError(
            f"The newest entry of the ledger is number {position}, which leaves no number to go on "
            "with. Run python -m core verify."
        )
    positions = range(position + 1, position + 1 + len(row_ids))
    hashes = []
    for number, kind, row_id, content in zip(positions, kinds, row_ids, contents, strict=True):
        previous = link(previous, number, kind, row_id, content)
        hashes.append(previous)
    columns = {"position": positions, "kind": kinds, "row_id": row_ids, "hash": hashes}
    insert_all(conn, ledger, columns)


def link(previous: bytes, position: int, kind: str, row_id: int, content: bytes) -> bytes:
    """The hash of an entry; ``content`` is canonical JSON (see `core.store.contents`).

    >>> link(GENESIS, 1, "signal", 1, b'{"score":61.5}').hex()[:16]
    'da8240e03332f84b'
    """
    end = f',"kind":"{kind}","position":{position},"row_id":{row_id}}}'
    return hashlib.sha256(previous + b'{"content":' + content + end.encode()).digest()


def next_id(conn: Connection, table: Table, kind: str) -> int:
    """The id of the next row of a table under `hold`: one that no row and no entry has had."""
    # Far above anything counted up to is no id of ours; SQLite has words up there too.
    newest_row = conn.scalar(select(func.max(table.c.id)).where(table.c.id < _ABSURD)) or 0
    of_kind = (ledger.c.kind == kind, ledger.c.row_id < _ABSURD)
    newest_entry = conn.scalar(select(func.max(ledger.c.row_id)).where(*of_kind)) or 0
    following: int = max(newest_row, newest_entry, 0) + 1
    return following


def spend_ids(conn: Connection, table: Table, last: int) -> None:
    """Have PostgreSQL go on behind ``last`` when it gives an id itself."""
    if conn.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, "id")
        conn.execute(select(func.setval(sequence, last)))
