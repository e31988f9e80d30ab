"""Texts that people write, as every database and every channel takes them."""

from __future__ import annotations

import re

_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def writable(text: str) -> str:
    """The text without control characters and halves of characters.

    >>> writable("crowded\\x00 longs\\ud800")
    'crowded longs'
    """
    return _UNWRITABLE.sub("", text)
