"""Random tokens, of which only the digest is kept: who reads the database cannot use them."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits, safe in an address and in a cookie."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a token: SHA-256, in 64 hexadecimal characters.

    >>> len(digest("a token"))
    64
    """
    return hashlib.sha256(token.encode()).hexdigest()
