"""What an operation on a source gives: the source's own reply, and how old it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import Field

from core.operations.sources.reading import Found
from core.operations.values import Result


class SourceAnswer(Result):
    """A reply as the source gave it."""

    source: str = Field(description="Who answered.")
    endpoint: str = Field(description="What was asked there.")
    fetched_at: datetime = Field(description="When the source said it, UTC.")
    age_s: float = Field(description="Seconds for which it has been kept here.")
    reply: Any = Field(description="The reply, as the source gave it.")


def answer_of(source: str, endpoint: str, found: Found) -> SourceAnswer:
    return SourceAnswer(
        source=source,
        endpoint=endpoint,
        fetched_at=found.seen_at,
        age_s=round(found.age_seconds, 3),
        reply=orjson.loads(found.body),
    )
