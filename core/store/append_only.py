"""What the database itself refuses: to change, delete or replace a row of the record.

Triggers stand on both databases, whoever is connected. SQLite asks no trigger when REPLACE deletes the
row in its way unless a connection has recursive_triggers on, as ours have; so there a row is also
refused when it comes, where one with a key of its is in its way.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import DDL, Connection, MetaData, Table, UniqueConstraint, event, text
from sqlalchemy.schema import ExecutableDDLElement

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
    "alert_rule_versions",
    "alert_events",
    "audit_log",
)
# Who stores these leaves it to the database to skip what is there (ON CONFLICT DO NOTHING).
SKIPPED = ("profiles", "bars", "alert_events")
_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Rows of % are only ever added: % is refused.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$
"""


def make_append_only(metadata: MetaData) -> None:
    """Have the tables made with their triggers, as the migrations make them."""
    event.listen(metadata, "before_create", _ddl(_FUNCTION, "postgresql"))
    for name in TABLES:
        table = metadata.tables[name]
        event.listen(table, "after_create", _ddl(_on_postgres(name), "postgresql"))
        for statement in _all_on_sqlite(table):
            event.listen(table, "after_create", _ddl(statement, "sqlite"))


def unguarded(conn: Connection, metadata: MetaData) -> list[str]:
    """Tables of the record on which a trigger is missing, switched off or another one."""
    if conn.dialect.name == "sqlite":
        found = conn.execute(text("SELECT sql FROM sqlite_master WHERE type = 'trigger'"))
        there = {_plain(statement) for statement in found.scalars()}
        return [
            name
            for name in TABLES
            if not {_plain(made) for made in _all_on_sqlite(metadata.tables[name])} <= there
        ]
    query = text(
        "SELECT c.relname, pg_get_triggerdef(t.oid), p.prosrc FROM pg_trigger t "
        "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') "
        "AND pg_table_is_visible(c.oid)"
    )
    body = _FUNCTION.split("$$")[1]
    events = ("UPDATE", "DELETE", "TRUNCATE")
    whole = {
        table
        for table, made, source in conn.execute(query)
        if _plain(source) == _plain(body)
        and " BEFORE " in made
        and " WHEN " not in made
        and " OF " not in made
        and all(word in made for word in events)
    }
    return [name for name in TABLES if name not in whole]


def _plain(statement: str) -> str:
    return " ".join(statement.split())


def _ddl(statement: str, dialect: str) -> ExecutableDDLElement:
    ddl = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    return ddl.execute_if(dialect=dialect)


def _on_postgres(table: str) -> str:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _on_sqlite(table: str, action: str) -> str:
    return (
        f"CREATE TRIGGER {table}_refuses_{action.lower()} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, 'Rows of {table} are only ever added: {action} is refused.'); END"
    )


def _all_on_sqlite(table: Table) -> Iterator[str]:
    for action in ("UPDATE", "DELETE"):
        yield _on_sqlite(table.name, action)
    yield _against_replacing(table)


def _against_replacing(table: Table) -> str:
    """No row may come over one that is there: not by a key, and not by SQLite's own row number.

    That number is -1 where SQLite is to choose it.
    """
    name = table.name
    keys = [[column.name for column in table.primary_key]]
    keys += sorted(
        [column.name for column in constraint.columns]
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    )
    met = " OR ".join(
        f"EXISTS (SELECT 1 FROM {name} WHERE "
        + " AND ".join(f"{column} = NEW.{column}" for column in key)
        + ")"
        for key in keys
    )
    met += f" OR NEW.rowid <> -1 AND EXISTS (SELECT 1 FROM {name} WHERE rowid = NEW.rowid)"
    refused = f"ABORT, 'Rows of {name} are only ever added: to replace one is refused.'"
    return (
        f"CREATE TRIGGER {name}_refuses_replace BEFORE INSERT ON {name} WHEN {met} "
        f"BEGIN SELECT RAISE({'IGNORE' if name in SKIPPED else refused}); END"
    )
