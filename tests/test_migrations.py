from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text

from core.accounts import attempts, invitations, organisation, people, sessions
from core.accounts.passwords import hash_password, matches, prepare
from core.errors import StoreError
from core.store import open_store
from core.store.append_only import TABLES
from core.store.entries import snapshot
from core.store.opening import MIGRATIONS, migrate, newest_revision
from core.store.tables import ledger, meta, metadata, recovery_codes, second_factors, users
from core.store.tallies import rebuild_tallies
from core.store.verifying import verify
from tests.chained import save_record
from tests.filled import contents, fill_what_is_empty, in_common, reflected

ROOT = Path(__file__).resolve().parents[1]


def structure(engine: Engine) -> dict[str, Any]:
    found = inspect(engine)
    return {
        table: {
            "columns": {
                c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table)
            },
            "primary key": found.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(str(u["column_names"]) for u in found.get_unique_constraints(table)),
            "checks": sorted(str(c["name"]) for c in found.get_check_constraints(table)),
            "indexes": sorted(str(i["name"]) for i in found.get_indexes(table)),
            "foreign keys": sorted(
                (str(f["constrained_columns"]), f["referred_table"], str(f["options"]))
                for f in found.get_foreign_keys(table)
            ),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def triggers(engine: Engine) -> list[tuple[str, str]]:
    query = (
        "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1, 2"
        if engine.dialect.name == "sqlite"
        else "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) || (SELECT prosrc FROM pg_proc "
        "WHERE pg_proc.oid = tgfoid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2"
    )
    with engine.connect() as conn:
        found = [(table, " ".join(told.split())) for table, told in conn.execute(text(query))]
    return sorted(found)


def test_migrations_and_tables_say_the_same(engine: Engine) -> None:
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_a_migrated_database_has_every_constraint_of_the_tables(engine: Engine) -> None:
    migrated, guarded = structure(engine), triggers(engine)
    assert {table for table, _ in guarded} == set(TABLES)
    migrate(engine, "base")
    metadata.create_all(engine)
    assert structure(engine) == migrated
    assert triggers(engine) == guarded


def test_the_schema_goes_down_and_up_again(engine: Engine) -> None:
    before = structure(engine)
    migrate(engine, "base")
    assert structure(engine) == {}
    migrate(engine)
    assert structure(engine) == before


@pytest.mark.parametrize("revision", ["0004", "0005"])
def test_what_an_older_database_holds_is_chained_in_the_order_of_recording(
    engine: Engine, revision: str
) -> None:
    with engine.begin() as conn:
        save_record(conn)
        kept = conn.execute(select(ledger.c.kind, ledger.c.row_id)).all()
    migrate(engine, revision)
    if revision == "0005":  # It chained some, and then went on without.
        with engine.begin() as conn:
            conn.execute(ledger.delete().where(ledger.c.position > 50))
    migrate(engine)
    with engine.begin() as conn:
        rebuild_tallies(conn)
    with snapshot(engine) as conn:
        assert verify(conn).fault is None
        found = conn.execute(
            select(ledger.c.kind, ledger.c.row_id).order_by(ledger.c.position)
        ).all()
    expected = [one for one in kept if revision == "0005" or one.kind != "verdict"]
    assert sorted(found) == sorted(expected)
    # All was recorded at once: signals come first, and then what was said and became of them.
    added = found[50:] if revision == "0005" else found
    order = [["signal", "verdict", "outcome"].index(kind.split()[0]) for kind, _ in added]
    assert order == sorted(order)


def test_every_migration_goes_back_and_forward_with_rows_in_every_table(engine: Engine) -> None:
    revisions = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    with engine.begin() as conn:
        save_record(conn)
    tables = reflected(engine)
    fill_what_is_empty(engine, tables)
    before = contents(engine, tables=tables)
    assert {name for name, rows in before.items() if rows} >= set(metadata.tables)
    for revision in (*reversed(revisions[:-1]), *revisions[1:]):
        migrate(engine, revision)
        tables = reflected(engine)
        after = contents(engine, tables=tables)
        kept, found = in_common(before, after)
        assert found == kept, revision
        # What this step has made is empty, and the next one is to come by rows in it.
        made = fill_what_is_empty(engine, tables)
        before = after | contents(engine, set(after) - made, tables) if made else after
    with engine.begin() as conn:
        rebuild_tallies(conn)
    with snapshot(engine) as conn:
        assert verify(conn).fault is None


def test_people_outlive_the_way_back_and_forth_and_who_had_no_password_is_refused(
    engine: Engine,
) -> None:
    now = datetime(2025, 11, 3, 12, tzinfo=UTC)
    person = {"name": "x", "role": "admin", "disabled": False, "created_at": now, "updated_at": now}
    ada = person | {"id": 1, "username": "ada", "password_hash": hash_password("four words")}
    olga = person | {"id": 2, "username": "olga", "issuer": "https://id.example", "subject": "1"}
    with engine.begin() as conn:
        for row in (ada, olga):
            conn.execute(users.insert().values(row))
            sessions.start(conn, row["id"], now=now)
        conn.execute(second_factors.insert().values(user_id=1, secret=b"x", made_at=now))
        conn.execute(recovery_codes.insert().values(user_id=1, code_hash="x"))
        invitations.invite(conn, role="trader", by="ada", now=now)
        organisation.begin(conn, browser="b", next_path="/", now=now)
        attempts.begin(conn, "ada", attempts.Place.of("192.0.2.1", "b"), now=now)
    migrate(engine, "0009")
    with engine.connect() as conn:
        rows = conn.execute(text("SELECT username, password_hash FROM users"))
        held = {row.username: row.password_hash for row in rows}
        assert conn.scalar(text("SELECT count(*) FROM sessions")) == 1
        assert conn.scalar(text("SELECT count(*) FROM sign_in_attempts")) == 1
        assert conn.scalar(text("SELECT disabled FROM users WHERE username = 'olga'"))
    assert held["ada"] == ada["password_hash"]
    assert not matches(prepare(""), held["olga"])
    migrate(engine)
    with engine.connect() as conn:
        (kept,) = sessions.list_sessions(conn, 1, now=now)
        assert (kept.person.username, kept.factor) == ("ada", False)
        found = {one.person.username: one.seen_at for one in people.list_people(conn)}
        assert found == {"ada": now, "olga": None}
        assert invitations.list_invitations(conn, now=now) == []


def test_the_newest_revision_is_the_head_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]


