"""Passwords: what is accepted, and how they are kept."""

from __future__ import annotations

import base64
import hmac
import re
import unicodedata
from functools import lru_cache

import bcrypt

from core.errors import AccountError

SHORTEST, LONGEST, ADVISED = 8, 128, 15
ROUNDS = 12
# zxcvbn's score from 0 to 4: at 2, about a million guesses do not find it. Strangers get about 300 a
# day at one account (`core.accounts.attempts`), so a million take nine years.
STRONG_ENOUGH = 2
# zxcvbn takes seconds over more, and what is guessed at once is guessed by how it begins.
_JUDGED = 72
_LIKE_CODE = re.compile(r"[\s-]*([0-9][\s-]*){6}")
_PRODUCT = "cryptosatx"
_DOMAIN = b"cryptosatx password"


def check_password(password: str, *, username: str = "", name: str = "") -> None:
    """Raise `AccountError` with what to do instead if ``password`` is not acceptable.

    No kinds of characters are asked for. Refused is what is guessed at once, as zxcvbn estimates it:
    the 30,000 most common passwords, words and names, also with the usual letters replaced or a
    number added, keyboard patterns, repeats, dates, and what is made of the username or the name. A
    list alone would take ``Password1!`` and the username with a year. Refused are also six digits with
    blanks or hyphens, which would be taken for a code where either is asked for.

    >>> check_password("seven..")
    Traceback (most recent call last):
    core.errors.AccountError: The password has 7 characters: use at least 8, better 15 or more.
    """
    password = _normal(password)
    if len(password) < SHORTEST:
        raise AccountError(
            f"The password has {len(password)} characters: "
            f"use at least {SHORTEST}, better {ADVISED} or more."
        )
    if len(password) > LONGEST:
        raise AccountError(f"The password has {len(password)} characters: use at most {LONGEST}.")
    if _LIKE_CODE.fullmatch(password):
        raise AccountError(
            "Six digits would be taken for a code of a device: use letters too, better several words."
        )
    if _score(password, [username, name, *name.split(), _PRODUCT]) < STRONG_ENOUGH:
        raise AccountError(
            "That password is guessed at once: use several unrelated words, and not a common "
            "password, a pattern of keys, the username or the name."
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
    text = _normal(password).encode()
    return base64.b64encode(hmac.digest(_DOMAIN, text, "sha256")).decode()


@lru_cache(maxsize=4)
def decoy(rounds: int) -> str:
    """A hash that no password has, as costly to check as a real one: for unknown usernames."""
    return bcrypt.hashpw(b"", bcrypt.gensalt(rounds)).decode()


def _normal(password: str) -> str:
    """The same text whatever keyboard it was typed on."""
    return unicodedata.normalize("NFKC", password)


def _score(password: str, words: list[str]) -> int:
    # Its dictionaries take a quarter of a second to load, and few processes judge a password.
    from zxcvbn import zxcvbn

    known = [word for word in words if word]
    score: int = zxcvbn(_normal(password)[:_JUDGED], user_inputs=known)["score"]
    return score
