"""Bringing a backup back: all of it is verified before anything is put in place."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.alerts.delivery.sealing import KEY_FILE
from core.errors import BackupError
from core.keeping import into_postgres
from core.keeping.backup import SPOOL, quietly, take_apart
from core.keeping.copying import Progress, Source, describe, kind_of, opened, place_of, sources_of
from core.keeping.encryption import Keys
from core.keeping.manifest import Database, Label, Manifest
from core.keeping.places import Place
from core.keeping.scratch import scratch
from core.keeping.verified import end_sessions, is_as_told, verify_as_told
from core.settings import Settings
from core.store import open_store
from core.store.entries import snapshot
from core.store.opening import newest_revision
from core.store.verifying import Verified

# What SQLite keeps beside a file; left beside another one they would change it.
_BESIDE = ("", "-wal", "-shm", "-journal")
_WORDS = {
    "folder": "of files in a data folder: unset DATABASE_URL",
    "sqlite": "of one SQLite file: set DATABASE_URL to sqlite:///FILE",
    "postgresql": "of a PostgreSQL database: set DATABASE_URL to an empty one",
}


@dataclass(frozen=True)
class Restored:
    """What was brought back: ``verified`` by database, and where that is which was there before.

    Nothing is ``in_place`` after a rehearsal.
    """

    manifest: Manifest
    verified: dict[str, Verified]
    in_place: bool
    aside: str | None = None


def restore(
    settings: Settings,
    place: Place,
    label: Label,
    keys: Keys,
    *,
    replace: bool = False,
    rehearse: bool = False,
    sign_out: bool = False,
    progress: Progress = quietly,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Restored:
    """Bring a backup back in place of an installation that is empty, or that goes aside by ``replace``.

    `BackupError`, and nothing is changed, where the backup is not what was written, its ledger does not
    hold, it is newer than this version, or something is in its way. A rehearsal ends before
    anything is put in place. With ``sign_out`` nobody is signed in afterwards.
    """
    _fits(settings, label.manifest)
    if not rehearse:
        _nothing_in_the_way(settings, replace=replace)
    with scratch(settings.data_dir) as folder:
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        manifest = take_apart(place, label, keys, unpacked, progress)
        _fits(settings, manifest)
        stamp = f"{clock():%Y%m%dT%H%M%SZ}"
        if manifest.kind == "postgresql":
            found = into_postgres.Loading(settings, folder, stamp, progress)
            with found.loaded(manifest.databases[0], unpacked, rehearse=rehearse) as verified:
                if sign_out:
                    found.sign_out()
                if rehearse:
                    return Restored(manifest, verified, in_place=False)
                aside = found.put_in_place(replace=replace)
            _put_files(settings, unpacked, stamp)
            return Restored(manifest, verified, in_place=True, aside=aside)
        verified = dict(_verify_files(manifest, unpacked, progress))
        if sign_out:
            _sign_out(manifest, unpacked)
        if rehearse:
            return Restored(manifest, verified, in_place=False)
        folder_aside = settings.data_dir / f"before-restore-{stamp}"
        _put_in_place(settings, manifest, unpacked, folder_aside)
        _put_files(settings, unpacked, stamp)
        aside = str(folder_aside) if folder_aside.exists() else None
        return Restored(manifest, verified, in_place=True, aside=aside)


def _fits(settings: Settings, manifest: Manifest) -> None:
    if manifest.revision > newest_revision():
        raise BackupError(
            f"The backup has schema {manifest.revision}, and this version knows schemas up to "
            f"{newest_revision()}: install version {manifest.product} of the product, or a newer one."
        )
    if manifest.kind != kind_of(settings):
        raise BackupError(f"The backup is {_WORDS[manifest.kind]}.")


def _nothing_in_the_way(settings: Settings, *, replace: bool) -> None:
    """`BackupError` where there is something, unless it may be replaced; or somebody is using it."""
    if kind_of(settings) == "postgresql":
        into_postgres.nothing_in_the_way(settings, replace=replace)
        return
    there = sources_of(settings)
    if there and not replace:
        names = ", ".join(str(source.path) for source in there)
        raise BackupError(
            f"There is something already: {names}. With --replace it is kept aside, and what is in the "
            "backup takes its place."
        )
    users = sorted({user for source in there for user in _users_of(source)})
    if users:
        raise BackupError(
            f"The databases are in use by the processes {', '.join(map(str, users))}: stop the "
            "dashboards and the workers first."
        )


def _users_of(source: Source) -> Iterator[int]:
    """Processes that hold a file open, as far as this user may see."""
    assert source.path is not None
    wanted = source.path.stat()
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            opened_files = [os.stat(one) for one in (process / "fd").iterdir()]
        except OSError:
            continue  # It has ended, or is somebody else's.
        if any((f.st_dev, f.st_ino) == (wanted.st_dev, wanted.st_ino) for f in opened_files):
            yield int(process.name)


def _verify_files(
    manifest: Manifest, unpacked: Path, progress: Progress
) -> Iterator[tuple[str, Verified]]:
    """Bring every database of the backup to the newest schema, and walk its ledger."""
    told = {one.file: one for one in manifest.databases}
    for file in manifest.files:
        if not file.name.startswith("databases/"):
            continue
        path = unpacked / file.name
        _is_sound(path)
        if file.name in told:
            yield file.name, _verify_file(path, told[file.name], progress)


def _is_sound(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as conn:
            said = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise BackupError(f"{path.name} in the backup is no sound database: {said}.")


def _verify_file(path: Path, told: Database, progress: Progress) -> Verified:
    with opened(path) as conn:
        is_as_told(describe(conn, told.file), told)
    engine = open_store(f"sqlite:///{path}", told.market)
    try:
        with snapshot(engine) as conn:
            return verify_as_told(conn, told, progress)
    finally:
        engine.dispose()
        _close_log(path)


def _close_log(path: Path) -> None:
    """Have everything in the file itself, as the file alone is put in place."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.execute("PRAGMA journal_mode=DELETE")


