"""Each source of the live market, asked once, and this machine's clock held against theirs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from core.errors import SettingsError, SourceError, SourceRefused
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


# Candles are asked for a second after their close: a clock further off is too early or late.
CLOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Asked:
    """What a source answered, in words, or how it failed; ``ahead_seconds`` is how far its clock is
    ahead of this machine's, where it told its time.
    """

    answer: str | SourceError
    ahead_seconds: float | None = None

    @property
    def words(self) -> str:
        """The answer, and where it is none what to do."""
        if isinstance(self.answer, str):
            return self.answer
        if isinstance(self.answer, SourceRefused):
            return f"{self.answer} Check its key and whether it serves this country, or ask less."
        return f"{self.answer} Check this machine's network, or leave the source out for now."


def ask_sources(settings: Settings) -> dict[str, Asked]:
    """What each source in use answered."""
    return asyncio.run(_ask_all(settings))


def check_clock(asked: dict[str, Asked]) -> str:
    """What the exchanges' clocks say of this machine's. Raises `SettingsError` where it is wrong."""
    apart = [one.ahead_seconds for one in asked.values() if one.ahead_seconds is not None]
    if not apart:
        return "no exchange told its time"
    ahead = median(apart)
    if abs(ahead) > CLOCK_SECONDS:
        way = "behind" if ahead > 0 else "ahead of"
        raise SettingsError(
            f"This machine's clock is {abs(ahead):,.0f} s {way} the exchanges' clocks. Switch its "
            "time synchronisation on, for example: timedatectl set-ntp true."
        )
    return f"within {max(abs(ahead), 0.1):.1f} s of the clocks of {len(apart)} exchanges"


async def _ask_all(settings: Settings) -> dict[str, Asked]:
    names = sources_in_use(settings)
    async with open_http(settings) as http:
        found = await asyncio.gather(*(_ask(http, name, settings) for name in names))
    return dict(zip(names, found, strict=True))


async def _ask(http: Http, name: str, settings: Settings) -> Asked:
    try:
        answer = await _question(http, name, settings)
    except SourceError as error:
        return Asked(error)
    latency = http.state(name).latency_seconds or 0.0
    told = f"answered in {latency * 1000:.0f} ms"
    if answer is None:
        return Asked(told)
    # Half of the way back lies between its clock and now.
    ahead = (answer - http.now()).total_seconds() + latency / 2
    return Asked(f"{told}, its clock says {answer:%Y-%m-%d %H:%M:%S} UTC", ahead)


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
