"""Venues and providers by the names their readers know."""

from __future__ import annotations

_NAMES = {
    "okx": "OKX",
    "htx": "HTX",
    "bitmex": "BitMEX",
    "coinex": "CoinEx",
    "dydx": "dYdX",
    "alternative_me": "alternative.me",
    "lunarcrush": "LunarCrush",
    "coinapi": "CoinAPI",
    "coingecko": "CoinGecko",
}


def venue_name(venue: str) -> str:
    """A venue in words; one that a provider passes on with the provider.

    >>> venue_name("okx"), venue_name("binance"), venue_name("coinglass:bitget")
    ('OKX', 'Binance', 'Bitget via Coinglass')
    """
    provider, _, passed_on = venue.partition(":")
    if passed_on:
        return f"{venue_name(passed_on)} via {venue_name(provider)}"
    return _NAMES.get(venue, venue[:1].upper() + venue[1:])
