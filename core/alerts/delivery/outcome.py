"""What came of sending a message once."""

from __future__ import annotations

from dataclasses import dataclass

# Answers that another try would get again: what was asked for is wrong, not when.
_PERMANENT = {
    400,
    401,
    402,
    403,
    404,
    405,
    406,
    410,
    411,
    413,
    414,
    415,
    421,
    422,
    426,
    431,
    451,
    501,
}
_WORDS = {
    400: "it does not understand the message",
    401: "it does not accept the key",
    403: "it does not allow this",
    404: "nothing is there",
    408: "it waited too long",
    410: "it is gone for good",
    413: "the message is too long for it",
    429: "it is asked too often",
    500: "it failed",
    502: "what is behind it failed",
    503: "it is not working now",
    504: "what is behind it did not answer",
}


@dataclass(frozen=True)
class Outcome:
    """``permanent`` where no other try can help; ``answered`` where somebody was there and said so;
    ``retry_after`` in seconds, where the receiver asked for that."""

    sent: bool
    message: str
    permanent: bool = False
    answered: bool = False
    retry_after: float | None = None


def unreachable(message: str) -> Outcome:
    """Nobody was there, or not in time."""
    return Outcome(False, message)


def refused(message: str) -> Outcome:
    """It was not tried, and need not be again."""
    return Outcome(False, message, permanent=True)


def from_status(status: int, retry_after: float | None = None, said: str = "") -> Outcome:
    """What an HTTP status says.

    >>> from_status(204).sent, from_status(503).permanent, from_status(410).permanent
    (True, False, True)
    >>> from_status(302).message
    'It answered 302: it points to another address, which is not followed; write that one instead.'
    """
    if 200 <= status < 300:
        return Outcome(True, f"It answered {status}.", answered=True)
    if 300 <= status < 400:
        reason = "it points to another address, which is not followed; write that one instead"
        return Outcome(False, f"It answered {status}: {reason}.", permanent=True, answered=True)
    words = _WORDS.get(status, "it refuses this" if 400 <= status < 500 else "it failed")
    told = f" It said: {said}" if said else ""
    return Outcome(
        False,
        f"It answered {status}: {words}.{told}",
        permanent=status in _PERMANENT,
        answered=status != 429,
        retry_after=retry_after,
    )
