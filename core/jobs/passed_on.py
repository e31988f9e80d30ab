"""Liquidations that a provider passes on of venues whose own streams are not followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from typing_extensions import override

from core.market.sources import coinglass
from core.market.stream.events import Event
from core.market.symbols import Contract, same_price

# By venue and the venue's own names.
Contracts = Mapping[str, Mapping[str, Contract]]


class PassedOn(Mapping[str, Contract]):
    """What a provider passes on: markets by their symbols, of venues that are not followed.

    A venue's name for a market is taken for ours only where the price of the event is the market's,
    because one name can be two coins. ``prices`` gives them by symbol.
    """

    venue = coinglass.SOURCE

    def __init__(
        self, contracts: Contracts, prices: Callable[[], Mapping[str, float]], key: str
    ) -> None:
        self.key = key
        self._followed, self._prices = contracts, prices

    def is_wanted(self, event: Event) -> bool:
        exchange = event.venue.partition(":")[2]
        return exchange not in self._followed and same_price(
            self._prices().get(event.symbol), event.price
        )

    @override
    def __getitem__(self, symbol: str) -> Contract:
        if symbol not in self._prices():
            raise KeyError(symbol)
        return Contract(self.venue, symbol, symbol, "", symbol=symbol)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._prices())

    @override
    def __len__(self) -> int:
        return len(self._prices())
