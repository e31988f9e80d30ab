"""Where a page of a list ends: opaque text that says behind which row the next page begins.

A cursor holds the keys of the last row, not a number of rows, so rows that are added meanwhile neither
repeat nor hide any. It belongs to one operation with the same parameters, and says so itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from core.operations.registry import Parameters, WrongParameters

T = TypeVar("T")
# What may differ from page to page.
_FREE = {"cursor", "limit"}
_CHECKED = 12


def write_cursor(operation: str, asked: Parameters, place: tuple[Any, ...]) -> str:
    """The cursor behind the row with these keys: texts, numbers, aware times, None."""
    body = orjson.dumps(place)
    return base64.urlsafe_b64encode(_check(operation, asked, body) + body).decode().rstrip("=")


def read_cursor(operation: str, asked: Parameters, text: str | None, keys: type[T]) -> T | None:
    """The keys in a cursor, a tuple type; None without one. `WrongParameters` where it is another's."""
    if text is None:
        return None
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        body = plain[_CHECKED:]
        if plain[:_CHECKED] != _check(operation, asked, body):
            raise ValueError("it was made for something else")
        return TypeAdapter(keys).validate_json(body)
    except (ValueError, binascii.Error, ValidationError):
        raise WrongParameters(
            {"cursor": "is none that was given for these parameters: leave it out to begin again"}
        ) from None


def _check(operation: str, asked: Parameters, body: bytes) -> bytes:
    about = asked.model_dump_json(exclude=_FREE).encode()
    told = b"\0".join((operation.encode(), about, body))
    return hashlib.sha256(told).digest()[:_CHECKED]
