"""What must not be said: secrets that are known here, and whatever looks like one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from pydantic import SecretStr

from core.secret_looks import HIDDEN, NAMES, without_secrets
from core.settings import Settings

_SHORTEST = 4
_DEEPEST = 8


class Mask:
    """Takes ``secrets`` out of texts, in whichever spelling, and all that looks like one.

    >>> mask = Mask(["hunter2hunter2"])
    >>> mask.text("GET /v4?api_key=abc&page=2 by Bearer abcdefgh with hunter2hunter2")
    'GET /v4?api_key=****&page=2 by Bearer **** with ****'
    >>> mask.text("postgresql://me:hunter2@db.example/signals does not answer")
    'postgresql://****@db.example/signals does not answer'
    >>> mask.value({"password": "x", "tokens": 17, "headers": [("cookie", "a=b")]})
    {'password': '****', 'tokens': 17, 'headers': [('cookie', '****')]}
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spelled = {
            form
            for word in secrets
            if len(word) >= _SHORTEST
            for form in (
                word,
                unquote(word),
                quote(word, safe=""),
                quote_plus(word),
                repr(word)[1:-1],
            )
        }
        # The longest first, so that no part of one is left beside another.
        found = "|".join(re.escape(word) for word in sorted(spelled, key=len, reverse=True))
        self._known = re.compile(found) if found else None

    def text(self, text: str) -> str:
        """A text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return without_secrets(text)

    def value(self, value: Any, deep: int = 0) -> Any:
        """The same for all that lies in lists and mappings; by their names too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray):
            return self.text(bytes(value).decode("utf-8", "replace"))
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, SecretStr) or deep > _DEEPEST:
            return HIDDEN
        if isinstance(value, Mapping):
            return {name: self._named(name, each, deep) for name, each in value.items()}
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str | bytes):
            return (value[0], self._named(value[0], value[1], deep))
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each, deep + 1) for each in value]
        return self.text(str(value))

    def _named(self, name: object, value: Any, deep: int) -> Any:
        """A value under its name; numbers are none, though there are so many tokens."""
        plain = name.decode("latin-1") if isinstance(name, bytes) else str(name)
        if isinstance(value, str | bytes | SecretStr) and value and NAMES.search(plain):
            return HIDDEN
        return self.value(value, deep + 1)


def mask_of(settings: Settings) -> Mask:
    """The mask that knows every secret of the settings."""
    return Mask(secrets_of(settings))


def secrets_of(settings: Settings) -> list[str]:
    """Every secret of the settings: whole and in the parts that it is a list of, and those that lie in
    addresses."""
    found: list[str] = []
    for key in type(settings).model_fields:
        for text in _texts(getattr(settings, key)):
            if isinstance(text, SecretStr):
                whole = text.get_secret_value()
                found += [whole, *re.split(r"[,\s]+", whole), *_in_pairs(whole)]
            elif "://" in text:
                found += _in_address(text)
    return list(dict.fromkeys(word for word in found if len(word) >= _SHORTEST))


def _texts(value: object) -> Iterator[str | SecretStr]:
    if isinstance(value, str | SecretStr):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _in_pairs(text: str) -> list[str]:
    return [unquote(pair.partition("=")[2]) for pair in text.split(",") if "=" in pair]


def _in_address(text: str) -> list[str]:
    try:
        parts = urlsplit(text)
        found = [parts.password or "", *(value for _, value in parse_qsl(parts.query))]
    except ValueError:
        return [text]
    return [*found, *(unquote(one) for one in found)]


Masking = Callable[[Any, str, Any], Any]


def masking(mask: Mask, kept: Iterable[str] = ()) -> Masking:
    """The mask as a processor of structlog; what is under the names ``kept`` is ours and harmless."""
    as_they_are = frozenset(kept)

    def process(_logger: Any, _method: str, event: Any) -> Any:
        return {
            name: value
            if name in as_they_are or name.startswith("_")
            else mask._named(name, value, 0)
            for name, value in event.items()
        }

    return process
