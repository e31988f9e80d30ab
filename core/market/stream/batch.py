"""What a stream hands to the database at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from core.market.stream.events import Event


@dataclass
class StreamState:
    """How a venue's stream is doing. ``heard_at`` is when it last gave any sign of life.

    ``newest_at`` is when the newest event occurred; the counts only grow.
    """

    venue: str
    state: Literal["connecting", "live", "down"] = "connecting"
    message: str | None = None
    heard_at: datetime | None = None
    newest_at: datetime | None = None
    received: int = 0
    refused: int = 0
    lost: int = 0
    spooled: int = 0


class Gap(NamedTuple):
    """A time in which events are missing; ``ended_at`` is None while it lasts."""

    venue: str
    started_at: datetime
    ended_at: datetime | None
    reason: str
    lost: int = 0


class Batch(NamedTuple):
    """Events and what is to be noted with them; ``at`` is when the batch was made."""

    events: list[Event]
    gaps: list[Gap]
    state: StreamState | None
    at: datetime
