"""Which contracts of different venues are the same market, told by their metadata and their price.

The name alone does not say it: 1000PEPE is a thousand PEPE, and one ticker can be two coins. A
contract of another venue counts as the same market only where the coin it names agrees and its
price, brought to the same number of coins, does too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

# Venues differ by less than 1 % even in a crash; two coins that share a ticker by far more.
PRICE_TOLERANCE = 0.05

_BUNDLE = re.compile(r"(?P<before>1(?:0{3,}|M))(?P<coin>\D.*)|(?P<name>.*\D)(?P<after>10{3,})")


@dataclass(frozen=True)
class Contract:
    """A linear perpetual future as its venue describes it.

    ``name`` is the venue's own, ``contract_size`` base units in one contract, ``funding_hours`` the
    present settlement interval where the venue states it. ``symbol`` is the market's name in this
    product and ``scale`` how many of the venue's base units one unit of it holds: the venue's price
    times ``scale`` is the price of ``symbol``.
    """

    venue: str
    name: str
    base: str
    quote: str
    contract_size: float = 1.0
    funding_hours: float | None = None
    symbol: str = ""
    scale: float = 1.0


def coin_and_bundle(base: str) -> tuple[str, float]:
    """The coin a venue's base asset is about, and how many of it make one unit.

    >>> coin_and_bundle("1000PEPE"), coin_and_bundle("SHIB1000"), coin_and_bundle("1MBABYDOGE")
    (('PEPE', 1000.0), ('SHIB', 1000.0), ('BABYDOGE', 1000000.0))
    >>> coin_and_bundle("1INCH"), coin_and_bundle("BTC")
    (('1INCH', 1.0), ('BTC', 1.0))
    """
    found = _BUNDLE.fullmatch(base)
    if found is None:
        return base, 1.0
    count = found["before"] or found["after"]
    return found["coin"] or found["name"], 1e6 if count == "1M" else float(count)


def unify(
    contracts: Mapping[str, Iterable[Contract]],
    prices: Mapping[str, Mapping[str, float]],
    order: Sequence[str],
) -> list[Contract]:
    """Every contract that could be placed, with its symbol and scale, sorted by symbol and venue.

    ``contracts`` and ``prices`` (by the venue's own name) are by venue; the first venue of ``order``
    that lists a market names it. A contract without a price, or whose price says that it is another
    coin under the same name, is left out, except on the venue that names the market.

    >>> pepe = Contract("okx", "PEPE-USDT-SWAP", "PEPE", "USDT")
    >>> listed = {"binance": [Contract("binance", "1000PEPEUSDT", "1000PEPE", "USDT")], "okx": [pepe]}
    >>> prices = {"binance": {"1000PEPEUSDT": 0.0111}, "okx": {"PEPE-USDT-SWAP": 0.0000111}}
    >>> [(one.venue, one.symbol, one.scale) for one in unify(listed, prices, ("binance", "okx"))]
    [('binance', '1000PEPEUSDT', 1.0), ('okx', '1000PEPEUSDT', 1000.0)]
    """
    named: dict[tuple[str, str], Contract] = {}
    taken: set[str] = set()
    placed = []
    for venue in [name for name in order if name in contracts]:
        for contract in sorted(contracts[venue], key=lambda one: one.name):
            coin, bundle = coin_and_bundle(contract.base)
            market = named.get((coin, contract.quote))
            symbol = f"{contract.base}{contract.quote}"
            if market is None and symbol not in taken:
                found = replace(contract, symbol=symbol)
                named[coin, contract.quote] = found
                taken.add(symbol)
                placed.append(found)
            elif market is not None and market.venue != venue:
                scale = coin_and_bundle(market.base)[1] / bundle
                if same_price(_price(prices, market), _price(prices, contract), scale):
                    placed.append(replace(contract, symbol=market.symbol, scale=scale))
    return sorted(placed, key=lambda one: (one.symbol, order.index(one.venue)))


def same_price(price: float | None, other: float | None, scale: float = 1.0) -> bool:
    """Whether ``other`` times ``scale`` is ``price``, as near as two venues come; unknown is no.

    >>> same_price(0.0111, 0.0000111, 1000), same_price(38.2, 0.021), same_price(38.2, None)
    (True, False, False)
    """
    if not price or not other:
        return False
    return abs(other * scale / price - 1) <= PRICE_TOLERANCE


def _price(prices: Mapping[str, Mapping[str, float]], contract: Contract) -> float | None:
    return prices.get(contract.venue, {}).get(contract.name)
