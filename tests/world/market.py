"""What the world's sources know at a moment: the tables of a recording up to a clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from typing import Any

import pandas as pd

from core.market.files import FILES

HOUR_MS = 3_600_000
Row = dict[str, Any]


class Market:
    """Tables in the format of a recording, asked for what had been published by then."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._rows = {name: _by_symbol(name, table) for name, table in tables.items()}
        self.symbols = sorted(self._rows.get("candles_1h", {}))
        self.lag_ms = 0

    def behind(self, lag_ms: int) -> Market:
        """The same market, looked at that much later than it says."""
        other = copy(self)
        other.lag_ms = lag_ms
        return other

    @property
    def now_ms(self) -> int:
        return int(self._clock().timestamp() * 1000) - self.lag_ms

    def rows(
        self,
        file: str,
        symbol: str = "",
        *,
        first: int | None = None,
        last: int | None = None,
        time: str = "known_ms",
    ) -> list[Row]:
        """Rows known by now, oldest first, whose ``time`` lies between the two in milliseconds."""
        now = self.now_ms
        return [
            row
            for row in self._rows.get(file, {}).get(symbol, [])
            if row["known_ms"] <= now
            and (first is None or row[time] >= first)
            and (last is None or row[time] <= last)
        ]

    def newest(self, file: str, symbol: str = "") -> Row | None:
        rows = self._rows.get(file, {}).get(symbol, [])
        known = bisect_right(rows, self.now_ms, key=lambda row: row["known_ms"])
        return rows[known - 1] if known else None

    def candles(
        self, symbol: str, *, first: int | None = None, last: int | None = None
    ) -> list[Row]:
        """Closed bars, and the one that runs with nothing but its first trade."""
        closed = [
            {**row, "closed": True}
            for row in self.rows("candles_1h", symbol, first=first, last=last, time="open_ms")
        ]
        open_ms = self.now_ms // HOUR_MS * HOUR_MS
        newest = self.newest("candles_1h", symbol)
        wanted = (first is None or open_ms >= first) and (last is None or open_ms <= last)
        if newest is None or not wanted or (closed and closed[-1]["open_ms"] >= open_ms):
            return closed
        price = newest["close"]
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        running = {"open_ms": open_ms, **prices, "volume": 0.001, "quote_volume": 0.001 * price}
        return [*closed, {**running, "closed": False}]

    def price(self, symbol: str) -> float | None:
        newest = self.newest("candles_1h", symbol)
        return None if newest is None else float(newest["close"])

    def funding_hours(self, symbol: str) -> float:
        newest = self.newest("funding", symbol)
        return 8.0 if newest is None else float(newest["interval_hours"])

    def hourly_liquidations(self, symbol: str) -> list[Row]:
        """Totals of several hours in equal parts, each from an hour that ends when it is shown."""
        found = []
        for row in self.rows("liquidations_4h", symbol):
            hours = max((row["known_ms"] - row["open_ms"]) // HOUR_MS, 1)
            for hour in range(hours):
                open_ms = row["known_ms"] + (hour - 1) * HOUR_MS
                if open_ms + HOUR_MS <= self.now_ms:
                    parts = {
                        name: row[name] / hours
                        for name in ("long_liquidations_usd", "short_liquidations_usd")
                    }
                    found.append({"open_ms": open_ms, **parts})
        return found


def _by_symbol(name: str, table: pd.DataFrame) -> dict[str, list[Row]]:
    source = FILES[name]
    times = dict(zip(source.times, ("open_ms", "known_ms")[-len(source.times) :], strict=True))
    made = table.rename(columns=times)
    for time in times.values():
        made[time] = made[time].dt.as_unit("ms").astype("int64")
    if name == "candles_1h" and "quote_volume" not in made:
        mean = made[["open", "high", "low", "close"]].mean(axis=1)
        made["quote_volume"] = made["volume"] * mean
    if not source.per_symbol:
        made["symbol"] = ""
    made = made.sort_values(["symbol", "known_ms"])
    return {str(symbol): rows.to_dict("records") for symbol, rows in made.groupby("symbol")}
