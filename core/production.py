"""What production needs before anything is served: the product refuses to start without it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from core.alerts.delivery.sealing import KEY_FILE
from core.errors import SettingsError
from core.settings import Settings, is_given

OFF = "off"


def refuse_unless_safe(settings: Settings) -> None:
    """`SettingsError` with all that is missing, in production; elsewhere everything may be missing."""
    if settings.env == "production" and (missing := missing_for_production(settings)):
        listed = "\n".join(f"- {sentence}" for sentence in missing)
        raise SettingsError(f"CRYPTOSATX_ENV=production does not start without these:\n{listed}")


def missing_for_production(settings: Settings) -> list[str]:
    """A sentence for each thing that safety needs and that is not there; empty when all is."""
    return [*_key(settings), *_edges(settings), *_backups(settings)]


def _key(settings: Settings) -> Iterator[str]:
    if settings.secret_key is None and not _keeps_a_key(settings.data_dir):
        yield (
            "Set CRYPTOSATX_SECRET_KEY, which seals secrets in the database: a key can neither be read "
            f"from nor be made in {settings.data_dir / KEY_FILE}, where only its owner may read it."
        )


def _keeps_a_key(folder: Path) -> bool:
    """Whether the folder has a key of its own, or one can be made in it."""
    path = folder / KEY_FILE
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        return there.is_dir() and os.access(there, os.W_OK)
    except OSError:
        return False
    return stat.S_ISREG(mode) and not mode & 0o077 and os.access(path, os.R_OK)


def _edges(settings: Settings) -> Iterator[str]:
    url = urlsplit(settings.url or "")
    if url.scheme != "https" or not url.hostname:
        yield "Set CRYPTOSATX_URL to the address that people open, beginning with https://."
    if not settings.allowed_hosts:
        yield "Set CRYPTOSATX_ALLOWED_HOSTS to the host names that requests may be for."
    elif url.hostname and not any(_is_of(url.hostname, host) for host in settings.allowed_hosts):
        yield f"Add {url.hostname}, the host of CRYPTOSATX_URL, to CRYPTOSATX_ALLOWED_HOSTS."
    if not is_given(settings, "CRYPTOSATX_TRUSTED_PROXIES"):
        yield (
            "Set CRYPTOSATX_TRUSTED_PROXIES to the address of the proxy that speaks HTTPS, or to none "
            "where this server does so itself: otherwise all visitors count as one."
        )


def _is_of(name: str, host: str) -> bool:
    """Whether a host name is the allowed one, or one below it where that begins with ``*.``.

    >>> _is_of("a.desk.example", "*.desk.example"), _is_of("desk.example", "*.desk.example")
    (True, False)
    """
    return name == host or (host.startswith("*.") and name.endswith(host[1:]))


def _backups(settings: Settings) -> Iterator[str]:
    if settings.backup_to is None:
        yield "Set CRYPTOSATX_BACKUP_TO to where backups go, or to off where something else makes them."
    elif settings.backup_to != OFF and not may_be_kept(settings):
        yield (
            "Set CRYPTOSATX_BACKUP_RECIPIENTS or CRYPTOSATX_BACKUP_PASSPHRASE, so that backups are "
            "encrypted, or CRYPTOSATX_BACKUP_UNENCRYPTED=on."
        )


def may_be_kept(settings: Settings) -> bool:
    """Whether it is said how backups are encrypted, or that they are not."""
    encrypted = settings.backup_recipients or settings.backup_passphrase
    return bool(encrypted) or settings.backup_unencrypted
