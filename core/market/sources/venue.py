"""A venue as the worker uses it: rows by one call each, whichever exchange it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from types import ModuleType
from typing import Any, TypeVar

import pandas as pd

from core.errors import SourceReplyWrong
from core.market import files
from core.market.http import Http
from core.market.replies import Reply
from core.market.sources import binance, bybit, okx
from core.market.sources.exchange import Exchange
from core.market.sources.reading import REMARKS, Wanted, rows
from core.market.symbols import Contract

T = TypeVar("T")

_MODULES: dict[str, ModuleType] = {module.VENUE: module for module in (binance, bybit, okx)}


async def read(http: Http, source: str, asked: Awaitable[Reply], parse: Callable[[Reply], T]) -> T:
    """What ``parse`` makes of the reply; one that cannot be read is noted as the source's failure."""
    reply = await asked
    try:
        found = parse(reply)
    except SourceReplyWrong as error:
        http.note_failure(source, reply, error)
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        kind = type(error).__name__
        wrong = SourceReplyWrong(f"{source} sent a reply of another shape ({kind}).")
        http.note_failure(source, reply, wrong)
        raise wrong from error
    if isinstance(found, pd.DataFrame) and (said := found.attrs.get(REMARKS)):
        http.note_remarks(source, reply, said)
    return found


class Venue:
    """One exchange. Every call raises a `SourceError`; rows are those of `core.market.files`.

    ``background`` is for filling in the past: it leaves part of the budget to the newest bar.
    """

    def __init__(self, name: str, http: Http) -> None:
        self.name = name
        self._module = _MODULES[name]
        self._http = http
        self._exchange = Exchange(name, http, self._module.charges)

    async def time(self) -> datetime | None:
        """The venue's own clock, None where it says nothing readable."""
        asked = self._module.fetch_time(self._exchange)
        stamp = await self._read(asked, self._stamp)
        return None if stamp is None else pd.Timestamp(stamp, unit="ms", tz="UTC").to_pydatetime()

    async def contracts(self) -> list[Contract]:
        """Perpetuals that trade, not yet placed among other venues'; see `symbols.unify`."""
        asked = self._module.fetch_contracts(self._exchange)
        return await self._read(asked, lambda reply: self._module.parse_contracts(reply.json))

    def remark(self, what: str, words: str) -> None:
        """Write down what was odd about ``what`` it said."""
        self._http.remark(self.name, what, words)

    async def prices(self) -> dict[str, float]:
        """Mark prices by the venue's own names."""
        asked = self._module.fetch_prices(self._exchange)
        return await self._read(asked, lambda reply: self._module.parse_prices(reply.json))

    async def candles(
        self, contract: Contract, *, since: datetime, until: datetime, background: bool = False
    ) -> pd.DataFrame:
        """Closed bars that opened between the two times, up to 1,000, and sometimes a few around."""
        asked = self._module.fetch_candles(
            self._exchange, contract, since=since, until=until, background=background
        )
        return await self._one(asked, self._module.parse_candles, contract)

    def streamed_candles(
        self, told: Iterable[tuple[Contract, list[Any]]], seen_at: datetime
    ) -> pd.DataFrame:
        """The rows that `candles` would give, of closed candles that the venue's stream told."""
        found = [self._module.read_candle(one, contract) for contract, one in told]
        return rows(Wanted(files.CANDLES, self.name, seen_at), found)

    async def funding(
        self, contract: Contract, *, since: datetime, background: bool = False
    ) -> pd.DataFrame:
        """Rates of one market settled since a time."""
        asked = self._module.fetch_funding(
            self._exchange, contract, since=since, background=background
        )
        return await self._many(asked, self._module.parse_funding, {contract.name: contract})

    async def open_interest(
        self, contract: Contract, *, count: int, background: bool = False
    ) -> pd.DataFrame:
        """The newest hours of one market."""
        asked = self._module.fetch_open_interest(
            self._exchange, contract, count=count, background=background
        )
        return await self._one(asked, self._module.parse_open_interest, contract)

    async def long_short(
        self, contract: Contract, *, count: int, background: bool = False
    ) -> pd.DataFrame:
        """The newest hours of one market."""
        asked = self._module.fetch_long_short(
            self._exchange, contract, count=count, background=background
        )
        return await self._one(asked, self._module.parse_long_short, contract)

    async def all_funding(
        self, contracts: Mapping[str, Contract], *, since: datetime
    ) -> pd.DataFrame | None:
        """Rates of every market settled since a time; None where the venue has no such call."""
        if self.name != binance.VENUE:
            return None
        asked = binance.fetch_all_funding(self._exchange, since=since)
        return await self._many(asked, binance.parse_all_funding, contracts)

    async def all_open_interest(self, contracts: Mapping[str, Contract]) -> pd.DataFrame | None:
        """Open interest of every market as it is now; None where the venue has no such call."""
        if self.name == bybit.VENUE:
            return await self._many(
                bybit.fetch_prices(self._exchange), bybit.parse_all_open_interest, contracts
            )
        if self.name == okx.VENUE:
            return await self._many(
                okx.fetch_all_open_interest(self._exchange), okx.parse_all_open_interest, contracts
            )
        return None

    def _stamp(self, reply: Reply) -> int | None:
        stamp: int | None = self._module.parse_time(reply.json)
        return stamp

    async def _read(self, asked: Awaitable[Reply], parse: Callable[[Reply], T]) -> T:
        return await read(self._http, self.name, asked, parse)

    async def _one(
        self,
        asked: Awaitable[Reply],
        parse: Callable[[object, Contract, datetime], pd.DataFrame],
        contract: Contract,
    ) -> pd.DataFrame:
        return await self._read(asked, lambda reply: parse(reply.json, contract, reply.seen_at))

    async def _many(
        self,
        asked: Awaitable[Reply],
        parse: Callable[[object, Mapping[str, Contract], datetime], pd.DataFrame],
        contracts: Mapping[str, Contract],
    ) -> pd.DataFrame:
        return await self._read(asked, lambda reply: parse(reply.json, contracts, reply.seen_at))
