"""Operations on the exchanges: ccxt's unified public methods, over our own client.

ccxt makes the address of a call and reads the reply; the call itself goes through the readers, so that
it has their budgets, time-outs and breaker.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any

import orjson

from core.errors import SourceError, SourceReplyWrong, SourceUnavailable, TookTooLong
from core.market.sources import binance, bybit, okx
from core.market.sources.exchange import CCXT_IDS, Exchange
from core.operations.registry import Context, Operation, Parameters, WrongParameters
from core.operations.sources.answers import SourceAnswer, answer_of
from core.operations.sources.providers import SCOPE
from core.operations.sources.reading import Found, Readers, Wanted, readers_of
from core.operations.sources.table import (
    Endpoint,
    Table,
    Taken,
    example_of,
    load_table,
    parameters_of,
)

SOURCE = "ccxt"
# Markets are listed anew after this time.
LISTED_SECONDS = 3600.0
_KINDS_OF_MARKETS = {"binance": ["linear"], "bybit": ["linear"], "okx": ["swap"]}
_CHARGES = {"bybit": bybit.charges, "okx": okx.charges}
_WHOLE = ("limit",)
# When whoever asks gives up, by `time.monotonic`.
_until: ContextVar[float] = ContextVar("until")


def exchange_operations() -> Iterator[Operation[Any]]:
    """An operation for each unified method of the table."""
    table = load_table(SOURCE)
    for endpoint in table.endpoints:
        yield _operation(table, endpoint)


def charges_of(
    venue: str, exchange: Any, api: Any, path: str, params: Any, config: Any
) -> Mapping[str, int]:
    """What a call of ccxt costs of the venue's budgets; ``config`` is ccxt's own note of its weight."""
    name = _raw_name(api, path)
    if venue != binance.VENUE:
        return _CHARGES[venue](name, params)
    if name.startswith(("fapiData", "fapiPublicGetFunding")):
        return binance.charges(name, params)
    weight = exchange.calculate_rate_limiter_cost(api, "GET", path, params, config or {})
    return {"weight": math.ceil(weight)}


class Unified:
    """One exchange of ccxt, whose calls go through the readers."""

    def __init__(self, venue: str, readers: Readers) -> None:
        self._venue, self._readers = venue, readers
        self._errors = Exchange(venue, readers.http, binance.charges)
        self._listing = threading.Lock()
        self._listed: tuple[float, Any] = (-math.inf, None)

    def call(self, endpoint: Endpoint, given: Mapping[str, Any], until: float) -> Any:
        """What the unified method gives, without the raw reply in it. Raises a `SourceError`, or
        `WrongParameters` for a market that the exchange does not have."""
        import ccxt

        token = _until.set(until)
        try:
            exchange = self._with_markets(until)
            if not exchange.has.get(endpoint.has):
                raise WrongParameters({"exchange": f"{self._venue} has no {endpoint.name}"})
            asked = {n: self._translated(exchange, n, value) for n, value in given.items()}
            return _without_raw(getattr(exchange, endpoint.name)(**asked))
        except ccxt.BaseError as error:
            raise self._said(error, unavailable=isinstance(error, ccxt.OperationFailed)) from error
        except SourceError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = type(error).__name__
            raise SourceReplyWrong(
                f"{self._venue} sent a reply of another shape ({kind})."
            ) from error
        finally:
            _until.reset(token)

    def _said(self, error: Exception, *, unavailable: bool) -> SourceError:
        words = f"{self._venue} did not give this: {' '.join(str(error).split())[:200]}"
        return SourceUnavailable(words) if unavailable else SourceReplyWrong(words)

    def _with_markets(self, until: float) -> Any:
        """The exchange with its markets; a new one from time to time, so that nobody who still asks
        the old one has its markets changed under their hands."""
        if not self._listing.acquire(timeout=max(until - time.monotonic(), 0.0)):
            raise TookTooLong(f"{self._venue} did not list its markets in time: try again.")
        try:
            listed_at, exchange = self._listed
            if time.monotonic() - listed_at > LISTED_SECONDS:
                exchange = self._new()
                exchange.load_markets()
                self._listed = (time.monotonic(), exchange)
            return exchange
        finally:
            self._listing.release()

    def _new(self) -> Any:
        import ccxt

        base: Any = getattr(ccxt, CCXT_IDS[self._venue])
        asked = self._request
        through = type(
            f"{CCXT_IDS[self._venue]}_read",
            (base,),
            {"request": lambda own, *call, **more: asked(own, *call, **more)},
        )
        exchange: Any = through({"enableRateLimit": False})
        exchange.options["fetchMarkets"] = {
            **(exchange.options.get("fetchMarkets") or {}),
            "types": _KINDS_OF_MARKETS[self._venue],
        }
        exchange.options["defaultType"] = "swap"
        exchange.has["fetchCurrencies"] = False
        return exchange

    def _translated(self, exchange: Any, name: str, value: Any) -> Any:
        if name == "symbol":
            return self._symbol(exchange, value, name)
        if name == "symbols":
            return [self._symbol(exchange, one, name) for one in value.split(",")]
        return int(value) if name in _WHOLE else value

    def _symbol(self, exchange: Any, text: str, field: str) -> str:
        """A perpetual's symbol as ccxt writes it, by what the exchange says of its contracts."""
        wanted = text.upper()
        by_name: dict[str, str] = {
            f"{one['base']}{one['quote']}": symbol
            for symbol, one in exchange.markets.items()
            if one["swap"] and one["linear"]
        }
        if wanted in by_name or wanted in exchange.markets:
            return by_name.get(wanted, wanted)
        near = get_close_matches(wanted, by_name, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; ccxt_fetch_markets lists all"
        raise WrongParameters({field: f"{self._venue} has no perpetual {text}{hint}"})

    def _request(
        self,
        own: Any,
        path: str,
        api: Any = "public",
        method: str = "GET",
        params: Any = None,
        config: Any = None,
    ) -> Any:
        given = params or {}
        signed = own.sign(path, api, method, given)
        if signed["method"] != "GET" or signed.get("body"):
            raise SourceReplyWrong(f"{self._venue} would be told something, not asked.")
        url = str(signed["url"])
        wanted = Wanted(
            self._venue,
            url,
            charges=charges_of(self._venue, own, api, path, given, config),
            check=self._errors.check(url),
        )
        return orjson.loads(self._readers.ask(wanted, seconds=0, until=_until.get()).body)


def _operation(table: Table, endpoint: Endpoint) -> Operation[Any]:
    name = f"{SOURCE}_{endpoint.name}"
    taken = tuple(_on(endpoint, one) for one in table.taken(endpoint))

    def run(context: Context, asked: Parameters) -> SourceAnswer:
        given = {key: value for key, value in asked.model_dump().items() if value is not None}
        venue = given.pop("exchange")
        if venue not in context.settings.exchanges:
            kept = ", ".join(context.settings.exchanges)
            raise WrongParameters(
                {"exchange": f"this server does not follow {venue}: it follows {kept}"}
            )
        readers = readers_of(context.settings)
        wanted = Wanted(venue, endpoint.name, params={key: str(given[key]) for key in given})
        found = readers.kept.recall(wanted.name, endpoint.seconds)
        if found is None:
            unified = readers.part(venue, lambda: Unified(venue, readers))
            given_back = unified.call(endpoint, given, context.until)
            found = Found(orjson.dumps(given_back), readers.http.now(), time.monotonic())
            readers.kept.keep(wanted.name, found)
        return answer_of(venue, endpoint.name, found)

    return Operation(
        name,
        endpoint.title,
        f"{endpoint.says} {table.about}",
        SOURCE,
        endpoint.role,
        SCOPE,
        parameters_of(name, taken),
        run,
        result=SourceAnswer,
        examples=(example_of(taken),),
        path=f"/sources/{SOURCE}/{endpoint.name}",
    )


def _on(endpoint: Endpoint, one: Taken) -> Taken:
    """Of the exchanges only those that have it."""
    if one.name != "exchange":
        return one
    kind = one.kind.model_copy(update={"of": endpoint.venues, "example": endpoint.venues[0]})
    return Taken(one.name, kind, one.needed)


def _raw_name(api: Any, path: str) -> str:
    """The name of ccxt's raw method, such as ``fapiPublicGetKlines``."""
    parts: list[str] = [*([api] if isinstance(api, str) else api), "get", *_words(path)]
    first, *others = [part for part in parts if part]
    return first + "".join(part[0].upper() + part[1:] for part in others)


def _words(path: str) -> list[str]:
    for sign in "/-{}_.":
        path = path.replace(sign, " ")
    return path.split()


def _without_raw(found: Any) -> Any:
    """Without the exchange's raw rows, which say the same again."""
    if isinstance(found, Mapping):
        return {str(key): _without_raw(value) for key, value in found.items() if key != "info"}
    if isinstance(found, list | tuple):
        return [_without_raw(one) for one in found]
    return found
