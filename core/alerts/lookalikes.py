"""Letters of other scripts that look like plain Latin ones, as Unicode's table of confusables has them."""

from __future__ import annotations

import unicodedata

_CYRILLIC = (
    "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u043a\u04cf\u043e\u0440\u051b\u0455\u0442\u0475\u051d"
    "\u0445\u0443\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u051a\u0405\u0422"
    "\u0474\u051c\u0425\u0423"
)
_GREEK = (
    "\u03b1\u03b5\u03b3\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03c9\u0391\u0392\u0395"
    "\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)
_OTHER_LATIN = "\u0131\u0251\u0261"
_PLAIN = str.maketrans(
    _CYRILLIC + _GREEK + _OTHER_LATIN,
    "acdehijklopqstvwxyABCEHIJKMOPQSTVWXY" + "aeynikvoptuxwABEZHIKMNOPTYX" + "iag",
)


def plain_letters(text: str) -> str:
    """The text as it looks, where letters of other scripts, wide ones and those with accents are meant.

    >>> plain_letters("s\\u0441ore"), plain_letters("\\uff53cor\\u00e9"), plain_letters("\\u6f22")
    ('score', 'score', '漢')
    """
    apart = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    bare = "".join(character for character in apart if not unicodedata.combining(character))
    return bare if bare.isascii() else text


def word_around(text: str, place: int) -> tuple[int, int]:
    """From where to where the word goes that has the letter at this place.

    >>> word_around("1 < s\\u0441ore and", 5)
    (4, 9)
    """
    start = end = place
    while start and _in_word(text[start - 1]):
        start -= 1
    while end < len(text) and _in_word(text[end]):
        end += 1
    return start, end


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"
