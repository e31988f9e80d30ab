"""What services answered that Apprise speaks to: it tells whether they took a message, and little more.

All of it goes out by requests. Where that makes a response of an answer it is noted, for who listens.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.market.http import retry_after

_noting: ContextVar[list[Answer] | None] = ContextVar("noting", default=None)
_installing = threading.Lock()
_MARK = "_notes_answers"


@dataclass(frozen=True)
class Answer:
    """``retry_after`` is the header as it came."""

    status: int
    retry_after: str

    @property
    def is_refusal(self) -> bool:
        return self.status >= 400


@contextmanager
def listening() -> Iterator[list[Answer]]:
    """What is answered to this thread inside the block, one after another."""
    _install()
    heard: list[Answer] = []
    token = _noting.set(heard)
    try:
        yield heard
    finally:
        _noting.reset(token)


def longest_wait(answers: Sequence[Answer], now: datetime) -> float | None:
    """Seconds that those ask for who refused, in seconds or as a date; None where nobody does.

    >>> from datetime import UTC
    >>> longest_wait([Answer(200, "9"), Answer(429, "7")], datetime(2025, 1, 1, tzinfo=UTC))
    7.0
    """
    waits = [retry_after(one.retry_after, now) for one in answers if one.is_refusal]
    return max((wait for wait in waits if wait is not None), default=None)


def _install() -> None:
    """Once per process; what nobody listens to goes by as before."""
    from requests.adapters import HTTPAdapter

    with _installing:
        build = HTTPAdapter.build_response
        if hasattr(build, _MARK):
            return

        def noted(self: HTTPAdapter, req: Any, resp: Any) -> Any:
            response = build(self, req, resp)
            heard = _noting.get()
            if heard is not None:
                said = str(response.headers.get("Retry-After", ""))
                heard.append(Answer(response.status_code, said))
            return response

        setattr(noted, _MARK, True)
        HTTPAdapter.build_response = noted  # type: ignore[method-assign]
