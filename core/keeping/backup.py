"""Making a backup, finding those there are, and dropping those that are old."""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from core.alerts.delivery.sealing import KEY_FILE
from core.errors import BackupError
from core.keeping.archive import Hashing, HashingReader, Packing, pack, unpack
from core.keeping.copying import Progress, Source, copy, kind_of, sizes, sources_of
from core.keeping.encryption import BEGINNING, Keys, Mode, Seal, mode_of
from core.keeping.manifest import (
    FORMAT,
    Database,
    Label,
    Manifest,
    archive_name,
    is_archive,
    is_part,
    parse_label,
    time_of,
)
from core.keeping.places import Place
from core.keeping.retention import to_keep
from core.keeping.scratch import scratch
from core.settings import Settings
from core.version import product_version

_logger = logging.getLogger(__name__)
LABEL = ".json"
SPOOL = "spool"
# An archive without its label is one that was not finished, unless it is being written just now.
UNFINISHED_AFTER = timedelta(days=2)
_MOST_LABEL = 16 * 1024 * 1024


def quietly(_words: str, _done: int, _of: int) -> None:
    """Tell nobody how far it is."""


def make_backup(
    settings: Settings,
    place: Place,
    seal: Seal,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Progress = quietly,
) -> Label:
    """Back the installation up to ``place``: whole, or not at all.

    Others may write meanwhile; each database is as it was at one moment after the beginning.
    """
    began = clock()
    sources = sources_of(settings)
    if not sources:
        raise BackupError(
            f"There is no database in {settings.data_dir}: set CRYPTOSATX_DATA or DATABASE_URL."
        )
    name = archive_name(began, secrets.token_hex(3), encrypted=seal.encrypts)
    made: list[Manifest] = []
    with scratch(settings.data_dir) as folder:
        _look_for_room(folder, sources)

        def fill(packing: Packing) -> None:
            databases = [*_add_databases(packing, sources, folder, progress)]
            _add_files(packing, settings, seal)
            manifest = Manifest(
                format=FORMAT,
                product=product_version(),
                kind=kind_of(settings),
                mode=seal.mode,
                began_at=began,
                ended_at=clock(),
                databases=tuple(databases),
                files=tuple(packing.files),
            )
            packing.close(manifest)
            made.append(manifest)

        with place.writing(name) as out:
            closed = Hashing(out)
            pack(fill, seal, closed)
    label = Label(name=name, bytes=closed.bytes, sha256=closed.sha256, manifest=made[0])
    # Only what has a label counts: it comes when the archive is there.
    with place.writing(name + LABEL) as out:
        out.write(orjson.dumps(label.model_dump(mode="json"), option=orjson.OPT_INDENT_2))
    return label


def _look_for_room(folder: Path, sources: list[Source]) -> None:
    """Copies are made one after another, so there has to be room for the largest."""
    largest, free = max(sizes(sources), default=0), shutil.disk_usage(folder).free
    if largest > free:
        raise BackupError(
            f"{folder.parent} has {free / 1e6:,.0f} MB free, and a copy of {largest / 1e6:,.0f} MB has to "
            "be made there first: make room."
        )


def _add_databases(
    packing: Packing, sources: list[Source], folder: Path, progress: Progress
) -> Iterator[Database]:
    for source in sources:
        target = folder / Path(source.member).name
        told = copy(source, target, folder, progress)
        words, size = f"{target.name}, packed", target.stat().st_size
        packing.add(source.member, target, _teller(progress, words, size))
        target.unlink()
        if told is not None:
            yield told


def _teller(progress: Progress, words: str, of: int) -> Callable[[int], None]:
    return lambda done: progress(words, done, of)


def _add_files(packing: Packing, settings: Settings, seal: Seal) -> None:
    """What lies beside the databases: events that wait for one, and, encrypted, the key of secrets."""
    for path in sorted((settings.data_dir / SPOOL).glob("*.jsonl")):
        with suppress(FileNotFoundError):  # It was stored meanwhile.
            packing.add(f"{SPOOL}/{path.name}", path)
    key = settings.data_dir / KEY_FILE
    if seal.encrypts and key.is_file():
        packing.add(KEY_FILE, key)


@dataclass(frozen=True)
class Kept:
    """Backups at a place, the newest first by the time in their names, archives there that were never
    finished, and those left out as what lies beside them does not describe them, with why."""

    labels: tuple[Label, ...]
    unfinished: tuple[str, ...]
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(label.bytes for label in self.labels)


