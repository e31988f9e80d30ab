"""Encryption of backups in the format of age, piece by piece.

For recipients an archive is what `age` makes. Under a passphrase it begins with a fresh key pair of its
own, encrypted with the passphrase, and goes on with what is encrypted for that pair, as age's files of
identities do: age cannot be fed a passphrase and a stream otherwise.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import pyrage
from pyrage import passphrase as under_passphrase
from pyrage import x25519

from core.errors import BackupError
from core.keeping.places import Out
from core.settings import Settings

Mode = Literal["recipients", "passphrase", "unencrypted"]
_ARMOURED, _ARMOUR_ENDS = b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----END AGE ENCRYPTED FILE-----"
_AGE = b"age-encryption.org/"
_MOST_LINES = 40  # of the key pair of an archive under a passphrase
BEGINNING = len(_ARMOURED)  # how many bytes of an archive tell how it is closed


class In(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Seal:
    """How a backup is closed: for holders of private keys, with a passphrase, or not at all."""

    mode: Mode
    recipients: tuple[str, ...] = ()
    passphrase: str | None = field(default=None, repr=False)

    @property
    def encrypts(self) -> bool:
        return self.mode != "unencrypted"

    def write(self, plain: In, out: Out) -> None:
        """Read to the end, and write it closed."""
        if self.mode == "unencrypted":
            shutil.copyfileobj(plain, out, 1024 * 1024)
            return
        for_whom = [x25519.Recipient.from_str(key) for key in self.recipients]
        if self.mode == "passphrase":
            pair = x25519.Identity.generate()
            assert self.passphrase is not None
            out.write(under_passphrase.encrypt(str(pair).encode(), self.passphrase, armored=True))
            for_whom = [pair.to_public()]
        pyrage.encrypt_io(plain, out, for_whom)


def seal_of(settings: Settings, *, unencrypted: bool = False) -> Seal:
    """How backups are closed by the settings; `BackupError` where that is not said, or wrong."""
    if unencrypted or settings.backup_unencrypted:
        return Seal("unencrypted")
    if settings.backup_recipients:
        for key in settings.backup_recipients:
            try:
                x25519.Recipient.from_str(key)
            except pyrage.RecipientError as error:
                raise BackupError(
                    f"CRYPTOSATX_BACKUP_RECIPIENTS: {key} is no public key of age."
                ) from error
        return Seal("recipients", recipients=settings.backup_recipients)
    if settings.backup_passphrase is not None:
        return Seal("passphrase", passphrase=settings.backup_passphrase.get_secret_value())
    raise BackupError(
        "Say how the backup is encrypted: set CRYPTOSATX_BACKUP_RECIPIENTS or "
        "CRYPTOSATX_BACKUP_PASSPHRASE, or give --unencrypted."
    )


def mode_of(beginning: bytes) -> Mode:
    """How an archive is closed, by its first `BEGINNING` bytes; what is said beside it may be forged.

    >>> mode_of(b"age-encryption.org/v1"), mode_of(b"packed")
    ('recipients', 'unencrypted')
    """
    if beginning.startswith(_ARMOURED):
        return "passphrase"
    return "recipients" if beginning.startswith(_AGE) else "unencrypted"


@dataclass(frozen=True)
class Keys:
    """What opens backups: private keys, or a passphrase.

    ``unencrypted`` ones, which whoever may write to the place can have made, are taken only if told.
    """

    identities: tuple[str, ...] = field(default=(), repr=False)
    passphrase: str | None = field(default=None, repr=False)
    unencrypted: bool = False

    def read(self, closed: io.BufferedReader[Any], out: Out) -> None:
        """Write what is inside to ``out``; `BackupError` where it cannot be opened or was changed."""
        mode = mode_of(closed.peek(BEGINNING))
        try:
            if mode == "passphrase":
                pyrage.decrypt_io(closed, out, [self._pair(closed)])
            elif mode == "recipients":
                pyrage.decrypt_io(closed, out, self._own())
            elif self.unencrypted:
                shutil.copyfileobj(closed, out, 1024 * 1024)
            else:
                raise BackupError(
                    "The backup is not encrypted, so anybody who may write there can have made it. "
                    "Name another one, or give --unencrypted to take it all the same."
                )
        except BrokenPipeError:
            raise  # Whoever took it has stopped, and says why.
        except OSError as error:
            raise BackupError(f"The backup is damaged or cut short ({error}).") from error
        except pyrage.DecryptError as error:
            raise BackupError(
                "The backup does not open with this key or passphrase, or was changed."
            ) from error

    def _own(self) -> Sequence[x25519.Identity]:
        if not self.identities:
            raise BackupError(
                "The backup is encrypted for the holder of a private key: give its file with --identity."
            )
        return [x25519.Identity.from_str(text) for text in self.identities]

    def _pair(self, closed: io.BufferedReader[Any]) -> x25519.Identity:
        if self.passphrase is None:
            raise BackupError(
                "The backup is encrypted with a passphrase: set CRYPTOSATX_BACKUP_PASSPHRASE."
            )
        lines: list[bytes] = []
        while not lines or (not lines[-1].startswith(_ARMOUR_ENDS) and len(lines) < _MOST_LINES):
            lines.append(closed.readline(200))
        text = under_passphrase.decrypt(b"".join(lines), self.passphrase).decode()
        return x25519.Identity.from_str(text)


def keys_of(settings: Settings, identity: Path | None = None, *, unencrypted: bool = False) -> Keys:
    """The passphrase of the settings, and the private keys of a file as age-keygen writes it.

    Unencrypted backups are taken where the settings say that they are made so, or it is told.
    """
    unencrypted = unencrypted or settings.backup_unencrypted
    given = settings.backup_passphrase
    passphrase = None if given is None else given.get_secret_value()
    if identity is None:
        return Keys(passphrase=passphrase, unencrypted=unencrypted)
    try:
        text = identity.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(f"{identity} cannot be read.") from error
    found = tuple(re.findall(r"^AGE-SECRET-KEY-1[0-9A-Z]+$", text, re.MULTILINE))
    if not found:
        raise BackupError(f"{identity} holds no private key of age: age-keygen writes such files.")
    return Keys(found, passphrase, unencrypted)
