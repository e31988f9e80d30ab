"""The record can only be added to; what it already holds is chained in the order it was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = (
    "signals",
    "measurements",
    "verdicts",
    "outcomes",
    "ledger",
    "profiles",
    "profiles_in_force",
    "looks",
    "bars",
)
# The keys by which a row could come over another one: SQLite's REPLACE asks no other trigger.
KEYS = {
    "signals": (("id",), ("profile_name", "symbol", "time", "profile_version")),
    "measurements": (("symbol", "time", "digest"),),
    "verdicts": (("id",), ("signal_id",)),
    "outcomes": (("signal_id", "horizon"),),
    "ledger": (("position",), ("kind", "row_id")),
    "profiles": (("name", "version"),),
    "profiles_in_force": (("id",),),
    "looks": (("id",), ("history", "profile_name", "profile_version")),
    "bars": (("symbol", "time"),),
}
SKIPPED = ("profiles", "bars")
JSON = ("reasons", "plan", "others")
BATCH = 2_000


def upgrade() -> None:
    conn = op.get_bind()
    _chain_what_is_there(conn)
    if conn.dialect.name == "postgresql":
        op.execute(
            """
            CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'Rows of % are only ever added: % is refused.', TG_TABLE_NAME, TG_OP
                    USING ERRCODE = 'restrict_violation';
            END $$
            """
        )
    for table in TABLES:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
                f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )
            continue
        for action in ("UPDATE", "DELETE"):
            conn.exec_driver_sql(
                f"CREATE TRIGGER {table}_refuses_{action.lower()} BEFORE {action} ON {table} BEGIN "
                f"SELECT RAISE(ABORT, 'Rows of {table} are only ever added: {action} is refused.'); "
                "END"
            )
        conn.exec_driver_sql(_against_replacing(table))


def downgrade() -> None:
    """The ledger stays: coming up again goes on with what it does not hold yet."""
    conn = op.get_bind()
    for table in TABLES:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(f"DROP TRIGGER {table}_append_only ON {table}")
        else:
            for action in ("update", "delete", "replace"):
                conn.exec_driver_sql(f"DROP TRIGGER {table}_refuses_{action}")
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("DROP FUNCTION refuse_change()")


def _against_replacing(table: str) -> str:
    met = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE "
        + " AND ".join(f"{column} = NEW.{column}" for column in key)
        + ")"
        for key in KEYS[table]
    )
    met += f" OR NEW.rowid <> -1 AND EXISTS (SELECT 1 FROM {table} WHERE rowid = NEW.rowid)"
    refused = f"ABORT, 'Rows of {table} are only ever added: to replace one is refused.'"
    return (
        f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} WHEN {met} "
        f"BEGIN SELECT RAISE({'IGNORE' if table in SKIPPED else refused}); END"
    )


def _chain_what_is_there(conn: sa.Connection) -> None:
    """Chain every row that is in no entry, as `core.store.contents` had contents at this revision."""
    count = _put_in_order(conn)
    ledger = sa.Table("ledger", sa.MetaData(), autoload_with=conn)
    newest = conn.execute(sa.select(ledger).order_by(ledger.c.position.desc()).limit(1)).first()
    first, previous = (0, bytes(32)) if newest is None else (newest.position, newest.hash)
    queries = _queries(conn)
    for start in range(1, count + 1, BATCH):
        rows = [row for query in queries for row in _contents(conn, query, start)]
        entries = []
        for place, kind, row_id, content in sorted(rows):
            position = first + place
            end = f',"kind":"{kind}","position":{position},"row_id":{row_id}}}'
            entry = b'{"content":' + content + end.encode()
            previous = hashlib.sha256(previous + entry).digest()
            entries.append((position, kind, row_id, previous))
        names = [column.name for column in ledger.c]
        conn.execute(ledger.insert(), [dict(zip(names, row, strict=True)) for row in entries])
    conn.exec_driver_sql("DROP TABLE chain_order")


def _put_in_order(conn: sa.Connection) -> int:
    """A temporary table with the place (from 1), kind and id of every row that is in no entry."""
    parts = " UNION ALL ".join(
        f"SELECT t.recorded_at, {rank} AS rank, {row_id} AS row_id, {kind} AS kind FROM {table} t "
        f"LEFT JOIN ledger l ON l.kind = {kind} AND l.row_id = {row_id} WHERE l.position IS NULL"
        for rank, (table, row_id, kind) in enumerate(
            (
                ("signals", "t.id", "'signal'"),
                ("verdicts", "t.id", "'verdict'"),
                ("outcomes", "t.signal_id", "'outcome ' || t.horizon"),
            )
        )
    )
    conn.exec_driver_sql(
        "CREATE TEMPORARY TABLE chain_order "
        "(place INTEGER PRIMARY KEY, kind VARCHAR(16) NOT NULL, row_id BIGINT NOT NULL)"
    )
    found = conn.exec_driver_sql(
        "INSERT INTO chain_order (place, kind, row_id) "
        "SELECT row_number() OVER (ORDER BY recorded_at, rank, row_id, kind), kind, row_id "
        f"FROM ({parts}) AS everything"
    )
    return found.rowcount


def _queries(conn: sa.Connection) -> list[sa.Select[Any]]:
    """One per table: place, kind and row_id from `chain_order`, and every column of the row.

    Columns of a signal's measurement begin with "measured ". JSON is the text that is stored.
    """
    tables = sa.MetaData()
    tables.reflect(conn, only=["signals", "measurements", "verdicts", "outcomes"])
    order = sa.table("chain_order", *map(sa.column, ("place", "kind", "row_id")))
    signals, measurements = tables.tables["signals"], tables.tables["measurements"]
    verdicts, outcomes = tables.tables["verdicts"], tables.tables["outcomes"]
    measured = sa.and_(
        measurements.c.symbol == signals.c.symbol,
        measurements.c.time == signals.c.time,
        measurements.c.digest == signals.c.measurement,
    )
    start = sa.select(order.c.place, order.c.kind, order.c.row_id)
    return [
        start.add_columns(*_columns(conn, signals), *_columns(conn, measurements, "measured "))
        .join_from(order, signals, signals.c.id == order.c.row_id)
        .join(measurements, measured)
        .where(order.c.kind == "signal"),
        start.add_columns(*_columns(conn, verdicts))
        .join_from(order, verdicts, verdicts.c.id == order.c.row_id)
        .where(order.c.kind == "verdict"),
        start.add_columns(*_columns(conn, outcomes)).join_from(
            order,
            outcomes,
            sa.and_(
                outcomes.c.signal_id == order.c.row_id,
                order.c.kind == "outcome " + outcomes.c.horizon,
            ),
        ),
    ]


def _columns(
    conn: sa.Connection, table: sa.Table, prefix: str = ""
) -> Iterator[sa.ColumnElement[Any]]:
    for column in table.c:
        stored: sa.ColumnElement[Any] = column
        if column.name in JSON and conn.dialect.name == "postgresql":
            stored = sa.cast(column, sa.Text)
        elif column.name in JSON:
            stored = sa.type_coerce(column, sa.Text)
        yield stored.label(f"{prefix}{column.name}")


def _contents(
    conn: sa.Connection, query: sa.Select[Any], start: int
) -> Iterator[tuple[int, str, int, bytes]]:
    """Place, kind, id and content of the rows of a batch of places."""
    place = query.selected_columns["place"]
    names = [str(name) for name in query.selected_columns.keys()[3:]]
    for row in conn.execute(query.where(place >= start, place < start + BATCH)):
        content: dict[str, Any] = {}
        measured: dict[str, Any] = {}
        for name, value in zip(names, row[3:], strict=True):
            column = name.removeprefix("measured ")
            (content if column == name else measured)[column] = _plain(column, value)
        if measured:
            content["measured_at"] = measured["recorded_at"]
            in_both = ("symbol", "time", "digest", "recorded_at")
            made_from = {n: measured[n] for n in measured if n not in in_both}
            content["measured"] = hashlib.sha256(_dump(made_from)).hexdigest()
        del content["signal_id" if row.kind.startswith("outcome ") else "id"]
        yield row.place, row.kind, row.row_id, _dump(content)


def _dump(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _plain(column: str, value: Any) -> Any:
    if column in JSON and value is not None:
        return orjson.Fragment(value)
    if isinstance(value, datetime):
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value
