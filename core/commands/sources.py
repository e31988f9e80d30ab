"""Each source of the live market, asked once."""

from __future__ import annotations

import asyncio
from datetime import datetime

from core.errors import SourceError
from core.market.http import Http
from core.market.sources import (
    alternative_me,
    coinapi,
    coingecko,
    coinglass,
    key_of,
    lunarcrush,
    open_http,
    sources_in_use,
)
from core.market.sources.venue import Venue
from core.market.symbols import Contract
from core.settings import Settings

_BITCOIN = Contract("binance", "BTCUSDT", "BTC", "USDT", symbol="BTCUSDT")


def ask_sources(settings: Settings) -> dict[str, str | SourceError]:
    """What each source in use answered, in words, or how it failed."""
    return asyncio.run(_ask_all(settings))


async def _ask_all(settings: Settings) -> dict[str, str | SourceError]:
    names = sources_in_use(settings)
    async with open_http(settings) as http:
        found = await asyncio.gather(*(_ask(http, name, settings) for name in names))
    return dict(zip(names, found, strict=True))


async def _ask(http: Http, name: str, settings: Settings) -> str | SourceError:
    try:
        answer = await _question(http, name, settings)
    except SourceError as error:
        return error
    latency = http.state(name).latency_seconds or 0.0
    clock = f", its clock says {answer:%Y-%m-%d %H:%M:%S} UTC" if answer is not None else ""
    return f"answered in {latency * 1000:.0f} ms{clock}"


async def _question(http: Http, name: str, settings: Settings) -> datetime | None:
    if name in settings.exchanges:
        return await Venue(name, http).time()
    key = key_of(name, settings)
    if name == alternative_me.SOURCE:
        await alternative_me.fetch_fear_greed(http, days=1)
    elif name == coingecko.SOURCE:
        await coingecko.fetch_trending(http, key=key)
    elif name == coinglass.SOURCE:
        await coinglass.fetch_liquidations(http, _BITCOIN, key=key or "", count=1)
    elif name == lunarcrush.SOURCE:
        await lunarcrush.fetch_social(http, key=key or "")
    elif name == coinapi.SOURCE:
        await coinapi.fetch_symbols(http, settings.exchanges[0], key=key or "")
    return None
