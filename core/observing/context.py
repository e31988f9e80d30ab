"""Whose work something is, for logs: ids of the request, the session and the job at hand."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager

from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars

from core.accounts.tokens import digest

__all__ = ["begin_run", "bound", "new_id", "session_id"]
_DIGITS = 12


def new_id() -> str:
    """An id that no other request has.

    >>> len(new_id()), new_id() == new_id()
    (16, False)
    """
    return secrets.token_hex(8)


def session_id(token: str | None) -> str | None:
    """A session as logs name it: the beginning of the digest that the database keeps of its token.

    >>> session_id("a token"), session_id(None)
    ('e3316e2bafeb', None)
    """
    return digest(token)[:_DIGITS] if token else None


def bound(**ids: object) -> AbstractContextManager[None]:
    """Ids that everything said inside the block has; those that are None are left out."""
    return bound_contextvars(**{name: value for name, value in ids.items() if value is not None})


def begin_run(**ids: object) -> None:
    """Ids from now on in this thread, in place of those of whatever ran here before."""
    clear_contextvars()
    bind_contextvars(**{name: value for name, value in ids.items() if value is not None})
