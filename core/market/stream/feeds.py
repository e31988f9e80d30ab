"""Where each venue's liquidation stream is, how to ask for it, and how to tell that it lives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

_TOPICS_PER_MESSAGE = 200


@dataclass(frozen=True)
class Feed:
    """A venue's stream as data.

    ``subscribe`` turns the venue's own contract names into the messages that ask for the stream.
    ``ping`` is the text that the venue answers; without one the protocol's own ping is used.
    ``max_age_s`` is the age at which a connection is replaced, before the venue ends it.
    ``incomplete`` says what the stream does not report, ``secret`` is what no sentence may repeat.
    """

    venue: str
    url: str
    subscribe: Callable[[Sequence[str]], list[str]]
    ping: str | None
    incomplete: str
    max_age_s: float | None = None
    secret: str = ""

    def hide(self, words: str) -> str:
        """Words that may come from outside, without the secret."""
        return words.replace(self.secret, "***") if self.secret else words

    def placed(self, endpoints: Mapping[str, str]) -> Feed:
        """The same at the address that the settings put in the place of the venue's own."""
        if self.venue not in endpoints:
            return self
        path = self.url.split("://")[1].partition("/")[2]
        address = endpoints[self.venue].rstrip("/").replace("http", "ws", 1)
        return replace(self, url=f"{address}/{path}")


def _binance(_contracts: Sequence[str]) -> list[str]:
    return [json.dumps({"method": "SUBSCRIBE", "params": ["!forceOrder@arr"], "id": 1})]


def _bybit(contracts: Sequence[str]) -> list[str]:
    topics = [f"allLiquidation.{name}" for name in sorted(contracts)]
    return [
        json.dumps({"op": "subscribe", "args": topics[start : start + _TOPICS_PER_MESSAGE]})
        for start in range(0, len(topics), _TOPICS_PER_MESSAGE)
    ]


def _okx(_contracts: Sequence[str]) -> list[str]:
    channel = {"channel": "liquidation-orders", "instType": "SWAP"}
    return [json.dumps({"op": "subscribe", "args": [channel]})]


def _coinglass(_contracts: Sequence[str]) -> list[str]:
    return [json.dumps({"method": "subscribe", "channels": ["liquidationOrders"]})]


FEEDS: dict[str, Feed] = {
    feed.venue: feed
    for feed in (
        Feed(
            "binance",
            "wss://fstream.binance.com/market/ws",
            _binance,
            None,
            "At most one liquidation per symbol and second: sums are lower bounds, most of all in a cascade.",
            max_age_s=23 * 3600,
        ),
        Feed(
            "bybit",
            "wss://stream.bybit.com/v5/public/linear",
            _bybit,
            '{"op":"ping"}',
            "All liquidations, in batches of half a second, at the bankruptcy price.",
        ),
        Feed(
            "okx",
            "wss://ws.okx.com:8443/ws/v5/public",
            _okx,
            "ping",
            "At most one liquidation per contract and second, at the bankruptcy price: sums are lower bounds.",
        ),
        Feed(
            "coinglass",
            "wss://open-ws.coinglass.com/ws-api",
            _coinglass,
            "ping",
            "What the provider passes on of other venues; repeats what their own streams say.",
        ),
    )
}
