"""What is refused at the edge, from outside: hosts, sites, plain HTTP, too much, too often, too slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from core.edges import Gate, RealAddress
from core.edges.limits import limits_of
from core.edges.rate import Rate
from core.settings import load_settings
from core.ui.security import Addresses, Protection

PROXY, VISITOR, OTHER = "10.1.0.5", "203.0.113.7", "198.51.100.9"
HTTPS = {"x-forwarded-proto": "https", "x-forwarded-for": VISITOR}
PRODUCTION = {
    "CRYPTOSATX_ENV": "production",
    "CRYPTOSATX_URL": "https://signals.example",
    "CRYPTOSATX_ALLOWED_HOSTS": "signals.example,*.desk.example",
    "CRYPTOSATX_TRUSTED_PROXIES": "10.1.0.0/16",
}


def told(request: Request) -> Response:
    """Whom the application takes the request to come from."""
    assert request.client is not None
    seen = {name: request.headers.get(name) for name in ("x-forwarded-for", "forwarded")}
    return JSONResponse({"who": request.client.host, "scheme": request.url.scheme, **seen})


async def swallow(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def sleep(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("slept")


def sleep_in_a_thread(request: Request) -> Response:
    time.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("slept")


async def drip(request: Request) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(24):
            yield b"data: x\n\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(drops(), media_type=request.query_params["type"])


async def say(request: Request) -> Response:
    return PlainTextResponse("said", int(request.query_params["status"]))


async def fail(_request: Request) -> Response:
    raise ValueError("the inside of it")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            asked = await socket.receive_bytes()
            who = socket.client.host if socket.client else ""
            await socket.send_bytes(who.encode() if asked == b"who" else asked)


UPLOAD = "/_stcore/upload_file/1/2"
ROUTES = [
    *(
        Route(path, told)
        for path in ("/", "/signals", "/health", "/api/v1/signals", "/static/a.js")
    ),
    *(
        Route(path, swallow, methods=["POST", "PUT"])
        for path in ("/api/v1/invoke", "/upload", UPLOAD)
    ),
    *(Route(path, sleep) for path in ("/sleep", "/api/v1/sleep")),
    Route("/thread", sleep_in_a_thread),
    Route("/drip", drip),
    Route("/say", say),
    *(Route(path, fail) for path in ("/fail", "/api/v1/fail")),
    WebSocketRoute("/_stcore/stream", echo),
]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ASGIApp]:
    """Makes the application with the edges of some settings around it."""

    def make(**settings: str) -> ASGIApp:
        for name in ("DATABASE_URL", *(one for one in PRODUCTION)):
            monkeypatch.delenv(name, raising=False)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        order = (RealAddress, Protection, Gate, Addresses)
        return Starlette(routes=ROUTES, middleware=[Middleware(one) for one in order])

    return make


def ask(
    app: ASGIApp, path: str, *, by: str = VISITOR, host: str = "signals.example", **more: Any
) -> httpx.Response:
    method = more.pop("method", "GET")

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(by, 50_000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, **more)

    return asyncio.run(send())


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert set(found) == {"type", "title", "status", "detail", "errors"}
    return found


# Who asks


@pytest.mark.parametrize(
    ("by", "forwarded", "who"),
    [
        (PROXY, VISITOR, VISITOR),
        (f"::ffff:{PROXY}", VISITOR, VISITOR),
        (PROXY, f"{OTHER}, {VISITOR}", VISITOR),
        (PROXY, f"{OTHER}, {VISITOR}, 10.1.0.9", VISITOR),
        (PROXY, f"{VISITOR}:4711", VISITOR),
        (PROXY, "[2001:db8::7]:4711", "2001:db8::7"),
        (PROXY, f"{OTHER}, ' OR 1=1", PROXY),
        (PROXY, "", PROXY),
        ("10.2.0.5", VISITOR, "10.2.0.5"),
        ("127.0.0.1", VISITOR, "127.0.0.1"),
    ],
)
def test_a_visitor_is_whom_the_last_named_proxy_saw(site, by, forwarded, who):
    app = site(CRYPTOSATX_TRUSTED_PROXIES="10.1.0.0/16")
    headers = {"x-forwarded-for": forwarded, "x-forwarded-proto": "https"}
    found = ask(app, "/signals", by=by, headers=headers).json()
    assert found["who"] == who
    named = by.endswith(PROXY)
    assert found["scheme"] == ("https" if named else "http")
    assert named or found["x-forwarded-for"] is None


def test_several_headers_of_proxies_count_as_one_list(site):
    app = site(CRYPTOSATX_TRUSTED_PROXIES=PROXY)
    headers = [("x-forwarded-for", OTHER), ("x-forwarded-for", VISITOR), ("forwarded", "for=x")]
    assert ask(app, "/signals", by=PROXY, headers=headers).json()["who"] == VISITOR
    assert ask(app, "/signals", by=OTHER, headers=headers).json() == {
        "who": OTHER,
        "scheme": "http",
        "x-forwarded-for": None,
        "forwarded": None,
    }


# Hosts, sites, HTTPS


@pytest.mark.parametrize(
    "host", ["evil.example", "signals.example.evil", "desk.example", "10.0.0.1"]
)
def test_a_host_that_is_not_allowed_gets_nothing_but_the_health(site, host):
    app = site(**PRODUCTION)
    answer = ask(app, "/signals", by=PROXY, host=host, headers=HTTPS)
    assert answer.status_code == 400
    assert "signals" not in answer.text
    told_programs = problem(ask(app, "/api/v1/signals", by=PROXY, host=host, headers=HTTPS))
    assert told_programs["type"] == "urn:cryptosatx:problem:host-not-allowed"
    assert ask(app, "/health", host=host).status_code == 200


@pytest.mark.parametrize("host", ["signals.example", "SIGNALS.example:443", "eu.desk.example"])
def test_an_allowed_host_is_let_in(site, host):
    assert (
        ask(site(**PRODUCTION), "/signals", by=PROXY, host=host, headers=HTTPS).status_code == 200
    )


def test_in_production_plain_http_is_sent_on_to_https_and_a_key_is_not(site):
    app = site(**PRODUCTION)
    page = ask(app, "/signals?mode=a%20b", by=PROXY, headers={"x-forwarded-for": VISITOR})
    assert page.status_code == 308
    assert page.headers["location"] == "https://signals.example/signals?mode=a%20b"
    assert "strict-transport-security" not in page.headers
    assert (
        ask(app, "//evil.example/x", by=PROXY)
        .headers["location"]
        .startswith("https://signals.example/")
    )
    assert problem(ask(app, "/api/v1/signals", by=PROXY))["type"].endswith("https-needed")
    assert ask(app, "/upload", by=PROXY, method="POST").status_code == 403
    assert ask(app, "/health", by=PROXY).status_code == 200
    secure = ask(app, "/signals", by=PROXY, headers=HTTPS)
    assert secure.status_code == 200
    assert "max-age=" in secure.headers["strict-transport-security"]


def test_who_is_no_named_proxy_cannot_say_that_it_was_https(site):
    assert ask(site(**PRODUCTION), "/signals", by=OTHER, headers=HTTPS).status_code == 308


def test_in_development_plain_http_is_all_right(site):
    answer = ask(site(CRYPTOSATX_URL="https://signals.example"), "/signals", host="localhost:8501")
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/signals", "/fail", "/api/v1/fail", "/nowhere"])
def test_every_answer_has_the_headers_that_browsers_obey(site, path):
    headers = ask(site(), path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert "unsafe" not in policy["script-src"]
    assert "*" not in headers["content-security-policy"]
    assert (policy["object-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
    assert (policy["base-uri"], policy["form-action"]) == ("'self'", "'self'")
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


# WebSockets


def connect(app: ASGIApp, *, host: str = "signals.example", client: str = VISITOR, **headers: str):
    visitor = TestClient(app, client=(client, 50_000))
    return visitor.websocket_connect(f"ws://{host}/_stcore/stream", headers=headers)


@pytest.mark.parametrize(
    ("host", "origin", "let_in"),
    [
        ("signals.example", "https://signals.example", True),
        ("signals.example", "http://signals.example", True),
        ("signals.example", "https://evil.example", False),
        ("signals.example", "https://signals.example.evil", False),
        ("signals.example", "null", False),
        ("signals.example", "http://localhost:3000", False),
        ("evil.example", "https://evil.example", False),
    ],
)
def test_only_pages_of_this_site_open_a_websocket(site, host, origin, let_in):
    app = site(
        CRYPTOSATX_ALLOWED_HOSTS="signals.example", CRYPTOSATX_CORS_ORIGINS="https://evil.example"
    )
    if let_in:
        with connect(app, host=host, origin=origin) as socket:
            socket.send_bytes(b"x")
            assert socket.receive_bytes() == b"x"
        return
    with pytest.raises(WebSocketDenialResponse) as denied, connect(app, host=host, origin=origin):
        pass
    assert denied.value.status_code in (400, 403)


def test_a_websocket_over_plain_http_is_turned_away_in_production(site):
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        connect(site(**PRODUCTION), client=PROXY),
    ):
        pass
    assert denied.value.status_code == 403
    with connect(
        site(**PRODUCTION), client=PROXY, **HTTPS, origin="https://signals.example"
    ) as socket:
        socket.send_bytes(b"who")
        assert socket.receive_bytes().decode() == VISITOR


def test_open_pages_are_counted_apart_and_for_each_address(site):
    app = site(CRYPTOSATX_EDGE_LIMITS="pages=3,pages_per_address=2,at_once=1")
    with connect(app), connect(app):
        assert ask(app, "/signals").status_code == 200
        with pytest.raises(WebSocketDenialResponse) as denied, connect(app):
            pass
        assert denied.value.status_code == 503
        with connect(app, client=OTHER), pytest.raises(WebSocketDenialResponse):
            connect(app, client="192.0.2.1").__enter__()
    with connect(app):
        pass


@pytest.mark.parametrize(
    ("limit", "messages", "code"),
    [("megabytes=1", [b"x" * 1_100_000], 1009), ("messages=8", [b"x"] * 5, 1008)],
)
def test_a_page_that_sends_too_much_or_too_often_is_closed(site, limit, messages, code):
    with connect(site(CRYPTOSATX_EDGE_LIMITS=limit)) as socket:
        for message in messages:
            socket.send_bytes(message)
        told = socket.receive()
        while told["type"] == "websocket.send":
            told = socket.receive()
    assert told["code"] == code


# Other sites' scripts


def preflight(app: ASGIApp, path: str, origin: str) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    headers["access-control-request-headers"] = "authorization,content-type"
    return ask(app, path, method="OPTIONS", headers=headers)


def test_no_other_site_may_ask_the_api_unless_it_is_named(site):
    for path in ("/api/v1/signals", "/signals"):
        for method in ("GET", "OPTIONS"):
            answer = ask(site(), path, method=method, headers={"origin": "https://desk.example"})
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_named_site_may_ask_the_api_with_a_key_and_never_with_cookies(site):
    app = site(CRYPTOSATX_CORS_ORIGINS="https://desk.example")
    answer = preflight(app, "/api/v1/invoke", "https://desk.example")
    assert answer.headers["access-control-allow-origin"] == "https://desk.example"
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    plain = ask(app, "/api/v1/signals", headers={"origin": "https://desk.example"})
    assert plain.headers["access-control-allow-origin"] == "https://desk.example"
    assert "access-control-allow-credentials" not in plain.headers
    for path, origin in (
        ("/api/v1/invoke", "https://evil.example"),
        ("/signals", "https://desk.example"),
    ):
        assert "access-control-allow-origin" not in preflight(app, path, origin).headers
        assert (
            "access-control-allow-origin" not in ask(app, path, headers={"origin": origin}).headers
        )


def test_preflights_of_scripts_are_counted_as_what_follows_them(site):
    app = site(CRYPTOSATX_CORS_ORIGINS="https://desk.example", CRYPTOSATX_EDGE_LIMITS="requests=10")
    found = [preflight(app, "/api/v1/invoke", "https://desk.example") for _ in range(6)]
    assert [one.status_code for one in found] == [200] * 5 + [429]
    assert problem(found[-1])["type"].endswith("too-many-requests")


def test_addresses_that_are_closed_pass_the_gate_and_have_the_headers(site):
    app = site(CRYPTOSATX_EDGE_LIMITS="requests=4")
    page = {"accept": "text/html"}
    closed, nested = ask(app, "/_stcore/metrics"), ask(app, "/a/b", headers=page)
    assert (closed.status_code, nested.status_code) == (404, 303)
    for answer in (closed, nested):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "content-security-policy" in answer.headers
    assert ask(app, "/a/b", headers=page).status_code == 429
    assert ask(site(**PRODUCTION), "/_stcore/metrics", host="evil.example").status_code == 400


# Too much, too often, too slow


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(site, streamed):
    app = site(CRYPTOSATX_EDGE_LIMITS="megabytes=1")
    taken = 0

    async def pieces(many: int) -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(many):
            taken += 1
            yield b"x" * 65_536

    def body(many: int) -> Any:
        return pieces(many) if streamed else b"x" * 65_536 * many

    assert ask(app, "/upload", method="POST", content=body(16)).text == str(16 * 65_536)
    taken = 0
    answer = ask(app, "/api/v1/invoke", method="POST", content=body(160))
    assert problem(answer)["type"].endswith("too-large")
    assert answer.status_code == 413
    assert taken <= 17
    assert ask(app, "/upload", method="PUT", content=body(160)).status_code == 413


def test_a_file_may_be_as_large_as_a_page_takes_it_and_no_other_body(site):
    app, largest = site(), b"x" * 10_300_000  # 10 MB, and what a form adds
    assert ask(app, UPLOAD, method="PUT", content=largest).status_code == 200
    assert ask(app, UPLOAD, method="PUT", content=largest * 2).status_code == 413
    assert ask(app, "/upload", method="PUT", content=largest).status_code == 413


def test_after_an_answer_that_leaves_a_body_unread_the_connection_is_closed(site):
    app = site(CRYPTOSATX_EDGE_LIMITS="seconds=1,megabytes=1")
    for path, status in (("/say?status=503", 503), ("/say?status=413", 413)):
        answer = ask(app, path)
        assert (answer.status_code, answer.headers["connection"]) == (status, "close")
    assert "connection" not in ask(app, "/say?status=404").headers

    async def talk() -> bytes:
        config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        # Ends only because the server closes the connection.
        told = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.should_exit = True
        await serving
        return told

    told = asyncio.run(talk())
    assert told.startswith(b"HTTP/1.1 503")
    assert b"connection: close" in told.lower()


def test_a_length_that_is_no_number_is_refused(site):
    answer = ask(site(), "/upload", method="POST", content=b"x", headers={"content-length": "-1"})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/sleep", "/thread", "/api/v1/sleep"])
def test_an_answer_that_takes_too_long_is_given_up(site, path):
    app = site(CRYPTOSATX_EDGE_LIMITS="seconds=1")
    assert ask(app, f"{path}?seconds=0").text == "slept"
    answer = ask(app, f"{path}?seconds=1.5")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["connection"] == "close"


def test_a_body_that_comes_too_slowly_is_given_up(site):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x"
            await asyncio.sleep(0.1)

    answer = ask(
        site(CRYPTOSATX_EDGE_LIMITS="seconds=1"), "/upload", method="POST", content=pieces()
    )
    assert answer.status_code in (200, 503)


def test_an_answer_that_has_begun_may_take_longer_and_a_stream_of_events_as_long_as_it_wants(site):
    app = site(CRYPTOSATX_EDGE_LIMITS="seconds=1,long_seconds=2")
    assert ask(app, "/drip?type=text/event-stream").text.count("data") == 24
    assert 5 <= pieces_of(app, "type=text/plain") < 24


def pieces_of(app: ASGIApp, query: str) -> int:
    """How many pieces of an answer that drips come before the connection is broken off."""
    told: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        told.append(message)

    scope = {"type": "http", "method": "GET", "path": "/drip", "query_string": query.encode()}
    scope |= {"headers": [], "client": (VISITOR, 1), "scheme": "http", "server": ("x", 80)}
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    assert told[-1]["more_body"], "what is cut off must not look whole"
    return len(told) - 1


def test_what_breaks_is_told_without_its_inside(site, caplog):
    assert ask(site(), "/fail").status_code == 500
    answer = ask(site(), "/api/v1/fail")
    assert problem(answer)["type"].endswith("failed")
    assert "inside" not in answer.text
    assert "the inside of it" in caplog.text


def ask_at_once(app: ASGIApp, *visits: tuple[str, str]) -> list[int]:
    """The statuses of requests that are all under way at the same time."""

    async def one(path: str, by: str) -> int:
        transport = httpx.ASGITransport(app, client=(by, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://signals.example") as it:
            return (await it.get(path)).status_code

    async def several() -> list[int]:
        return await asyncio.gather(*(one(path, by) for path, by in visits))

    return asyncio.run(several())


def test_only_so_many_requests_are_answered_at_once_of_one_address_and_of_all(site):
    app = site(CRYPTOSATX_EDGE_LIMITS="at_once=3,at_once_per_address=2")
    slow = "/sleep?seconds=0.2"
    assert ask_at_once(app, *[(slow, VISITOR)] * 3, (slow, OTHER)) == [200, 200, 503, 200]
    assert ask_at_once(app, *[(slow, VISITOR)] * 2, *[(slow, OTHER)] * 2) == [200, 200, 200, 503]
    assert ask_at_once(app, *[(slow, VISITOR)] * 3, *[("/health", VISITOR)] * 5)[3:] == [200] * 5


def test_too_many_requests_of_one_address_wait_and_others_do_not(site):
    app = site(CRYPTOSATX_EDGE_LIMITS="requests=10,files=100", CRYPTOSATX_TRUSTED_PROXIES=PROXY)
    headers = {"x-forwarded-for": VISITOR}
    found = [ask(app, "/signals", by=PROXY, headers=headers).status_code for _ in range(6)]
    assert found == [200] * 5 + [429]
    answer = ask(app, "/signals", by=PROXY, headers={"x-forwarded-for": f"{OTHER}, {VISITOR}"})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 6
    assert answer.headers["content-type"].startswith("text/plain")
    assert ask(app, "/signals", by=PROXY, headers={"x-forwarded-for": OTHER}).status_code == 200
    assert ask(app, "/static/a.js", by=PROXY, headers=headers).status_code == 200
    assert ask(app, "/health", by=PROXY, headers=headers).status_code == 200
    programs = [ask(app, "/api/v1/signals", by=VISITOR) for _ in range(6)]
    assert [one.status_code for one in programs] == [200] * 5 + [429]
    assert problem(programs[-1])["type"].endswith("too-many-requests")


def test_a_network_of_version_six_is_one_visitor(site):
    app = site(CRYPTOSATX_EDGE_LIMITS="requests=2")
    found = [ask(app, "/signals", by=f"2001:db8:1:2::{number}") for number in range(1, 4)]
    assert [one.status_code for one in found] == [200, 429, 429]
    assert ask(app, "/signals", by="2001:db8:1:3::1").status_code == 200


def test_a_rate_forgets_whoever_is_even_again() -> None:
    rate = Rate(60, burst=5)
    for number in range(1_000):
        rate.wait(str(number), now=number / 10)
    assert len(rate._even) < 50


def test_limits_that_are_unknown_or_no_numbers_are_refused() -> None:
    assert limits_of(load_settings({"CRYPTOSATX_EDGE_LIMITS": "pages=7"}).edge_limits).pages == 7
    for text in ("pages", "pages=0", "pages=x", "sides=4"):
        with pytest.raises(Exception, match="the names are requests"):
            load_settings({"CRYPTOSATX_EDGE_LIMITS": text})