def _sign_out(manifest: Manifest, unpacked: Path) -> None:
    for one in manifest.databases:
        engine = open_store(f"sqlite:///{unpacked / one.file}")
        with engine.begin() as conn:
            end_sessions(conn)
        engine.dispose()
        _close_log(unpacked / one.file)


def _put_in_place(settings: Settings, manifest: Manifest, unpacked: Path, aside: Path) -> None:
    """Move what is there aside, and the databases to where they belong; all of it or nothing."""
    with _moving() as move:
        for source in sources_of(settings):
            assert source.path is not None
            for path in _with_logs(source.path):
                aside.mkdir(mode=0o700, exist_ok=True)
                move(path, aside / path.name)
        for file in manifest.files:
            if file.name.startswith("databases/"):
                target = place_of(settings, file.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                move(unpacked / file.name, target)


def _with_logs(path: Path) -> Sequence[Path]:
    named = [path.with_name(path.name + ending) for ending in _BESIDE]
    return [one for one in named if one.exists()]


@contextmanager
def _moving() -> Iterator[Callable[[Path, Path], None]]:
    """Moves that are undone, the last one first, when one of them fails."""
    done: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        if target.exists():
            raise BackupError(f"{target} is there already: move it away.")
        # A database may be on another disk than the data folder.
        shutil.move(source, target)
        done.append((source, target))

    try:
        yield move
    except BaseException:
        for source, target in reversed(done):
            shutil.move(target, source)
        raise


def _put_files(settings: Settings, unpacked: Path, stamp: str) -> None:
    """The key of secrets, in place of another one that is kept, and events that waited, beside those
    that wait."""
    key, held = unpacked / KEY_FILE, settings.data_dir / KEY_FILE
    if key.exists() and not (held.exists() and held.read_bytes() == key.read_bytes()):
        if held.exists():
            held.rename(held.with_name(f"{KEY_FILE}.before-restore-{stamp}"))
        key.rename(held)
    for path in sorted((unpacked / SPOOL).glob("*.jsonl")):
        target = settings.data_dir / SPOOL / path.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