def test_alembic_goes_back_step_by_step(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    newest = int(newest_revision())
    engine.dispose()
    for step in (1, 2):
        command.downgrade(config, "-1")
        with engine.connect() as conn:
            held = conn.scalar(text("SELECT version_num FROM alembic_version"))
        assert held == f"{newest - step:04}"
        engine.dispose()
    command.upgrade(config, "head")
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT version_num FROM alembic_version")) == newest_revision()


OPEN_WHEN_TOLD = """
import sys
import alembic.command
from core.store import open_store
print("ready", flush=True)
sys.stdin.readline()
open_store(sys.argv[1], "demo").dispose()
print("opened", flush=True)
"""


def test_processes_that_start_at_once_share_one_migration(empty_url: str) -> None:
    started = [sys.executable, "-c", OPEN_WHEN_TOLD, empty_url]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(started, cwd=ROOT, text=True, stdin=PIPE, stdout=PIPE)
            )
            for _ in range(2)
        ]
        said = [process.stdout for process in processes if process.stdout]
        assert [line.readline() for line in said] == ["ready\n"] * 2
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [line.readline() for line in said] == ["opened\n"] * 2


def test_a_database_of_another_market_is_refused(empty_url: str) -> None:
    open_store(empty_url, "demo").dispose()
    with pytest.raises(StoreError, match="holds the market demo and cannot also hold live"):
        open_store(empty_url, "live")
    engine = open_store(empty_url, "demo")
    with engine.connect() as conn:
        assert conn.scalar(select(meta.c.value).where(meta.c.key == "market")) == "demo"
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused(engine: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="schema 9999"):
        migrate(engine)


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        open_store("postgresql://me:secret@127.0.0.1:9/none")
    assert "secret" not in str(caught.value)
