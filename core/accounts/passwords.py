"""Passwords: what is accepted, and how they are kept."""

from __future__ import annotations

import base64
import hmac
import unicodedata
from functools import lru_cache

import bcrypt

from core.errors import AccountError

SHORTEST, LONGEST, ADVISED = 8, 128, 15
ROUNDS = 12
_DOMAIN = b"cryptosatx password"


def check_password(password: str, *, username: str = "") -> None:
    """Raise `AccountError` with what to do instead if ``password`` is not acceptable.

    >>> check_password("seven..")
    Traceback (most recent call last):
    core.errors.AccountError: The password has 7 characters: use at least 8, better 15 or more.
    """
    if len(password) < SHORTEST:
        raise AccountError(
            f"The password has {len(password)} characters: "
            f"use at least {SHORTEST}, better {ADVISED} or more."
        )
    if len(password) > LONGEST:
        raise AccountError(f"The password has {len(password)} characters: use at most {LONGEST}.")
    if len(set(password)) < 3 or password.casefold() == username.casefold():
        raise AccountError(
            "That password is guessed at once: use several words, not one character repeated "
            "and not the username."
        )


def hash_password(password: str) -> str:
    """A bcrypt hash of `prepare`; two hashes of one password differ by their salt."""
    return bcrypt.hashpw(prepare(password).encode(), bcrypt.gensalt(ROUNDS)).decode()


def matches(prepared: str, stored: str) -> bool:
    """Whether a prepared password belongs to the stored hash."""
    return bcrypt.checkpw(prepared.encode(), stored.encode())


def prepare(password: str) -> str:
    """44 characters that stand for the whole password.

    bcrypt reads 72 bytes and stops at a zero byte; a digest of fixed length lets every character
    count. It is keyed with this product's name, so that hashes which leaked elsewhere cannot be
    tried against ours.

    >>> prepare("x" * 127 + "y") == prepare("x" * 127 + "z")
    False
    """
    text = unicodedata.normalize("NFKC", password).encode()
    return base64.b64encode(hmac.digest(_DOMAIN, text, "sha256")).decode()


@lru_cache(maxsize=4)
def decoy(rounds: int) -> str:
    """A hash that no password has, as costly to check as a real one: for unknown usernames."""
    return bcrypt.hashpw(b"", bcrypt.gensalt(rounds)).decode()
