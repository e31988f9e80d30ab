"""A server that speaks as OpenAI does, on a real socket: it answers well, or fails as it is told to."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.world.site import Site, Sites

SECONDS = 20.0
USAGE = {"prompt_tokens": 1_200, "completion_tokens": 150, "total_tokens": 1_350}
MODELS = ("stand-in", "stand-in-large")
OPEN, CLOSE = "<outside_text>", "</outside_text>"
Json = dict[str, Any]


def asked(body: Json) -> Json:
    """The numbers of a question, as any reader of the prompt finds them."""
    found: Json = json.loads(body["messages"][1]["content"].split("\n", 1)[0])
    return found


def outside(body: Json) -> str:
    """What stands in the part that is declared to be data."""
    content: str = body["messages"][1]["content"]
    return content.split(f"\n{OPEN}\n", 1)[1].rsplit(f"\n{CLOSE}\n", 1)[0]


def good(body: Json) -> Json:
    """A careful answer: half of what the rules allow, whose reasons name numbers of the question."""
    numbers = asked(body)
    cap = numbers["multiplier_max"]
    funding = numbers["factors"]["funding_rate"]
    reasons = [
        {"factor": "funding_rate", "text": f"Funding is {funding['z']} deviations from normal."},
        {"factor": "volatility", "text": f"At {numbers['volatility_24h_over_30d']} of normal."},
        {"factor": "coverage", "text": f"It is {numbers['coverage_share_of_weight']}."},
    ]
    return {
        "verdict": "DOWNSIZE" if cap else "SKIP",
        "risk_mode": "REDUCED" if cap else "AVOID",
        "multiplier": min(cap / 2, 0.5),
        "reasons": [one for one in reasons if one["factor"] not in numbers["unknown"]],
        "change_of_mind": "Funding back at its normal.",
    }


def obedient(body: Json) -> Json:
    """What a model says that does as the text from outside tells it."""
    return good(body) | {"verdict": "CONFIRM", "risk_mode": "AGGRESSIVE", "multiplier": 1.5}


def _with(**changes: Any) -> Callable[[Json], str]:
    return lambda body: json.dumps(good(body) | changes)


def _raw(change: Callable[[str], str]) -> Callable[[Json], str]:
    return lambda body: change(json.dumps(good(body)))


def _mode_above(body: Json) -> str:
    return json.dumps(good(body) | {"verdict": "DOWNSIZE", "risk_mode": "AVOID", "multiplier": 0.1})


_REASON = {"factor": "price", "text": "It rose."}
# Answers of a model whose content breaks the schema, or says what cannot be.
CONTENTS: Mapping[str, Callable[[Json], str]] = {
    "prose": lambda _: "I CONFIRM this trade with full size.",
    "fenced": _raw(lambda text: f"```json\n{text}\n```"),
    "trailing": _raw(lambda text: f"{text} CONFIRM"),
    "not json": lambda _: '{"verdict": "CONFIRM",',
    "other schema": lambda _: '{"answer": "CONFIRM", "confidence": 0.9}',
    "list": lambda _: '["CONFIRM"]',
    "above cap": lambda body: json.dumps(
        good(body)
        | {
            "verdict": "DOWNSIZE",
            "risk_mode": "AGGRESSIVE",
            "multiplier": asked(body)["multiplier_max"] + 0.01,
        }
    ),
    "obedient": lambda body: json.dumps(obedient(body)),
    "above mode": _mode_above,
    "unknown verdict": _with(verdict="BUY"),
    "lower case": _with(verdict="skip"),
    "six reasons": _with(reasons=[_REASON] * 6),
    "no reasons": _with(reasons=[]),
    "unknown factor": _with(reasons=[{"factor": "moon", "text": "Full."}]),
    "long reason": _with(reasons=[{"factor": "price", "text": "x" * 201}]),
    "empty reason": _with(reasons=[{"factor": "price", "text": "\u202e"}]),
    "same factor": _with(reasons=[_REASON, _REASON]),
    "nothing seen": _with(reasons=[{"factor": "price", "text": "\u3164 \u115f\u1160\uffa0"}]),
    "no letter": _with(reasons=[{"factor": "price", "text": "+3.5 %!"}]),
    "mild skip": _with(verdict="SKIP", risk_mode="NORMAL", multiplier=0),
    "tiny": lambda body: json.dumps(
        good(body) | {"verdict": "DOWNSIZE", "risk_mode": "REDUCED", "multiplier": 0.049}
    ),
    "more fields": _with(confidence=0.9),
    "text number": _with(multiplier="0.1"),
    "nan": _with(multiplier=float("nan")),
    "infinity": _with(multiplier=float("inf")),
    "huge": _raw(lambda text: text.replace('"multiplier": 0', '"multiplier": 1e400, "x": 0')),
    "negative": _with(multiplier=-0.5),
    "boolean": _with(multiplier=True),
    "skip with size": _with(verdict="SKIP", multiplier=0.1),
    "confirm without size": _with(verdict="CONFIRM", multiplier=0),
    "said twice": _raw(lambda text: text.replace('"verdict"', '"verdict": "SKIP", "verdict"')),
    "deep": lambda _: "[" * 50_000,
}


def _completion(body: Json, **message: Any) -> Json:
    finish = message.pop("finish_reason", "stop")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": body["model"],
        "choices": [
            {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        ],
        "usage": USAGE,
    }


def _cut(body: Json) -> Json:
    return _completion(body, content=json.dumps(good(body))[:60], finish_reason="length")


def _ended(body: Json, finish: str | None) -> Json:
    return _completion(body, content=json.dumps(good(body)), finish_reason=finish)


# Replies of 200 that are no answer, whatever they hold.
ENVELOPES: Mapping[str, Callable[[Json], Json]] = {
    "refusal": lambda body: _completion(body, content=None, refusal="I cannot help with trading."),
    "content filter": lambda body: _completion(body, content="", finish_reason="content_filter"),
    "length": _cut,
    "tool calls": lambda body: _ended(body, "tool_calls"),
    "no end": lambda body: _ended(body, None),
    "unknown end": lambda body: _ended(body, "because"),
    "other model": lambda body: _completion(body, content=json.dumps(good(body))) | {"model": "y"},
    "dated model": lambda body: (
        _completion(body, content=json.dumps(good(body))) | {"model": f"{body['model']}-2026-01-01"}
    ),
    "unnamed model": lambda body: (
        _completion(body, content=json.dumps(good(body))) | {"model": None}
    ),
    "null content": lambda body: _completion(body, content=None),
    "no choices": lambda body: _completion(body, content="") | {"choices": []},
    "no message": lambda body: _completion(body) | {"choices": [{"index": 0}]},
    "error inside": lambda body: {"error": {"message": "CONFIRM", "code": 502}},
    "no usage": lambda body: _completion(body, content=json.dumps(good(body))) | {"usage": None},
    "false usage": lambda body: (
        _completion(body, content=json.dumps(good(body))) | {"usage": {"prompt_tokens": -5}}
    ),
}
STATUS: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "401": (401, {}),
    "400": (400, {}),
    "429": (429, {}),
    "429 retry after": (429, {"Retry-After": "0.05"}),
    "429 long": (429, {"Retry-After": "3600"}),
    "500": (500, {}),
    "redirect": (302, {"Location": "http://127.0.0.1:9/elsewhere"}),
}
TRANSPORT = (
    "hang",
    "drip",
    "reset",
    "gzip",
    "html",
    "enormous",
    "empty",
    "bytes",
    "echo",
    "answer echo",
)
MODES = ("good", *CONTENTS, *ENVELOPES, *STATUS, *TRANSPORT)


@dataclass
class ModelServer(Sites):
    """`with ModelServer() as server`: what comes next is in ``script``, and then always ``mode``.

    ``answer`` computes the content of a good answer; ``bodies`` and ``headers`` are what was asked.
    """

    mode: str = "good"
    script: deque[str] = field(default_factory=deque)
    answer: Callable[[Json], Json] = good
    latency_s: float = 0.0
    bodies: list[Json] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    usage: Mapping[str, int] = field(default_factory=lambda: dict(USAGE))
    at_once: int = 0
    most_at_once: int = 0
    # Sent as it is where there is one: status and body.
    verbatim: tuple[int, str] | None = None

    def __post_init__(self) -> None:
        super().__init__("model")
        self._sites["model"] = Site(self._app)

    @property
    def port(self) -> int:
        return self._sites["model"].port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def switch_off(self) -> None:
        """Nothing listens any more."""
        self.do(self._sites["model"].stop())

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if self.mode in STATUS:
            return _status(self.mode, request)
        rows = [{"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in MODELS]
        return web.json_response({"object": "list", "data": rows})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.addresses.append(request.path_qs)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self.latency_s)
            return await self._reply(request, body)
        finally:
            self.at_once -= 1

    async def _reply(self, request: web.Request, body: Json) -> web.StreamResponse:
        if self.verbatim is not None:
            status, text = self.verbatim
            return web.Response(status=status, text=text, content_type="application/json")
        mode = self.script.popleft() if self.script else self.mode
        assert mode in MODES, f"there is no mode {mode}"
        if mode in STATUS:
            return _status(mode, request)
        if mode in TRANSPORT:
            return await _broken(mode, request, body)
        if mode in ENVELOPES:
            return web.json_response(ENVELOPES[mode](body))
        content = json.dumps(self.answer(body)) if mode == "good" else CONTENTS[mode](body)
        return web.json_response(_completion(body, content=content) | {"usage": self.usage})


def _status(mode: str, request: web.Request) -> web.StreamResponse:
    """A server that repeats what it was sent, as some do."""
    status, headers = STATUS[mode]
    said = f"no, {request.headers.get('Authorization', 'stranger')}, not at {request.path_qs}"
    return web.json_response(
        {"error": {"message": said, "type": "x", "code": "y"}}, status=status, headers=headers
    )


async def _broken(mode: str, request: web.Request, body: Json) -> web.StreamResponse:
    whole = json.dumps(_completion(body, content=json.dumps(good(body)))).encode()
    if mode == "hang":
        await asyncio.sleep(SECONDS)
    if mode == "html":
        return web.Response(text="<html>CONFIRM</html>", content_type="text/html")
    if mode == "bytes":
        return web.Response(body=b"\x00\xff{\x00}" * 9, content_type="application/json")
    if mode == "empty":
        return web.Response(body=b"", content_type="application/json")
    if mode == "gzip":
        spoilt = gzip.compress(whole)[:20] + b"rubbish" * 20
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=spoilt, headers=headers)
    if mode == "echo":
        return web.json_response({"you": dict(request.headers), "at": request.path_qs})
    if mode == "answer echo":
        said = f"You are {request.headers.get('Authorization')} at {request.path_qs}"[:200]
        answer = good(body) | {"reasons": [{"factor": "price", "text": said}]}
        return web.json_response(_completion(body, content=json.dumps(answer)))
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    if mode == "reset":
        await response.write(whole[:40])
        if request.transport is not None:
            request.transport.abort()
    elif mode == "enormous":
        await _write_for_ever(response, b"[" + b" " * 65_536, 0.0)
    else:
        await _write_for_ever(response, b" ", 0.02)
    return response


async def _write_for_ever(response: web.StreamResponse, part: bytes, pause: float) -> None:
    try:
        while True:
            await response.write(part)
            await asyncio.sleep(pause)
    except (ConnectionError, asyncio.CancelledError):
        return
