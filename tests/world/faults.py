"""The ways in which a source fails: to a reply's content, or to how it is sent."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from tests.world.market import HOUR_MS

_TIMES = {
    *("fundingTime", "timestamp", "fundingRateTimestamp", "ts", "time", "generated"),
    "time_period_start",
}
_NAMES = {"symbol", "instId", "id", "exchange_id", "symbol_id", "name"}
_LONGEST_HANG_S = 60.0


def _row_lists(value: Any) -> Iterable[list[Any]]:
    """Every outermost list of rows in a reply."""
    if isinstance(value, list):
        if value and isinstance(value[0], dict | list):
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _row_lists(inner)


def _values(row: Any) -> list[Any]:
    """Where a row has numbers that are no time: keys of an object, places of a list."""
    if isinstance(row, list):
        return list(range(1, len(row)))
    return [name for name, value in row.items() if _is_number(value) and name not in _TIMES]


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).isdigit()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_some_rows(chance: random.Random, reply: Any, value: Callable[[Any], Any]) -> Any:
    for rows in _row_lists(reply):
        for row in rows:
            places = _values(row)
            if places and chance.random() < 0.3:
                at = chance.choice(places)
                row[at] = value(row[at])
    return reply


def _nan(reply: Any, chance: random.Random) -> Any:
    return _in_some_rows(chance, reply, lambda _: chance.choice([float("nan"), None, float("inf")]))


def _strings(reply: Any, chance: random.Random) -> Any:
    """Numbers as text, which can be read, and text that is no number."""
    for rows in _row_lists(reply):
        for row in rows:
            for at in _values(row):
                row[at] = str(row[at])
    return _in_some_rows(chance, reply, lambda _: chance.choice(["n/a", "", "1,5", "-"]))


def _newest_first(reply: Any, chance: random.Random) -> Any:
    """In the other order than the source's own."""
    for rows in _row_lists(reply):
        rows.reverse()
    return reply


def _duplicates(reply: Any, chance: random.Random) -> Any:
    for rows in _row_lists(reply):
        rows.extend([json.loads(json.dumps(row)) for row in rows])
        chance.shuffle(rows)
    return reply


def _future(reply: Any, chance: random.Random) -> Any:
    """Rows from hours that are still to come."""
    for rows in _row_lists(reply):
        for row in list(rows[-2:]) + list(rows[:2]):
            ahead = json.loads(json.dumps(row))
            for at in [0] if isinstance(ahead, list) else [n for n in _TIMES if n in ahead]:
                ahead[at] = _later(ahead[at], 1_000 * HOUR_MS)
            rows.append(ahead)
    return reply


def _later(value: Any, by_ms: int) -> Any:
    if isinstance(value, str) and not value.isdigit():
        return value.replace(value[:4], str(int(value[:4]) + 1), 1) if "T" in value else value
    shift = by_ms if float(value) > 1e11 else by_ms // 1000
    return str(int(value) + shift) if isinstance(value, str) else value + shift


def _renamed(reply: Any, chance: random.Random) -> Any:
    """A field of every row under another name; rows without names lose their last fields."""
    for rows in _row_lists(reply):
        names = sorted(
            {name for row in rows if isinstance(row, dict) for name in _values(row)} - _NAMES
        )
        gone = set(names)
        for row in rows:
            if isinstance(row, list):
                del row[2:]
            else:
                for name in gone & set(row):
                    row[f"{name}_renamed"] = row.pop(name)
    return reply


def _empty(reply: Any, chance: random.Random) -> Any:
    for rows in _row_lists(reply):
        rows.clear()
    return reply


CONTENT: dict[str, Callable[[Any, random.Random], Any]] = {
    "nan": _nan,
    "strings": _strings,
    "newest_first": _newest_first,
    "duplicates": _duplicates,
    "future": _future,
    "renamed": _renamed,
    "empty": _empty,
}
# Served from a market that is hours behind.
LAG = {"late": 3 * HOUR_MS}
STATUS = {
    "429": (429, {}),
    "429_retry_after": (429, {"Retry-After": "1"}),
    "418": (418, {"Retry-After": "2"}),
    "500": (500, {}),
}
TRANSPORT = ("hang", "reset", "truncated", "html")
SITE = ("refuse",)
SOCKET = ("dead",)
FAULTS = (*CONTENT, *LAG, *STATUS, *TRANSPORT, *SITE)


def spoil(reply: Any, faults: Iterable[str], chance: random.Random) -> Any:
    """The reply with every fault of content that is on, in a fixed order."""
    asked = set(faults)
    for name, change in CONTENT.items():
        if name in asked:
            reply = change(reply, chance)
    return reply


async def send(
    request: web.Request, body: bytes, headers: dict[str, str], faults: set[str]
) -> web.StreamResponse:
    """Send a reply as the faults of transport have it."""
    if "hang" in faults:
        await asyncio.sleep(_LONGEST_HANG_S)
    for name, (status, more) in STATUS.items():
        if name in faults:
            return web.json_response(
                {"code": -1003, "msg": "too much"}, status=status, headers=more
            )
    if "html" in faults:
        return web.Response(text="<html><body>maintenance</body></html>", content_type="text/html")
    if "truncated" in faults:
        return web.Response(body=body[: len(body) // 2], content_type="application/json")
    if "reset" in faults:
        return await _reset(request, body)
    return web.Response(body=body, content_type="application/json", headers=headers)


async def _reset(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(body) + 2)})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
