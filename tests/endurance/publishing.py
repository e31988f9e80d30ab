"""Liquidations on the tapes of a world at a steady rate, each written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import NamedTuple

from tests.world import World
from tests.world.messages import binance_order, bybit_liquidation, okx_liquidation

VENUES = ("binance", "bybit", "okx")
_TICK_S = 0.02
_OKX_SIZE = 0.01


class Published(NamedTuple):
    """An event as it was sent; no two of them have the same price."""

    venue: str
    symbol: str
    price: float
    usd: float
    at: datetime


def message_of(event: Published, side: str) -> str:
    """The event in the words of its venue; ``side`` is the position's, long or short."""
    at_ms, quantity = round(event.at.timestamp() * 1000), event.usd / event.price
    if event.venue == "binance":
        order = "SELL" if side == "long" else "BUY"
        return binance_order(
            at_ms, symbol=event.symbol, side=order, price=event.price, quantity=quantity
        )
    if event.venue == "bybit":
        position = "Buy" if side == "long" else "Sell"
        return bybit_liquidation(
            at_ms, symbol=event.symbol, side=position, price=event.price, size=quantity
        )
    contract = f"{event.symbol.removesuffix('USDT')}-USDT-SWAP"
    size = quantity / _OKX_SIZE
    return okx_liquidation(at_ms, contract=contract, side=side, price=event.price, size=size)


@dataclass
class Publisher:
    """Publishes ``rate`` events a second, inside ``with``, over the venues in turn.

    Within ``quiet_minutes`` of a full hour nothing occurs: what is on its way when a bar closes
    counts for neither hour for certain.
    """

    world: World
    clock: Callable[[], datetime]
    symbols: Sequence[str]
    rate: float
    venues: Sequence[str] = VENUES
    quiet_minutes: int = 0

    def __post_init__(self) -> None:
        self.sent: list[Published] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        began, missed = time.monotonic(), 0
        while not self._ended.wait(_TICK_S):
            due = int(self.rate * (time.monotonic() - began)) - missed
            if not self.quiet_minutes <= self.clock().minute < 60 - self.quiet_minutes:
                missed += due - len(self.sent)
                continue
            told: dict[str, list[str]] = {venue: [] for venue in self.venues}
            for number in range(len(self.sent), due):
                event = self._make(number)
                self.sent.append(event)
                told[event.venue].append(message_of(event, "long" if number % 3 else "short"))
            for venue, messages in told.items():
                self.world.do(self.world.tapes[venue].publish(messages))

    def _make(self, number: int) -> Published:
        venue = self.venues[number % len(self.venues)]
        symbol = self.symbols[number // len(self.venues) % len(self.symbols)]
        price = 100 + number / 10_000
        return Published(venue, symbol, price, price, self.clock())
