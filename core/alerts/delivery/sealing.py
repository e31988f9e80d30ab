"""Secrets of channels, encrypted at rest.

The key is `CRYPTOSATX_SECRET_KEY`, or a file in the data folder that is made when it is first needed and
that nobody else may read. Several keys rotate: the first one seals, all of them open.
"""

from __future__ import annotations

import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from core.errors import DeliveryError, SettingsError
from core.settings import Settings, split_keys

KEY_FILE = "secret.key"
_NO_KEY = (
    "The secret of this channel was sealed with a key that is not here: set CRYPTOSATX_SECRET_KEY to "
    f"that key, or bring the file {KEY_FILE} of the data folder it was made with, or write the "
    "channel's address anew."
)


class Sealer:
    """Seals with the first key and opens with any; shows none of them."""

    def __init__(self, keys: list[str]) -> None:
        each = [Fernet(key) for key in keys]
        self._first, self._all = each[0], MultiFernet(each)

    def seal(self, secret: str) -> bytes:
        return self._first.encrypt(secret.encode())

    def unseal(self, sealed: bytes) -> str:
        """`DeliveryError` where the key is not here, or what is stored was changed."""
        try:
            return self._all.decrypt(sealed).decode()
        except InvalidToken:
            raise DeliveryError(_NO_KEY) from None

    def reseal(self, sealed: bytes) -> bytes | None:
        """The same sealed with the first key; None where it is, or cannot be opened."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            with suppress(InvalidToken):
                return self._all.rotate(sealed)
        return None


def load_sealer(settings: Settings) -> Sealer:
    """The keys of the settings, and those of the key file; a file is made where there are neither."""
    return Sealer(sealing_keys(settings))


def sealing_keys(settings: Settings) -> list[str]:
    """The keys themselves, the newest first."""
    path = settings.data_dir / KEY_FILE
    given = settings.secret_key
    keys = [] if given is None else split_keys(given.get_secret_value())
    if not keys and not path.exists():
        _make(path)
    return keys + _read(path)


def _read(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise SettingsError(
                f"{path} holds the key of secrets and others may read it: run chmod 600 {path}."
            )
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}, the key of secrets, cannot be read.") from error
    try:
        return split_keys(text)
    except ValueError:
        raise SettingsError(
            f"{path} holds no key of secrets: bring back the file it was, or remove it and write the "
            "addresses of all channels anew."
        ) from None


def _make(path: Path) -> None:
    """Written whole or not at all; of two who make one at once, both use the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    file = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(Fernet.generate_key() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()
