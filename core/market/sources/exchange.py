"""An exchange through ccxt: it says the address of a call and reads the venue's errors.

What goes over the wire goes through our own client, so ccxt's sockets and its rate limiter stay
unused. ccxt takes a second to import and 70 MB, so it is imported when the first venue is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from core.errors import SourceError, SourceRefused, SourceReplyWrong, SourceUnavailable
from core.market.http import Check, Http
from core.market.replies import Reply

CCXT_IDS = {"binance": "binanceusdm", "bybit": "bybit", "okx": "okx"}

Params = Mapping[str, Any]
Charges = Callable[[str, Params], Mapping[str, int]]


class Exchange:
    """One venue. ``charges`` says what a call costs of the venue's budgets."""

    def __init__(self, venue: str, http: Http, charges: Charges) -> None:
        self.venue, self.http = venue, http
        self._charges = charges
        self._ccxt = _addresses(CCXT_IDS[venue])

    async def get(
        self,
        method: str,
        params: Params | None = None,
        *,
        fresh_seconds: float = 0.0,
        background: bool = False,
    ) -> Reply:
        """The venue's own reply to one of ccxt's raw methods, such as ``fapiPublicGetKlines``."""
        asked = dict(params or {})
        url: str = getattr(self._ccxt, method)(asked)
        return await self.http.get(
            self.venue,
            url,
            charges=self._charges(method, asked),
            check=self.check(url),
            fresh_seconds=fresh_seconds,
            background=background,
        )

    async def get_group(
        self, methods: Mapping[str, str], params: Params, *, background: bool = False
    ) -> Reply:
        """Replies by name to the same question; the first is needed, the others may be missing."""
        calls = (self.get(name, params, background=background) for name in methods.values())
        needed, *others = await asyncio.gather(*calls, return_exceptions=True)
        if isinstance(needed, BaseException):
            raise needed
        first, *names = methods
        replies = {first: needed}
        for name, reply in zip(names, others, strict=True):
            if isinstance(reply, Reply):
                replies[name] = reply
            elif not isinstance(reply, SourceError):
                raise reply
        return join(**replies)

    def check(self, url: str) -> Check:
        """What finds the venue's errors in a reply of this address."""

        def check(reply: Any) -> None:
            import ccxt

            brief = _brief(reply)
            words = f"{self.venue} answered {brief[:160]}."
            try:
                self._ccxt.handle_errors(200, "OK", url, "GET", {}, brief, reply, {}, None)
            except (ccxt.RateLimitExceeded, ccxt.DDoSProtection, ccxt.PermissionDenied) as error:
                raise SourceRefused(words) from error
            except ccxt.OperationFailed as error:
                raise SourceUnavailable(words) from error
            except ccxt.BaseError as error:
                raise SourceReplyWrong(words) from error

        return check


def join(**replies: Reply) -> Reply:
    """Several replies as one, seen when the first named was: what is kept for some time, as how
    often a market settles, does not make older what comes with it."""
    first = next(iter(replies.values()))
    return replace(first, json={name: reply.json for name, reply in replies.items()})


def to_ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _brief(reply: object) -> str:
    """The part of a reply in which errors are told."""
    if isinstance(reply, Mapping):
        return str(
            {key: value for key, value in reply.items() if not isinstance(value, list | dict)}
        )
    return str(reply[:1] if isinstance(reply, list) else reply)[:300]


@cache
def _addresses(ccxt_id: str) -> Any:
    """A ccxt exchange whose raw methods return the address they would ask."""
    import ccxt

    base: Any = getattr(ccxt, ccxt_id)

    def request(self: Any, path: str, api: Any, method: str, params: Any, **_: object) -> str:
        return str(self.sign(path, api, method, params)["url"])

    return type(f"{ccxt_id}_addresses", (base,), {"request": request})()
