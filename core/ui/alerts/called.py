"""What a channel is called where those of everybody are listed."""

from __future__ import annotations


def called(channel: str, owner: str | None) -> str:
    """A channel by its name, with whose it is.

    >>> called("Desk", None), called("Phone", "tom")
    ('Desk', 'Phone (of tom)')
    """
    return channel if owner is None else f"{channel} (of {owner})"
