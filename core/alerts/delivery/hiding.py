"""Keeping secrets out of what is said: of reasons, and of the logs of libraries."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

HIDDEN = "****"
_LONGEST = 300
# They write addresses with all that is in them, some of them at every request.
_TALKATIVE = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    "urllib3.connectionpool",
    "urllib3.util.retry",
    "requests_oauthlib.oauth1_session",
    "asyncio",
)
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class Secrets:
    """What must not be repeated of an address or a key, in whichever spelling."""

    def __init__(self, words: Iterable[str]) -> None:
        spelled = {
            form
            for word in words
            if len(word) >= 4
            for form in (word, unquote(word), quote(unquote(word), safe=""), quote_plus(word))
        }
        # The longest first, so that no part of one is left beside another.
        found = "|".join(re.escape(word) for word in sorted(spelled, key=len, reverse=True))
        self._found = re.compile(found) if found else None

    def hide(self, text: str) -> str:
        """One line of a text, of bearable length, without them."""
        plain = text if self._found is None else self._found.sub(HIDDEN, text)
        line = " ".join("".join(one if one.isprintable() else " " for one in plain).split())
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def secrets_of(url: str, *, least: int = 6) -> list[str]:
    """The parts of an address that may be secrets: all but its scheme and its host's name.

    >>> secrets_of("https://me:hunter2@host.example/T0KEN12/x?key=abcdefg")
    ['me:hunter2@host.example', 'hunter2', 'T0KEN12', 'abcdefg']
    """
    try:
        parts = urlsplit(url)
        names = [parts.netloc if "@" in parts.netloc else "", parts.username or ""]
        password, host = parts.password or "", parts.hostname or ""
    except ValueError:
        return [url]
    values = [value for _, value in parse_qsl(parts.query, keep_blank_values=True)]
    # Without a dot it is no host's name but, in many services, a key.
    names += [] if "." in host or ":" in host else [host, parts.netloc.rpartition("@")[2]]
    pieces = [*names, *re.split(r"[/:,]", parts.path), *values, parts.fragment]
    found = [piece for piece in pieces if len(piece) >= least]
    if len(password) >= 4:
        found.insert(1 if found[:1] == [parts.netloc] else 0, password)
    return list(dict.fromkeys(found))


class _Quiet(logging.Filter):
    """While a message is sent, what a library says is kept for the reason and not written."""

    def filter(self, record: logging.LogRecord) -> bool:
        heard = _heard.get()
        if heard is None:
            return True
        if record.name.startswith("apprise") and record.levelno >= logging.WARNING:
            heard.append(record.getMessage())
        return False


_quiet = _Quiet()


@contextmanager
def hushed() -> Iterator[list[str]]:
    """Inside the block libraries write nothing to the logs; the list gets Apprise's complaints."""
    for name in ("apprise", *_TALKATIVE):
        logger = logging.getLogger(name)
        if _quiet not in logger.filters:
            logger.addFilter(_quiet)
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)
