"""The ledger: a chain of hashes over everything that makes up the record.

Each entry is the SHA-256 of the hash before it and of its own canonical JSON, so nothing that lies in
the chain can be changed, left out or put in between without every later hash being another one. Who
has noted a head hash can tell ever after that what was there then is there still.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from core.store.bulk import insert_new
from core.store.database import dump_json
from core.store.tables import ledger

GENESIS = bytes(32)
_LOCK = 7_267_283_002  # any number of its own, the same in every process


def hold(conn: Connection) -> None:
    """Be the only writer of the record until the transaction ends; call it before reading its end."""
    if conn.dialect.name == "sqlite":
        # Any write takes the one lock there is; this one changes nothing.
        conn.exec_driver_sql("UPDATE meta SET value = value WHERE key = 'market'")
    else:
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def head(conn: Connection) -> tuple[int, bytes]:
    """Length of the chain and its last hash; 0 and `GENESIS` where nothing is in it."""
    newest = select(func.max(ledger.c.position)).scalar_subquery()
    row = conn.execute(
        select(ledger.c.position, ledger.c.hash).where(ledger.c.position == newest)
    ).first()
    return (0, GENESIS) if row is None else (row.position, row.hash)


def append(conn: Connection, kind: str, contents: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Chain rows that were stored in this transaction, by id and content; `hold` comes first."""
    position, previous = head(conn)
    hashes = []
    for number, (row_id, content) in enumerate(contents, start=position + 1):
        previous = link(previous, number, kind, row_id, dump_json(content))
        hashes.append(previous)
    count = len(contents)
    insert_new(
        conn,
        ledger,
        {
            "position": list(range(position + 1, position + 1 + count)),
            "kind": [kind] * count,
            "row_id": [row_id for row_id, _ in contents],
            "hash": hashes,
        },
    )


def link(previous: bytes, position: int, kind: str, row_id: int, content: str) -> bytes:
    """The hash of an entry; ``content`` is canonical JSON (`core.store.database.dump_json`).

    >>> link(GENESIS, 1, "signal", 1, '{"score":61.5}').hex()[:16]
    'da8240e03332f84b'
    """
    entry = f'{{"content":{content},"kind":"{kind}","position":{position},"row_id":{row_id}}}'
    return hashlib.sha256(previous + entry.encode()).digest()
