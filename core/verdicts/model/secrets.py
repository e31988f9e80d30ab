"""Secrets in what an endpoint says: looked for in every disguise, and hidden last.

A text is made plain first and searched then, because what drops characters afterwards can put a
secret together again. Where only its decoded form holds one, nothing of the text is told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from core.verdicts.model.plain import plain, storable

HIDDEN, WITHHELD = "***", "withheld: it held the key"
# Escapes that hold escapes: more than this is nobody's honest text.
_DEPTH = 6
_ESCAPE = re.compile(
    r"\\+(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2}))"
    r"|%([0-9a-fA-F]{2})|&#x0*([0-9a-fA-F]{1,6});"
)
_DECIMAL = re.compile(r"&#0*([0-9]{2,7});")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ESCAPED_SIGN = re.compile(r"\\+(?=[^\w\s\\])")
# They show nothing, and are of no category that says so.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\ufffd")


class Secrets:
    """What must not be repeated, in whatever an endpoint says.

    >>> Secrets(["sk-12345"]).told("Incorrect key sk-1\\u200b2345.", 100)
    'Incorrect key ***.'
    >>> Secrets(["sk-12345"]).told("Incorrect key sk-\\\\u0031\\\\u0032345.", 100)
    'withheld: it held the key'
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = sorted({one for one in values if len(one) > 3}, key=len, reverse=True)
        bare = {_stripped(one) for one in self._values}
        self._bare = [one for one in bare if len(one) > 3]

    def told(self, text: str, longest: int) -> str:
        """``text`` as plain text without any secret, cut off."""
        return self._without(plain(text, len(text)))[:longest]

    def kept(self, text: str, longest: int) -> str:
        """``text`` as it came, as a database takes it, cut off; nothing of it where a disguised
        secret is in it."""
        return storable(self._without(text), longest)

    def _without(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return WITHHELD if self._held(text) else text

    def _held(self, text: str) -> bool:
        """Whether a secret is in ``text``, or comes out of it by decoding."""
        if not self._values:
            return False
        for _ in range(_DEPTH):
            text = _stripped(text)
            if any(one in text for one in (*self._values, *self._bare)):
                return True
            decoded = _decoded(text)
            if decoded == text:
                return False
            text = decoded
        return True


def _stripped(text: str) -> str:
    """Without what shows nothing, and every letter in its simplest form."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one
        for one in unicodedata.normalize("NFKC", text)
        if unicodedata.category(one)[0] not in "CM" and one not in _BLANK
    )


def _decoded(text: str) -> str:
    text = _ESCAPE.sub(lambda found: _character(next(filter(None, found.groups())), 16), text)
    text = _DECIMAL.sub(lambda found: _character(found.group(1), 10), text)
    text = _PAIR.sub(_joined, text)
    return _ESCAPED_SIGN.sub("", text)


def _joined(halves: re.Match[str]) -> str:
    return halves.group().encode("utf-16", "surrogatepass").decode("utf-16")


def _character(digits: str, base: int) -> str:
    number = int(digits, base)
    return chr(number) if number < 0x110000 else ""
