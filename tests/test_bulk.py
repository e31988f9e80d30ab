"""Many rows at once, on both databases."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, select

from core.store.bulk import insert_new, replace_rows
from core.store.tables import meta


def put(conn: Connection, *names: str, value: str = "1") -> int:
    return insert_new(conn, meta, {"key": list(names), "value": [value] * len(names)})


def kept(engine: Engine) -> dict[str, str]:
    with engine.connect() as conn:
        rows = conn.execute(select(meta.c.key, meta.c.value).where(meta.c.key.like("bulk %")))
        return {row.key: row.value for row in rows}


def test_rows_of_one_transaction_are_put_by_themselves_each_time(engine: Engine) -> None:
    with engine.begin() as conn:
        assert put(conn, "bulk a", "bulk b") == 2
        assert put(conn, "bulk b", "bulk c") == 1
        for name in ("bulk c", "bulk d"):
            assert replace_rows(conn, meta, {"key": [name], "value": ["1"]}) == 1
    with engine.begin() as conn:
        assert put(conn, "bulk a", "bulk e", value="2") == 1
    assert kept(engine) == {f"bulk {name}": "1" for name in "abcd"} | {"bulk e": "2"}


def test_rows_that_were_rolled_back_are_not_put_with_the_next(engine: Engine) -> None:
    with engine.connect() as conn:
        for _ in range(2):  # where the first makes what the second finds
            put(conn, "bulk a")
            conn.rollback()
        assert put(conn, "bulk b") == 1
        conn.commit()
        assert replace_rows(conn, meta, {"key": ["bulk b"], "value": ["3"]}) == 1
        conn.rollback()
        assert put(conn, "bulk b", "bulk c") == 1
        conn.commit()
    assert kept(engine) == {"bulk b": "1", "bulk c": "1"}
