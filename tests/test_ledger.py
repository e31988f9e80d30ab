"""The ledger: a chain over signals, verdicts and outcomes."""

from __future__ import annotations

from sqlalchemy import Engine, select

from core.store import ledger
from core.store.database import dump_json
from core.store.tables import ledger as entries


def test_every_entry_follows_from_the_one_before(engine: Engine) -> None:
    for batch in ([(1, {"a": 0.1}), (2, {"a": 2.5})], [(3, {"a": None})]):
        with engine.begin() as conn:
            ledger.hold(conn)
            ledger.append(
                conn, "signal", [(row, dump_json(content).encode()) for row, content in batch]
            )
    with engine.connect() as conn:
        rows = conn.execute(select(entries).order_by(entries.c.position)).all()
        length, newest = ledger.head(conn)
    hash_ = ledger.GENESIS
    for row, content in zip(rows, ({"a": 0.1}, {"a": 2.5}, {"a": None}), strict=True):
        hash_ = ledger.link(hash_, row.position, row.kind, row.row_id, dump_json(content).encode())
        assert row.hash == hash_
    assert (length, newest) == (3, hash_)
