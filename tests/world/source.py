"""One source of the world: its answers, its faults, and a count of what it was asked."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from tests.world import binance, bybit, okx, unified, vendors
from tests.world.binance import Answer, Query
from tests.world.faults import LAG, send, spoil
from tests.world.market import Market

OTHERS = dict.fromkeys(unified.OKX, (20, 2.0))
Cost = Callable[[str, Query], tuple[str, int]]


@dataclass
class Source:
    """A source's REST side. ``faults`` that are on are named in it; ``budgets`` are as published."""

    name: str
    answers: Mapping[str, Answer]
    budgets: Mapping[str, tuple[int, float]]
    cost: Cost
    faults: set[str] = field(default_factory=set)
    latency_s: float = 0.0
    requests: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    _spent: dict[str, deque[tuple[float, int]]] = field(default_factory=lambda: defaultdict(deque))
    _peaks: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def peaks(self) -> dict[str, tuple[int, int]]:
        """By budget the most that was ever spent in its window, and what is allowed."""
        return {name: (self._peaks[name], allowed) for name, (allowed, _) in self.budgets.items()}

    def add_routes(self, app: web.Application, market: Market) -> None:
        for path, answer in self.answers.items():
            app.router.add_get(path, self._handler(path, answer, market))

    def _handler(
        self, path: str, answer: Answer, market: Market
    ) -> Callable[[web.Request], web.StreamResponse]:
        async def handle(request: web.Request) -> web.StreamResponse:
            query = {**request.query, **request.match_info}
            used = self._count(path, query)
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if not self._has_key(request):
                return web.json_response({"code": "401", "msg": "API key missing"}, status=401)
            lag = max((LAG[name] for name in self.faults if name in LAG), default=0)
            seen = market.behind(lag)
            reply = answer(seen, query)
            spoilt = spoil(reply, self.faults, self.chance)
            at = datetime.fromtimestamp(seen.now_ms / 1000, UTC)
            headers = {"Date": format_datetime(at, usegmt=True)}
            if self.name == "binance":
                headers["X-MBX-USED-WEIGHT-1M"] = str(used if self.cost is binance.cost else 0)
            return await send(request, json.dumps(spoilt).encode(), headers, set(self.faults))

        return handle  # type: ignore[return-value]

    def _count(self, path: str, query: Query) -> int:
        """Book a request; what its budget has spent in the window that ends now."""
        self.requests += 1
        self.asked[path] += 1
        name, cost = self.cost(path, query)
        now, window = time.monotonic(), self.budgets[name][1]
        spent = self._spent[name]
        spent.append((now, cost))
        while spent[0][0] <= now - window:
            spent.popleft()
        used = sum(part for _, part in spent)
        self._peaks[name] = max(self._peaks[name], used)
        return used if name == "weight" else 0

    def _has_key(self, request: web.Request) -> bool:
        wanted = vendors.KEYS.get(self.name)
        if wanted is None:
            return True
        header, beginning = wanted
        given = request.headers.get(header, "")
        return given.startswith(beginning) and len(given) > len(beginning)


def all_sources() -> dict[str, Source]:
    exchanges = {
        "binance": Source(
            "binance", binance.ANSWERS | unified.BINANCE, binance.BUDGETS, binance.cost
        ),
        "bybit": Source("bybit", bybit.ANSWERS | unified.BYBIT, bybit.BUDGETS, bybit.cost),
        "okx": Source("okx", okx.ANSWERS | unified.OKX, okx.BUDGETS | OTHERS, okx.cost),
    }
    providers = {
        name: Source(name, answers, vendors.BUDGETS[name], lambda path, query: ("requests", 1))
        for name, answers in vendors.ANSWERS.items()
    }
    return exchanges | providers