def list_backups(place: Place) -> Kept:
    """What is at a place, by the labels there."""
    names = place.names()
    archives = sorted((name for name in names if is_archive(name)), reverse=True)
    labels: list[Label] = []
    damaged: dict[str, str] = {}
    for name in archives:
        if name + LABEL not in names:
            continue
        try:
            label = read_label(place, name)
        except BackupError as error:
            damaged[name] = str(error)
            continue
        if names[name] == label.bytes:
            labels.append(label)
        else:
            damaged[name] = f"{name} has {names[name]:,} bytes, and {label.bytes:,} were written."
    said = {*damaged, *(label.name for label in labels)}
    return Kept(
        tuple(labels),
        tuple(name for name in names if is_part(name) or (is_archive(name) and name not in said)),
        damaged,
    )


def read_label(place: Place, name: str) -> Label:
    """What is said beside an archive; `BackupError` where nothing is."""
    with place.reading(name + LABEL) as file:
        text = file.read(_MOST_LABEL)
    try:
        label = parse_label(text)
    except BackupError as error:
        raise BackupError(f"{name}{LABEL} is damaged: {error}") from error
    if label.name != name:
        raise BackupError(f"What lies beside {name} describes {label.name}.")
    if label.manifest.began_at.replace(microsecond=0) != time_of(name):
        raise BackupError(f"What lies beside {name} tells another time than its name.")
    return label


def mode_at(place: Place, name: str) -> Mode:
    """How an archive is closed, by itself: its name and what lies beside it can say anything."""
    return mode_of(place.beginning(name, BEGINNING))


def find_backup(place: Place, name: str | None) -> Label:
    """The backup of that name, or the newest; `BackupError` where there is none, or where one that is
    newer by its name was left out, of which somebody has to know."""
    kept = list_backups(place)
    if name is not None and name in kept.damaged:
        raise BackupError(kept.damaged[name])
    if name is None:
        newest = kept.labels[0].name if kept.labels else ""
        for one, why in kept.damaged.items():
            if one > newest:
                raise BackupError(f"The newest backup cannot be taken: {why} Name another one.")
    if not kept.labels:
        raise BackupError(f"There is no backup at {place.words}.")
    if name is None:
        return kept.labels[0]
    found = next((label for label in kept.labels if label.name == name), None)
    if found is None:
        raise BackupError(f"There is no whole backup {name} at {place.words}: see backup list.")
    return found


def check_backup(
    place: Place, label: Label, keys: Keys | None, progress: Progress = quietly
) -> bool:
    """Read a backup from its beginning to its end; `BackupError` unless it is what was written.

    Whether its inside was looked at too, which needs the ``keys`` where it is encrypted.
    """
    if keys is None and mode_at(place, label.name) != "unencrypted":
        with place.reading(label.name) as file:
            hashed = Hashing(file, _teller(progress, label.name, label.bytes))
            while hashed.read(1024 * 1024):
                pass
        _compare(label, hashed)
        return False
    # It is only looked at, so an open one does no harm.
    opens = replace(keys or Keys(), unencrypted=True)
    take_apart(place, label, opens, None, progress)
    return True


def take_apart(
    place: Place, label: Label, keys: Keys, folder: Path | None, progress: Progress = quietly
) -> Manifest:
    """Decrypt a backup into ``folder``, or nowhere; what it says inside of itself."""
    with place.reading(label.name) as file:
        hashed = HashingReader(file, _teller(progress, label.name, label.bytes))
        found = unpack(hashed.buffered, keys, folder)
        hashed.drain()
    _compare(label, hashed)
    # An old backup under a newer name would bring old passwords and rights back.
    if found.began_at.replace(microsecond=0) != time_of(label.name):
        raise BackupError(
            f"{label.name} is not what its name says: inside it is of {found.began_at:%Y-%m-%d %H:%M} UTC."
        )
    if found != label.manifest:
        raise BackupError(f"What lies beside {label.name} says something else than its inside.")
    return found


def _compare(label: Label, found: Hashing) -> None:
    if (found.bytes, found.sha256) != (label.bytes, label.sha256):
        raise BackupError(f"{label.name} is not what was written: its checksum is another one.")


def drop_old_backups(place: Place, settings: Settings, now: datetime) -> list[str]:
    """Delete what no rule keeps, and what was never finished; the names.

    What is dated in the future counts for nothing and stays, as does what is damaged.
    """
    kept = list_backups(place)
    times = {one.name: one.manifest.began_at for one in kept.labels}
    past = {name: at for name, at in times.items() if at <= now}
    staying = to_keep(past.values(), settings.backup_keep)
    old = [name for name, at in past.items() if at not in staying]
    for name in [*kept.damaged, *(times.keys() - past.keys())]:
        why = kept.damaged.get(name, "it is dated in the future.")
        _logger.warning("The backup %s is left where it is: %s", name, why)
    old += [name for name in kept.unfinished if time_of(name) < now - UNFINISHED_AFTER]
    for name in old:
        # The label first: without it nobody takes the rest for a backup.
        place.delete(name + LABEL)
        place.delete(name)
    return old
