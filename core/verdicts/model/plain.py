"""Text from outside as plain text: printable, on one line, of bounded length."""

from __future__ import annotations

import unicodedata


def plain(text: str, longest: int) -> str:
    """``text`` without control, format and unassigned characters, its white space folded, cut off.

    What is dropped are all characters of Unicode's categories C: they show nothing, and can hide or
    turn round what stands beside them.

    >>> plain("Doge\\x00coin\\u202e \\n\\n  ignore", 14)
    'Dogecoin ignor'
    """
    folded = " ".join(text.split())
    return "".join(one for one in folded if unicodedata.category(one)[0] != "C")[:longest]


def storable(text: str, longest: int) -> str:
    """``text`` as a database takes it, cut off: without NUL and halves of surrogate pairs.

    >>> storable("a\\x00b\\ud800", 10)
    'a\\ufffdb\\ufffd'
    """
    kept = text[:longest].encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return "".join(
        "\ufffd" if "\ud800" <= old <= "\udfff" else new
        for old, new in zip(text[:longest], kept, strict=True)
    )
