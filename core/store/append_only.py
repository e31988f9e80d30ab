"""What the database itself refuses: to change, delete or replace a row of the record.

Triggers stand on both databases, whoever is connected. SQLite asks no trigger when REPLACE deletes the
row in its way unless a connection has recursive_triggers on, as every connection of ours has; what
another connection does that way is found by `core.store.verifying`.
"""

from __future__ import annotations

from sqlalchemy import DDL, MetaData, event
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
)
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
        for action in ("UPDATE", "DELETE"):
            event.listen(table, "after_create", _ddl(_on_sqlite(name, action), "sqlite"))


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
