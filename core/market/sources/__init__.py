"""The sources of the live market: which there are, in which order, and the client that asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import httpx

from core.errors import SettingsError
from core.market.budgets import Budget
from core.market.http import Http, Limits
from core.market.sources import (
    alternative_me,
    binance,
    bybit,
    coinapi,
    coingecko,
    coinglass,
    lunarcrush,
    okx,
)
from core.settings import Settings

BUDGETS: dict[str, tuple[Budget, ...]] = {
    binance.VENUE: binance.BUDGETS,
    bybit.VENUE: bybit.BUDGETS,
    okx.VENUE: okx.BUDGETS,
    alternative_me.SOURCE: alternative_me.BUDGETS,
    coingecko.SOURCE: coingecko.BUDGETS,
    coinglass.SOURCE: coinglass.BUDGETS,
    lunarcrush.SOURCE: lunarcrush.BUDGETS,
    coinapi.SOURCE: coinapi.BUDGETS,
}
# Who is asked for a table, the preferred first; a later one serves the markets the earlier lack.
# Rows keep the venue they are of: Coinglass and CoinAPI fill in what a venue itself did not give.
ORDER: dict[str, tuple[str, ...]] = {
    "candles_1h": ("binance", "bybit", "okx", "coinapi"),
    "funding": ("binance", "bybit", "okx"),
    "open_interest": ("binance", "bybit", "okx", "coinglass"),
    "long_short": ("binance", "bybit", "okx", "coinglass"),
    "liquidations_4h": ("binance", "bybit", "okx", "coinglass"),
    "social": ("lunarcrush",),
    "fear_greed": ("alternative_me",),
}
KEYS = {
    coinglass.SOURCE: "coinglass_api_key",
    lunarcrush.SOURCE: "lunarcrush_api_key",
    coinapi.SOURCE: "coinapi_api_key",
}


def key_of(source: str, settings: Settings) -> str | None:
    """The key of a source, None where none is set or none is needed."""
    secret = getattr(settings, f"{source}_api_key", None)
    return secret.get_secret_value() if secret else None


def sources_in_use(settings: Settings) -> tuple[str, ...]:
    """The chosen exchanges in their order, then every provider that can be asked."""
    keyless = tuple(name for name in BUDGETS if name not in KEYS and name not in _EXCHANGES)
    keyed = tuple(name for name in KEYS if key_of(name, settings))
    return (*settings.exchanges, *keyless, *keyed)


def followed(settings: Settings) -> tuple[str, ...]:
    """Whose liquidation streams are followed: the exchanges', and with a key Coinglass's."""
    passed_on = (coinglass.SOURCE,) if key_of(coinglass.SOURCE, settings) else ()
    return (*settings.exchanges, *passed_on)


def open_http(
    settings: Settings,
    *,
    now: Callable[[], datetime] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    readers: bool = False,
) -> Http:
    """The client of every source in use, within the limits of the settings.

    With ``readers`` it is that of programs that read sources: it has their share of the budgets
    instead of the worker's, waits and repeats less, and keeps no replies.

    Raises `SettingsError` where a limit or a budget is unknown or no number.
    """
    budgets = {name: BUDGETS[name] for name in sources_in_use(settings)}
    for name, value in settings.budgets.items():
        _change_budget(budgets, name, value)
    for name in settings.endpoints:
        if name not in BUDGETS:
            raise _unknown("CRYPTOSATX_ENDPOINTS", name, BUDGETS)
    limits = _limits(settings)
    worker, reader = limits.budget_share, min(limits.reader_share, 1 - limits.budget_share)
    return Http(
        budgets,
        _for_readers(limits, reader) if readers else limits,
        endpoints=settings.endpoints,
        transport=transport,
        others_share=worker if readers else reader,
        **({"now": now} if now else {}),
    )


_EXCHANGES = (binance.VENUE, bybit.VENUE, okx.VENUE)


def _for_readers(limits: Limits, share: float) -> Limits:
    return replace(
        limits,
        budget_share=share,
        patience=min(limits.patience, 10.0),
        longest_queue=min(limits.longest_queue, 3.0),
        attempts=min(limits.attempts, 2),
        megabytes=min(limits.megabytes, 8.0),
        connections=min(limits.connections, 8),
        kept_replies=0,
    )


def _limits(settings: Settings) -> Limits:
    kinds = {field.name: type(field.default) for field in fields(Limits)}
    changes: dict[str, Any] = {}
    for name, value in settings.limits.items():
        if name not in kinds:
            raise _unknown("CRYPTOSATX_LIMITS", name, kinds)
        changes[name] = _number("CRYPTOSATX_LIMITS", name, value, kinds[name])
    for name in ("budget_share", "reader_share"):
        if changes.get(name, 0) > 1:
            raise SettingsError(f"CRYPTOSATX_LIMITS: {name} is a part of 1: write 1 or less.")
    return replace(Limits(), **changes)


def _change_budget(budgets: dict[str, tuple[Budget, ...]], name: str, value: str) -> None:
    source, _, kind = name.partition(".")
    known = {f"{one}.{budget.name}" for one, several in BUDGETS.items() for budget in several}
    if name not in known:
        raise _unknown("CRYPTOSATX_BUDGETS", name, known)
    amount = int(_number("CRYPTOSATX_BUDGETS", name, value, int))
    if source in budgets:
        budgets[source] = tuple(
            replace(one, amount=amount) if one.name == kind else one for one in budgets[source]
        )


def _number(setting: str, name: str, value: str, kind: type) -> float:
    try:
        found: float = kind(value)
    except ValueError:
        found = -1
    if not 0 < found < 1e9:
        raise SettingsError(f"{setting}: {name}={value} cannot be used: write a number above 0.")
    return found


def _unknown(setting: str, name: str, known: Mapping[str, object] | set[str]) -> SettingsError:
    return SettingsError(f"{setting}: there is no {name}; there are {', '.join(sorted(known))}.")
