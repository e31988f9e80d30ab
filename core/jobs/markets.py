"""Which markets the exchanges list, and which contracts of several are the same market."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TypeVar

from core.errors import SourceError
from core.market.sources.venue import Venue
from core.market.symbols import Contract, unify

T = TypeVar("T")


class Markets:
    """What was listed last; lives on one event loop.

    ``contracts`` holds the placed contracts of each exchange by the exchange's own names and only
    grows, so that a stream may go on looking things up in it. ``by_symbol`` has the contracts of
    each market, that of its first exchange first.
    """

    def __init__(self, venues: Mapping[str, Venue]) -> None:
        self.contracts: dict[str, dict[str, Contract]] = {name: {} for name in venues}
        self.by_symbol: dict[str, list[Contract]] = {}
        self._venues = venues
        self._listed: dict[str, list[Contract]] = {}
        self._prices: dict[str, dict[str, float]] = {}
        self._by_symbol: Mapping[str, float] = {}

    @property
    def firsts(self) -> list[Contract]:
        """The contract that each market's numbers are of."""
        return [several[0] for several in self.by_symbol.values()]

    def prices(self) -> Mapping[str, float]:
        """Mark price by symbol as last asked for, where the first exchange told one."""
        return self._by_symbol

    async def refresh(self) -> None:
        """Ask every exchange; what was listed last stays where one does not answer, because names
        must not change by that."""
        for name, contracts, prices in await asyncio.gather(*map(self._list, self._venues)):
            if contracts is not None:
                self._listed[name] = contracts
            if prices is not None:
                self._prices[name] = prices
        self._place(unify(self._listed, self._prices, tuple(self._venues)))

    def _place(self, placed: Iterable[Contract]) -> None:
        by_symbol: dict[str, list[Contract]] = {}
        for contract in placed:
            by_symbol.setdefault(contract.symbol, []).append(contract)
            self.contracts[contract.venue][contract.name] = contract
        self.by_symbol = by_symbol
        self._by_symbol = {
            one.symbol: price * one.scale
            for one in self.firsts
            if (price := self._prices.get(one.venue, {}).get(one.name)) is not None
        }

    async def _list(self, name: str) -> tuple[str, list[Contract] | None, dict[str, float] | None]:
        venue = self._venues[name]
        contracts, prices = await asyncio.gather(
            venue.contracts(), venue.prices(), return_exceptions=True
        )
        listed, told = _unless_failed(contracts), _unless_failed(prices)
        if listed is not None and told is not None:
            without = sum(one.name not in told for one in listed)
            if without:
                venue.remark(
                    "prices", f"{without} of {len(listed)} markets have no readable price."
                )
        return name, listed, told


def _unless_failed(found: T | BaseException) -> T | None:
    """None where the source failed, which the client has noted in its state."""
    if isinstance(found, SourceError):
        return None
    if isinstance(found, BaseException):
        raise found
    return found
