"""The providers' other endpoints: every one that the tables name, strict about what it is asked.

A stand-in answers what it was asked, in the provider's envelope. What the real one would refuse it
refuses as that does: another path or method, no key, a parameter that is missing, unknown or none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from core.operations.sources.table import Endpoint, Kind, Taken, load_table
from tests.world.site import Site, Sites

KEYS = {
    "coinglass": ("CG-API-KEY", "{}"),
    "lunarcrush": ("Authorization", "Bearer {}"),
    "coinapi": ("X-CoinAPI-Key", "{}"),
    "coingecko": ("x-cg-demo-api-key", "{}"),
}
WITHOUT_A_KEY = ("coingecko",)
# Where a provider's paths begin, on the address that stands for it.
ROOTS = {
    "coinglass": "",
    "lunarcrush": "/api4/public",
    "coinapi": "/v1",
    "coingecko": "/api/v3",
    "alternative_me": "",
}


@dataclass(frozen=True)
class Asked:
    """One question, as it arrived."""

    source: str
    endpoint: str
    parameters: Mapping[str, str]


@dataclass
class Directory(Sites):
    """All providers, each on a port of its own. ``key`` is the one key that each of them takes;
    ``reply`` is what comes in the envelope instead of the question, ``status`` what instead of 200,
    ``hang_seconds`` how long it takes."""

    key: str = "right-key"
    asked: list[Asked] = field(default_factory=list)
    reply: Any = None
    status: int = 200
    hang_seconds: float = 0.0

    def __post_init__(self) -> None:
        super().__init__("directory")
        self._sites = {name: Site(lambda name=name: self._app(name)) for name in ROOTS}  # type: ignore[misc]

    @property
    def endpoints(self) -> dict[str, str]:
        return {name: f"http://127.0.0.1:{site.port}" for name, site in self._sites.items()}

    def _app(self, source: str) -> web.Application:
        async def answer(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(self.hang_seconds)
            return self._answer(source, request)

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", answer)
        return app

    def _answer(self, source: str, request: web.Request) -> web.Response:
        # The path as it was sent: an escaped slash is no slash.
        path = request.raw_path.partition("?")[0].removeprefix(ROOTS[source])
        found = _find(source, path)
        if found is None or request.method != "GET":
            return _refuse(source, 404, "there is nothing here")
        if source in KEYS:
            header, form = KEYS[source]
            sent = request.headers.get(header)
            if sent != form.format(self.key) and (sent or source not in WITHOUT_A_KEY):
                return _refuse(source, 401, f"this key is wrong: {sent}")
        endpoint, taken, inside = found
        given = {**request.query, **inside}
        if wrong := _wrong(taken, given, len(request.query)):
            return _refuse(source, 400, wrong)
        self.asked.append(Asked(source, endpoint.name, given))
        if self.status != 200:
            return _refuse(source, self.status, "it is broken")
        told = {"path": endpoint.path, "given": given} if self.reply is None else self.reply
        return web.json_response(_envelope(source, told))


def _find(source: str, path: str) -> tuple[Endpoint, tuple[Taken, ...], dict[str, str]] | None:
    """The endpoint of a path; one without names in it before one with."""
    table = load_table(source)
    for endpoint in sorted(table.endpoints, key=lambda one: one.path.count("{")):
        form = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(endpoint.path))
        if match := re.fullmatch(form, path):
            inside = {name: unquote(text) for name, text in match.groupdict().items()}
            return endpoint, table.taken(endpoint), inside
    return None


def _wrong(taken: tuple[Taken, ...], given: Mapping[str, str], behind: int) -> str:
    """What is wrong with parameters; "" where nothing is."""
    known = {one.name: one for one in taken}
    for name in given:
        if name not in known:
            return f"{name} is not known"
    if behind + sum(1 for one in taken if one.name in given) < len(given):
        return "something is given twice"
    for name, one in known.items():
        if name not in given:
            if one.needed:
                return f"{name} is missing"
            continue
        if not _fits(one.kind, given[name]):
            return f"{name} cannot be {given[name]}"
    return ""


def _fits(kind: Kind, text: str) -> bool:
    """Whether the provider could read the value."""
    if kind.type in ("whole", "number"):
        return re.fullmatch(r"\d+" if kind.type == "whole" else r"\d+(\.\d+)?", text) is not None
    if kind.type == "choice":
        return text in kind.of
    return text in ("true", "false") if kind.type in ("flag", "switch") else bool(text)


def _refuse(source: str, status: int, words: str) -> web.Response:
    if source == "coinglass" and status in (400, 401):
        return web.json_response({"code": str(status), "msg": words})
    return web.json_response({"error": words}, status=status)


def _envelope(source: str, told: Any) -> Any:
    if source == "coinglass":
        return {"code": "0", "msg": "success", "data": told}
    if source == "lunarcrush":
        return {"config": {"generated": 1735689600}, "data": told}
    if source == "alternative_me":
        return {"data": told, "metadata": {"error": None}}
    return [told] if source == "coinapi" else told
