"""Whatever is changed in the record by someone who goes past the application is found and named."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, Boolean, Column, Engine, Float, Integer, Table, select, text
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from core.__main__ import app
from core.errors import SettingsError, StoreError
from core.signals import load_profile
from core.store import ledger, open_store
from core.store.append_only import SKIPPED, TABLES
from core.store.bulk import insert_all
from core.store.database import open_database
from core.store.entries import snapshot
from core.store.tables import ledger as entries
from core.store.tables import measurements, metadata, outcomes, signals, verdicts
from core.store.tallies import rebuild_tallies
from core.store.verifying import Published, Verified, parse_published, still_there, verify
from tests.chained import NOW, save_record
from tests.conftest import _address, _create_database

RECORD = (signals, measurements, verdicts, outcomes, entries)


# Tables that no record of signals fills.
PUT = ("profiles_in_force", "looks", "alert_rule_versions", "alert_events", "audit_log")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """A record that tests change and put back."""
    engine = open_database(_new_url(request, tmp_path_factory))
    with engine.begin() as conn:
        save_record(conn)
    yield engine
    engine.dispose()


def _new_url(request: pytest.FixtureRequest, folders: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        url = f"sqlite:///{folders.mktemp('record') / 'record.sqlite'}"
    else:
        server = request.getfixturevalue("postgres_server")
        _create_database(server, "test_record")
        url = _address(server, "test_record")
    open_store(url).dispose()
    return url


class Raw:
    """Another program at the database: no triggers, no foreign keys, its own driver."""

    def __init__(self, driver: Any, sqlite: bool) -> None:
        self.driver, self.sqlite = driver, sqlite

    def __call__(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.driver.cursor()
        cursor.execute(statement if self.sqlite else statement.replace("?", "%s"), values)
        found = cursor.fetchall() if cursor.description else []
        self.driver.commit()
        return list(found)


@contextmanager
def raw(engine: Engine) -> Iterator[Raw]:
    url = engine.url
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(str(url.database))) as driver:
            driver.execute("PRAGMA ignore_check_constraints=ON")
            triggers = driver.execute("SELECT name, sql FROM sqlite_master WHERE type='trigger'")
            held = triggers.fetchall()
            for name, _ in held:
                driver.execute(f"DROP TRIGGER {name}")
            driver.commit()
            try:
                yield Raw(driver, sqlite=True)
            finally:
                for _, statement in held:
                    driver.execute(statement)
                driver.commit()
        return
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg.connect(plain)) as driver:
        driver.execute("SET session_replication_role = replica")
        driver.execute("SET TIME ZONE 'UTC'")
        for name, table in driver.execute(
            "SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE contype = 'c' "
            "AND conrelid IN ('signals'::regclass, 'verdicts'::regclass, 'ledger'::regclass)"
        ).fetchall():
            driver.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        driver.commit()
        yield Raw(driver, sqlite=False)


def checked(engine: Engine) -> Verified:
    with snapshot(engine) as conn:
        return verify(conn)


def other(value: Any, column: Column[Any]) -> Any:
    """The least change of a stored value, or something where nothing was."""
    if isinstance(column.type, Boolean):
        return type(value)(not value)
    if isinstance(column.type, Float):
        return 1.0 if value is None else math.nextafter(value, 0 if value else 1)
    if isinstance(column.type, Integer):
        return 1 if value is None else {1: 0, 0: 1, -1: 1}.get(value, value + 100_000)
    if isinstance(column.type, JSON):
        return "{}" if value is None else f"{value} "
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return "x" if value is None else value[:-1] + ("1" if value[-1] == "0" else "0")


@dataclass(frozen=True)
class Place:
    """A row of a table: the first entry of the ledger that stands on it, and its key."""

    table: Table
    position: int
    key: tuple[Any, ...]

    @property
    def where(self) -> str:
        return " AND ".join(f'"{column.name}" = ?' for column in self.table.primary_key)


_OF = {
    "signals": "JOIN signals t ON l.kind = 'signal' AND l.row_id = t.id",
    "measurements": "JOIN signals s ON l.kind = 'signal' AND l.row_id = s.id JOIN measurements t "
    "ON t.symbol = s.symbol AND t.time = s.time AND t.digest = s.measurement",
    "verdicts": "JOIN verdicts t ON l.kind = 'verdict' AND l.row_id = t.id",
    "outcomes": "JOIN outcomes t ON l.kind = 'outcome ' || t.horizon AND l.row_id = t.signal_id",
    "ledger": "JOIN ledger t ON t.position = l.position",
}


def places(run: Raw, table: Table) -> list[Place]:
    """Every row of a table."""
    keys = ", ".join(f't."{column.name}"' for column in table.primary_key)
    found = run(
        f"SELECT min(l.position), {keys} FROM ledger l {_OF[table.name]} GROUP BY {keys} ORDER BY 1"
    )
    return [Place(table, row[0], row[1:]) for row in found]


def read(run: Raw, place: Place, column: Column[Any]) -> Any:
    name = f'"{column.name}"'
    asked = f"CAST({name} AS TEXT)" if isinstance(column.type, JSON) else name
    ((value,),) = run(f"SELECT {asked} FROM {place.table.name} WHERE {place.where}", *place.key)
    return value


def write(run: Raw, place: Place, column: Column[Any], value: Any) -> Place:
    """Give a column another value; where the row is now."""
    mark = "CAST(? AS JSON)" if isinstance(column.type, JSON) and not run.sqlite else "?"
    statement = f'UPDATE {place.table.name} SET "{column.name}" = {mark} WHERE {place.where}'
    run(statement, value, *place.key)
    names = [key.name for key in place.table.primary_key]
    key = [value if n == column.name else k for n, k in zip(names, place.key, strict=True)]
    return Place(place.table, place.position, tuple(key))


def assert_found(engine: Engine, run: Raw, place: Place, column: Column[Any], value: Any) -> None:
    before = read(run, place, column)
    there = write(run, place, column, value)
    try:
        fault = checked(engine).fault
    finally:
        write(run, there, column, before)
    assert fault is not None, f"{place.table.name}.{column.name}: {before!r} -> {value!r}"
    assert f"Entry {place.position:,} " in fault, f"{place.table.name}.{column.name}: {fault}"


def test_a_record_that_nobody_changed_is_verified_and_has_every_kind(recorded: Engine) -> None:
    found = checked(recorded)
    assert found.fault is None
    with recorded.connect() as conn:
        assert ledger.head(conn) == (found.length, found.head)
        kinds = set(conn.scalars(select(entries.c.kind)))
    assert kinds == {"signal", "verdict", "outcome 1h", "outcome 4h", "outcome 24h"}


@pytest.mark.parametrize("table", RECORD, ids=lambda table: table.name)
def test_the_least_change_of_any_column_is_found_and_named(recorded: Engine, table: Table) -> None:
    with raw(recorded) as run:
        rows = places(run, table)
        for column in table.c:
            values = [(place, read(run, place, column)) for place in rows[len(rows) // 2 :]]
            known = [one for one in values if one[1] is not None] or values
            place, value = known[0]
            assert_found(recorded, run, place, column, other(value, column))
    assert checked(recorded).fault is None


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_single_change_is_found_and_named(recorded: Engine, data: st.DataObject) -> None:
    with raw(recorded) as run:
        place = data.draw(st.sampled_from(places(run, data.draw(st.sampled_from(RECORD)))))
        column = data.draw(st.sampled_from(list(place.table.c)))
        before = read(run, place, column)
        value = data.draw(_values(column, before))
        assert_found(recorded, run, place, column, value)


def _values(column: Column[Any], before: Any) -> st.SearchStrategy[Any]:
    """Other values that the column can hold; of what is unique, such as no other row has."""
    far = st.integers(10**6, 10**9)
    if isinstance(column.type, Boolean):
        return st.just(type(before)(not before))
    if column.name == "direction":
        return st.sampled_from([-1, 0, 1]).filter(lambda new: new != before)
    if isinstance(column.type, Integer):
        return far
    if isinstance(column.type, Float):
        numbers = st.floats(0, 1, allow_subnormal=True).map(lambda new: new + 0.0)
        return numbers.filter(lambda new: new != before)
    if isinstance(column.type, JSON):
        texts = st.sampled_from(["[]", "{}", '"x"', "[1, 2]", "null"])
        return texts.filter(lambda new: new != before)
    if isinstance(before, bytes):
        at = st.tuples(st.integers(0, len(before) - 1), st.integers(1, 255))
        return at.map(lambda one: _flipped(before, *one))
    if isinstance(before, datetime):
        return far.map(lambda new: before + timedelta(microseconds=new))
    words = st.text(st.characters(codec="ascii", min_codepoint=1), min_size=1, max_size=8)
    return words.filter(lambda new: new != before)


def _flipped(before: bytes, at: int, bits: int) -> bytes:
    return before[:at] + bytes([before[at] ^ bits]) + before[at + 1 :]


def test_another_spelling_of_the_same_value_is_found(recorded: Engine) -> None:
    with raw(recorded) as run:
        of_signals, of_outcomes = places(run, signals), places(run, outcomes)
        plan = read(run, of_signals[0], signals.c.plan)
        assert_found(recorded, run, of_signals[0], signals.c.plan, plan.replace(":", ": ", 1))
        others = measurements.c.others
        without = next(one for one in places(run, measurements) if not read(run, one, others))
        assert_found(recorded, run, without, others, "null")
        if not run.sqlite:
            for odd in ("NaN", "Infinity"):
                assert_found(recorded, run, of_outcomes[3], outcomes.c.mae_r, float(odd))
            return
        for table, column, where in (
            (signals, signals.c.time, of_signals[0]),
            (outcomes, outcomes.c.exit_at, of_outcomes[0]),
            (signals, signals.c.recorded_at, of_signals[5]),
        ):
            value = read(run, where, column)
            if table is not signals or column is not signals.c.time:
                assert_found(recorded, run, where, column, value.replace(" ", "T"))
            assert_found(recorded, run, where, column, value.rstrip("0"))
            assert_found(recorded, run, where, column, f"{value}+00:00")
        for odd in (b"SKIP", "1e999", float("inf"), 7):
            assert_found(recorded, run, of_signals[2], signals.c.verdict, odd)
        score = read(run, of_signals[2], signals.c.score)
        for odd in (str(score).encode(), float("inf"), "high"):
            assert_found(recorded, run, of_signals[2], signals.c.score, odd)
        for odd in (2, "yes", b"1", 0.5):
            assert_found(recorded, run, of_outcomes[2], outcomes.c.traded, odd)


def test_bytes_that_are_no_text_are_named_too(recorded: Engine) -> None:
    if recorded.dialect.name == "postgresql":
        with raw(recorded) as run, pytest.raises(psycopg.DataError):
            run("UPDATE signals SET verdict = convert_from('\\xff', 'UTF8')")
        return
    with raw(recorded) as run:
        place = next(p for p in places(run, signals) if read(run, p, signals.c.verdict))
        before = read(run, place, signals.c.verdict)
        run("UPDATE signals SET verdict = CAST(x'534bff' AS TEXT) WHERE id = ?", *place.key)
        fault = checked(recorded).fault
        write(run, place, signals.c.verdict, before)
    assert fault is not None
    assert f"Entry {place.position:,} " in fault
    assert "its verdict is not in the form in which it was stored" in fault


def test_the_words_say_whose_row_it_is_and_what_is_wrong(recorded: Engine) -> None:
    with raw(recorded) as run:
        place = places(run, outcomes)[4]
        signal_id, horizon = place.key
        before = read(run, place, outcomes.c.net_return)
        write(run, place, outcomes.c.net_return, 0.5)
        row = checked(recorded).fault
        write(run, place, outcomes.c.net_return, before)
        entry = Place(entries, place.position, (place.position,))
        hash_ = read(run, entry, entries.c.hash)
        write(run, entry, entries.c.hash, bytes(32))
        changed = checked(recorded).fault
        write(run, entry, entries.c.hash, hash_)
    with recorded.connect() as conn:
        of = conn.execute(select(signals).where(signals.c.id == signal_id)).one()
    words = (
        f"Entry {place.position:,} of the ledger, outcome {horizon} of signal {signal_id} "
        f"({of.symbol} at {of.time:%Y-%m-%d %H:%M} UTC, {of.profile_name} {of.profile_version}): "
    )
    told = "its row was changed; the entry still has the hash of what was there."
    assert row == words + told
    assert changed == words + "its hash was changed; the row is as it was."


def make_sums_anew(engine: Engine) -> None:
    """As who cuts the record would have to."""
    with engine.begin() as conn:
        rebuild_tallies(conn)


@contextmanager
def set_aside(run: Raw, statement: str, *tables: str) -> Iterator[None]:
    """Rows that ``statement`` deletes or adds; the tables are as before at the end."""
    for table in tables:
        run(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    run(statement)
    try:
        yield
    finally:
        for table in tables:
            run(f"DELETE FROM {table}")
            run(f"INSERT INTO {table} SELECT * FROM kept_{table}")
            run(f"DROP TABLE kept_{table}")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM ledger WHERE position = 9", "Entry 9 of the ledger is missing. It may be"),
        ("DELETE FROM ledger WHERE position IN (9, 10)", "Entry 9 to 10 of the ledger is missing."),
        ("DELETE FROM signals WHERE id = 7", "signal 7: its row is missing"),
        ("DELETE FROM verdicts WHERE id = 2", "verdict 2: its row is missing"),
        ("DELETE FROM measurements WHERE symbol = 'S1USDT'", "measurements that it was made from"),
        (
            "INSERT INTO profiles SELECT name, 'ffffffffffffffff', body, created_at FROM profiles "
            "WHERE name = 'bold'",
            "The profile bold ffffffffffffffff was changed",
        ),
        (
            "INSERT INTO outcomes SELECT signal_id, '2h', entry_at, exit_at, entry_price, "
            "exit_price, gross_return, net_return, long_net_return, r_multiple, barrier, barrier_r, "
            "mae_r, mfe_r, traded, funding_assumed, recorded_at FROM outcomes WHERE horizon = '4h'",
            "which is in no entry of the ledger: it was put in beside it",
        ),
    ],
)
def test_rows_and_entries_that_are_gone_or_put_in_are_named(
    recorded: Engine, statement: str, words: str
) -> None:
    table = statement.split()[2]
    with raw(recorded) as run, set_aside(run, statement, table):
        fault = checked(recorded).fault
    assert fault is not None
    assert words in fault
    assert checked(recorded).fault is None


def test_a_measurement_that_no_signal_was_made_from_is_named(recorded: Engine) -> None:
    names = ", ".join(f'"{c.name}"' for c in measurements.c if c.name != "digest")
    statement = (
        f"INSERT INTO measurements (digest, {names}) SELECT 'ffffffffffffffff', {names} "
        "FROM measurements WHERE symbol = 'S0USDT'"
    )
    with raw(recorded) as run, set_aside(run, statement, "measurements"):
        fault = checked(recorded).fault
    assert fault is not None
    assert "measurements of S0USDT" in fault


def test_a_cut_record_is_found_by_a_published_head_only(recorded: Engine) -> None:
    before = checked(recorded)
    published = parse_published(f" {Published(before.length, before.head)}\n")
    with raw(recorded) as run:
        ((kind, row_id),) = run("SELECT kind, row_id FROM ledger WHERE position = ?", before.length)
        assert kind == "verdict"
        cut = f"DELETE FROM ledger WHERE position = {before.length}"
        with (
            set_aside(run, cut, "ledger"),
            set_aside(run, f"DELETE FROM verdicts WHERE id = {row_id}", "verdicts"),
        ):
            make_sums_anew(recorded)
            after = checked(recorded)
            with snapshot(recorded) as conn:
                assert not still_there(conn, published)
                assert still_there(conn, Published(after.length, after.head))
    make_sums_anew(recorded)
    assert (after.fault, after.length) == (None, before.length - 1)
    with snapshot(recorded) as conn:
        assert still_there(conn, published)
        assert still_there(conn, Published(0, ledger.GENESIS))
        assert not still_there(conn, Published(published.length, ledger.GENESIS))


def test_what_is_no_head_is_refused() -> None:
    with pytest.raises(SettingsError, match="is no head"):
        parse_published("12:abc")


def test_a_verification_is_of_one_moment(recorded: Engine) -> None:
    with snapshot(recorded) as conn:
        before = verify(conn)
        with recorded.begin() as writer:
            ledger.hold(writer)
            ledger.append(writer, "signal", [(9_999_999, b"{}")])
        again = verify(conn)
    assert again == before
    assert (checked(recorded).fault or "").endswith("signal 9999999: its row is missing.")
    with raw(recorded) as run:
        run("DELETE FROM ledger WHERE row_id = 9999999")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("action", ["UPDATE", "DELETE", "UPSERT", "REPLACE", "TRUNCATE"])
def test_the_application_cannot_change_a_row_of_the_record(
    recorded: Engine, table: str, action: str
) -> None:
    if table in PUT:
        _put_one(recorded, table)
    keys = [column.name for column in metadata.tables[table].primary_key]
    first = keys[0]
    sqlite = recorded.dialect.name == "sqlite"
    statement = {
        "UPDATE": f"UPDATE {table} SET {first} = {first}",
        "DELETE": f"DELETE FROM {table}",
        "UPSERT": f"INSERT INTO {table} SELECT * FROM {table} WHERE true ON CONFLICT "
        f"({', '.join(keys)}) DO UPDATE SET {first} = excluded.{first}",
        "REPLACE": f"REPLACE INTO {table} SELECT * FROM {table}",
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }[action]
    if action == ("TRUNCATE" if sqlite else "REPLACE"):
        return
    if sqlite and table in SKIPPED and action in ("UPSERT", "REPLACE"):
        with recorded.begin() as conn:
            before = conn.execute(text(f"SELECT rowid, * FROM {table}")).all()
            assert conn.execute(text(statement)).rowcount == 0
            assert conn.execute(text(f"SELECT rowid, * FROM {table}")).all() == before
        return
    refused = f"Rows of {table} are only ever added|Rows of .* TRUNCATE is refused"
    with pytest.raises(IntegrityError, match=refused), recorded.begin() as conn:
        conn.execute(text(statement))


def _put_one(engine: Engine, table: str) -> None:
    """A row in a table of which `save_record` fills none, and in what it refers to."""
    profile = load_profile("aggressive")
    version = {"profile_name": profile.name, "profile_version": profile.version}
    run = {"name": "b", "history": "h", "body": {}, "state": "done", "fraction": 1, "stage": "done"}
    run |= {"asked_by": "me", "asked_at": NOW, "updated_at": NOW} | version
    made: dict[str, dict[str, object]] = {
        "backtests": {"id": "b", **run},
        "looks": {"id": 1, "history": "h", "backtest_id": "b", "looked_by": "me", "looked_at": NOW}
        | version,
        "profiles_in_force": {"id": 1, "from_at": NOW, "set_by": "me", "set_at": NOW} | version,
        "alert_rules": {"id": 1, "name": "r", "version": 1, "created_at": NOW},
        "alert_rule_versions": {"rule_id": 1, "version": 1, "body": {}, "note": "", "author": "me"}
        | {"made_at": NOW},
        "alert_events": {"id": 1, "rule_id": 1, "version": 1, "symbol": "S", "kind": "fired"}
        | {"at": NOW, "severity": "info", "reason": "", "told": "", "recorded_at": NOW},
        "audit_log": {"id": 1, "at": NOW, "by": "me", "action": "made", "subject": "rule"}
        | {"subject_id": "1", "name": "r"},
    }
    needed = {"looks": ["backtests"], "alert_rule_versions": ["alert_rules"]}
    needed["alert_events"] = ["alert_rules"]
    with engine.begin() as conn:
        for name in (*needed.get(table, []), table):
            if not conn.execute(metadata.tables[name].select()).first():
                conn.execute(metadata.tables[name].insert().values(**made[name]))


@pytest.mark.parametrize("table", TABLES)
def test_a_foreign_connection_cannot_replace_a_row_either(
    new_sqlite: Callable[[], str], table: str
) -> None:
    engine = open_database(new_sqlite())
    with engine.begin() as conn:
        save_record(conn)
    if table in PUT:
        _put_one(engine, table)
    columns = [column.name for column in metadata.tables[table].c]
    number = next(n for n in reversed(columns) if n.endswith(("_at", "close", "hash", "by")))
    changed = ", ".join("'2020-01-01'" if name == number else f'"{name}"' for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    refused = nullcontext() if table in SKIPPED else pytest.raises(sqlite3.IntegrityError)
    with closing(sqlite3.connect(str(engine.url.database))) as foreign:
        assert foreign.execute("PRAGMA recursive_triggers").fetchone() == (0,)
        before = foreign.execute(f"SELECT rowid, * FROM {table}").fetchall()
        assert before
        by_key = f"INSERT OR REPLACE INTO {table} ({names}) SELECT {changed} FROM {table}"
        with refused:
            foreign.execute(by_key)
        # A new key, but the row number of a row that is there.
        if table in ("bars", "measurements"):
            other_key = names.replace('"symbol"', "'XUSDT'")
            with refused:
                foreign.execute(
                    f"INSERT OR REPLACE INTO {table} (rowid, {names}) "
                    f"SELECT rowid, {other_key} FROM {table}"
                )
        foreign.commit()
        assert foreign.execute(f"SELECT rowid, * FROM {table}").fetchall() == before
    engine.dispose()


PUT_IN = "INSERT INTO ledger (position, kind, row_id, hash) VALUES (?, 'signal', ?, ?)"


def test_an_entry_before_the_first_is_refused(engine: Engine) -> None:
    with pytest.raises(IntegrityError, match="position"), engine.begin() as conn:
        insert_all(
            conn, entries, {"position": [0], "kind": ["signal"], "row_id": [7], "hash": [b"1"]}
        )


def test_an_entry_before_the_first_is_found_where_nothing_refuses_it(recorded: Engine) -> None:
    with raw(recorded) as run:
        run(PUT_IN, -5, 77777777, bytes(32))
        assert "There is an entry -5 of the ledger (signal 77777777)" in str(
            checked(recorded).fault
        )
        run("DELETE FROM ledger WHERE position <= 0")
    assert checked(recorded).fault is None


def test_absurd_numbers_are_said_in_words_or_passed_over(recorded: Engine) -> None:
    last = 2**63 - 1
    with recorded.connect() as conn:
        following = ledger.next_id(conn, signals, "signal")
        assert not still_there(conn, Published(10**30, bytes(32)))
    with raw(recorded) as run:
        run(PUT_IN, last, last, bytes(32))
        try:
            with recorded.begin() as conn:
                assert ledger.next_id(conn, signals, "signal") == following
                with pytest.raises(StoreError, match="leaves no number to go on"):
                    ledger.append(conn, "signal", [(following, b"{}")])
            assert "is missing" in str(checked(recorded).fault)
        finally:
            run("DELETE FROM ledger WHERE position = ?", last)
    assert checked(recorded).fault is None


def test_tables_whose_triggers_are_gone_are_named(engine: Engine) -> None:
    assert checked(engine).unguarded == ()
    sqlite = engine.dialect.name == "sqlite"
    with engine.begin() as conn:
        for statement in (
            ("DROP TRIGGER bars_refuses_delete", "DROP TRIGGER outcomes_refuses_replace")
            if sqlite
            else (
                "DROP TRIGGER bars_append_only ON bars",
                "ALTER TABLE outcomes DISABLE TRIGGER outcomes_append_only",
            )
        ):
            conn.exec_driver_sql(statement)
    found = checked(engine)
    assert (found.fault, found.unguarded) == (None, ("outcomes", "bars"))


def test_verify_and_the_doctor_say_that_guards_are_gone(
    new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_sqlite()
    open_store(url, "demo").dispose()
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    monkeypatch.setenv("DATABASE_URL", url)
    run = CliRunner()
    assert run.invoke(app, ["verify"]).exit_code == 0
    engine = open_database(url)
    with engine.begin() as conn:
        conn.exec_driver_sql("DROP TRIGGER looks_refuses_update")
    engine.dispose()
    said = run.invoke(app, ["verify"])
    assert said.exit_code == 1
    assert "triggers that refuse changes are missing from looks" in said.output
    doctor = run.invoke(app, ["doctor"])
    assert doctor.exit_code == 1
    assert "missing from looks" in " ".join(doctor.output.replace("│", " ").split())


def test_sums_are_left_out_or_made_anew_when_asked(
    new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_sqlite()
    engine = open_store(url, "demo")
    with engine.begin() as conn:
        save_record(conn)
        conn.exec_driver_sql("UPDATE tallies SET n = n + 1")
        conn.exec_driver_sql(
            "INSERT INTO factor_days VALUES ('w', '2025-09-01 00:00:00.000000', 'oi', '4h', 1, 1, 1, 1)"
        )
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    monkeypatch.setenv("DATABASE_URL", url)
    run = CliRunner()
    said = run.invoke(app, ["verify"])
    assert said.exit_code == 1
    assert "sums behind the Accuracy page" in said.output
    assert run.invoke(app, ["verify", "--ledger-only"]).exit_code == 0
    with engine.begin() as conn:
        rebuild_tallies(conn)
    said = run.invoke(app, ["verify"])
    assert said.exit_code == 1
    assert "--rebuild-sums makes them anew" in said.output
    assert run.invoke(app, ["verify", "--rebuild-sums"]).exit_code == 0
    assert run.invoke(app, ["verify"]).exit_code == 0
    engine.dispose()
