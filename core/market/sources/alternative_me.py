"""Fear and greed of alternative.me: one number a day, of Bitcoin, used for the whole market."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from core.market import files
from core.market.budgets import Budget
from core.market.http import Http
from core.market.replies import Reply
from core.market.sources.reading import Wanted, get, milliseconds, records, rows

SOURCE = "alternative_me"
BUDGETS = (Budget("requests", 60, 60),)
URL = "https://api.alternative.me/fng/"
# A value is stamped with the beginning of its day and appears some minutes into it.
_APPEARS_AFTER_MS = 5 * 60_000


async def fetch_fear_greed(http: Http, *, days: int) -> Reply:
    """The newest days; all there are for 0."""
    return await http.get(SOURCE, URL, params={"limit": days, "format": "json"})


def parse_fear_greed(raw: Any, seen_at: datetime) -> pd.DataFrame:
    """Rows of fear_greed, each known from minutes after its day began."""
    found = []
    for one in records(raw, SOURCE, "data"):
        began = milliseconds(get(one, "timestamp", SOURCE), unit_ms=1000)
        known = None if began is None else began + _APPEARS_AFTER_MS
        found.append({"known_ms": known, "fear_greed": get(one, "value", SOURCE)})
    return rows(Wanted(files.FEAR_GREED, SOURCE, seen_at, newest_first=True), found)
