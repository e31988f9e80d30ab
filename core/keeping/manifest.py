"""What a backup says of itself: written into it, and beside it where anybody can read it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from core.errors import BackupError
from core.store.verifying import Published

FORMAT = 1
# What an archive may hold, and so all that is ever written from one.
MEMBER = re.compile(
    r"databases/[A-Za-z0-9][A-Za-z0-9_.-]*\.sqlite|database\.dump|spool/[A-Za-z0-9_-]+\.jsonl|secret\.key"
)
_NAME = re.compile(r"cryptosatx-(\d{8}T\d{6}Z)-[0-9a-f]{6}\.tar\.gz(\.age)?")

Kind = Literal["folder", "sqlite", "postgresql"]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Database(_Told):
    """A database in a backup; ``length`` and ``head`` are of its ledger, at the moment of the copy."""

    file: str
    market: str | None
    schema_revision: str
    length: int = Field(ge=0)
    head: str = Field(pattern="^[0-9a-f]{64}$")

    @property
    def published(self) -> Published:
        return Published(self.length, bytes.fromhex(self.head))


class File(_Told):
    """A file in a backup, as it is when it is taken out of it."""

    name: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(_Told):
    """``kind`` is how the databases are kept; ``mode`` how the backup is encrypted."""

    format: int
    product: str
    kind: Kind
    mode: Literal["recipients", "passphrase", "unencrypted"]
    began_at: AwareDatetime
    ended_at: AwareDatetime
    databases: tuple[Database, ...]
    files: tuple[File, ...]

    @property
    def revision(self) -> str:
        """The newest schema among the databases."""
        return max((one.schema_revision for one in self.databases), default="")


class Label(_Told):
    """What lies beside an archive: its size and checksum, and the manifest that is inside it too."""

    name: str
    bytes: int
    sha256: str
    manifest: Manifest


def parse_manifest(text: bytes) -> Manifest:
    """`BackupError` where it is none, or one of a version that this one does not know."""
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BackupError("The backup does not say what it holds: it is none of ours.") from error
    if found.format > FORMAT:
        raise BackupError("The backup was made by a newer version: install that one to restore it.")
    for name in (*(file.name for file in found.files), *(one.file for one in found.databases)):
        if not MEMBER.fullmatch(name):
            raise BackupError(f"The backup has a file {name}, which has no place here.")
    return found


def parse_label(text: bytes) -> Label:
    """`BackupError` where it is none."""
    try:
        return Label.model_validate_json(text)
    except ValidationError as error:
        raise BackupError("What lies beside the backup does not describe it.") from error


def archive_name(began_at: datetime, chance: str, *, encrypted: bool) -> str:
    """The name of a backup: its time in UTC, and six digits of chance.

    >>> archive_name(datetime(2025, 11, 1, 14, 30), "0a1b2c", encrypted=True)
    'cryptosatx-20251101T143000Z-0a1b2c.tar.gz.age'
    """
    return f"cryptosatx-{began_at:%Y%m%dT%H%M%SZ}-{chance}.tar.gz" + (".age" if encrypted else "")


def is_part(name: str) -> bool:
    """Whether a file is what a killed process left of a backup in a folder.

    >>> is_part(".cryptosatx-20251101T143000Z-0a1b2c.tar.gz.part")
    True
    """
    return is_archive(name.removeprefix(".").removesuffix(".part")) and name.startswith(".")


def is_archive(name: str) -> bool:
    """Whether a file is called as backups are.

    >>> is_archive("cryptosatx-20251101T143000Z-0a1b2c.tar.gz"), is_archive("notes.txt")
    (True, False)
    >>> is_archive("cryptosatx-20259901T143000Z-0a1b2c.tar.gz")
    False
    """
    if _NAME.fullmatch(name) is None:
        return False
    try:
        time_of(name)
    except ValueError:
        return False
    return True


def time_of(name: str) -> datetime:
    """The time in the name of a backup, or of a part of one.

    >>> str(time_of("cryptosatx-20251101T143000Z-0a1b2c.tar.gz"))
    '2025-11-01 14:30:00+00:00'
    """
    return datetime.strptime(name.split("-")[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
