"""A stream of liquidations at a steady rate, from a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from tests.world.messages import binance_order
from tests.world.server import World

SYMBOLS = [f"S{number}USDT" for number in range(500)]
_TICK_S = 0.02


@dataclass
class Firehose:
    """`open` begins to send ``rate`` messages a second for ``seconds``; `sent` waits for the end."""

    url: str
    _pipe: Connection

    def open(self, rate: int, seconds: float) -> None:
        self._pipe.send((rate, seconds))

    def sent(self, timeout_s: float) -> dict[str, float]:
        """How many messages were sent, what they sum up to in dollars, and how long it took."""
        assert self._pipe.poll(timeout_s), "the firehose did not end"
        told: dict[str, float] = self._pipe.recv()
        return told


@contextmanager
def firehose() -> Iterator[Firehose]:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_run, args=(there,), daemon=True)
    process.start()
    try:
        yield Firehose(here.recv(), here)
    finally:
        here.send(None)
        process.join(10)
        if process.is_alive():
            process.kill()


def _run(pipe: Any) -> None:
    with World() as world:
        pipe.send(world.socket_url("binance"))
        while (order := pipe.recv()) is not None:
            pipe.send(_send(world, *order))


def _send(world: World, rate: int, seconds: float) -> dict[str, float]:
    tape = world.tapes["binance"]
    usd, sent, began = 0.0, 0, time.monotonic()
    while sent < rate * seconds:
        due = min(int(rate * (time.monotonic() - began)), int(rate * seconds))
        at_ms = time.time_ns() // 1_000_000
        batch = []
        for number in range(sent, due):
            quantity = 1 + number % 1_000
            side = "SELL" if number % 3 else "BUY"
            symbol = SYMBOLS[number % len(SYMBOLS)]
            price = 1 + number / 1_000_000
            batch.append(
                binance_order(at_ms, symbol=symbol, side=side, price=price, quantity=quantity)
            )
            usd += quantity * price
        world.do(tape.publish(batch))
        sent = max(sent, due)
        time.sleep(_TICK_S)
    return {"sent": sent, "usd": usd, "seconds": time.monotonic() - began}
