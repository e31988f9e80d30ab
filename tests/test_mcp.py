"""The operations as tools: a real client of the protocol over HTTP and over stdio."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import httpx2
import orjson
import pytest
import uvicorn
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from core.accounts import keys, people
from core.api import api_routes, mcp
from core.api.mcp_endpoint import PATH
from core.api.problems import Refusal
from core.api.stdio import _with_key
from core.edges import Gate
from core.operations.every import all_operations
from core.operations.sources import close_readers
from tests.api import NOW, PREFIX, Desk, add_key, make_template, serve
from tests.test_source_operations import ROOMY, SECRET
from tests.world.directory import Directory

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
EVERY = all_operations()


class Served:
    """The API on a real port, and clients of its tools."""

    def __init__(self, desk: Desk, base: str) -> None:
        self.desk, self.base = desk, base
        self.url = f"{base}{PATH}"

    def key(self, owner: str = "ada", scopes: list[str] | None = None) -> str:
        return add_key(self.desk.here.accounts, owner, EVERY.scopes if scopes is None else scopes)

    @asynccontextmanager
    async def client(self, key: str, query: str = "", mode: str = "auto") -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=20) as http,
            Client(streamable_http_client(self.url + query, http_client=http), mode=mode) as client,
        ):
            yield client

    def call(self, key: str, name: str, given: dict[str, Any] | None = None) -> Any:
        async def once() -> Any:
            async with self.client(key) as client:
                try:
                    return await client.call_tool(name, given or {})
                except MCPError as error:  # Out of the client it would be one of a group.
                    return error

        found = asyncio.run(once())
        if isinstance(found, MCPError):
            raise found
        return found

    def post(self, **headers: str) -> httpx.Response:
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        accepted = {"Accept": "application/json, text/event-stream"}
        return httpx.post(self.url, json=ping, headers={**accepted, **headers})


@pytest.fixture(scope="module")
def template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(sqlite_template, tmp_path_factory.mktemp("mcp"))


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    with Directory(key=SECRET) as directory:
        yield directory
        close_readers()


@pytest.fixture(scope="module")
def served(
    template: Path, directory: Directory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    path = folder / "api.sqlite"
    path.write_bytes(template.read_bytes())
    endpoints = ",".join(f"{name}={url}" for name, url in directory.endpoints.items())
    more = {**ROOMY, "CRYPTOSATX_ENDPOINTS": endpoints, "COINGLASS_API_KEY": SECRET}
    with pytest.MonkeyPatch.context() as patch:
        for desk in serve(patch, f"sqlite:///{path}", folder, **more):
            with listening(Starlette(routes=api_routes(EVERY))) as base:
                yield Served(desk, base)


class listening:
    """The application on a port of its own, in a thread."""

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            threading.Event().wait(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def run(work: Callable[[], Awaitable[T]]) -> T:
    return asyncio.run(work())  # type: ignore[arg-type]


async def all_tools(client: Client) -> tuple[list[Any], int]:
    """Every tool, and on how many pages."""
    tools, cursor, pages = [], None, 0
    while True:
        page = await client.list_tools(cursor=cursor)
        tools, cursor, pages = [*tools, *page.tools], page.next_cursor, pages + 1
        if cursor is None:
            return tools, pages


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_lists_every_operation_over_http_page_by_page(served: Served, mode: str) -> None:
    async def look() -> tuple[list[Any], int]:
        async with served.client(served.key(), mode=mode) as client:
            return await all_tools(client)

    tools, pages = run(look)
    assert [tool.name for tool in tools[:2]] == ["find_operations", "invoke_operation"]
    assert {tool.name for tool in tools} == {one.name for one in EVERY} | {"invoke_operation"}
    assert len(tools) == len(EVERY) + 1 > 172
    assert pages == -(-len(tools) // mcp.PAGE) > 1
    for tool in tools[2:]:
        operation = EVERY[tool.name]
        assert (tool.title, tool.description) == (operation.title, operation.description)
        assert tool.annotations.read_only_hint is not operation.writes
        assert tool.annotations.destructive_hint is operation.writes
        assert tool.input_schema["type"] == "object"
        assert set(tool.input_schema["properties"]) == set(
            operation.parameters.model_json_schema()["properties"]
            if operation.parameters.model_fields
            else ()
        )
        for own in tool.input_schema["properties"].values():
            assert own["description"]
            assert {"type": "null"} not in own.get("anyOf", ())


def test_a_tool_gives_what_the_api_gives_as_structure_and_as_text(served: Served) -> None:
    key = served.key()
    found = served.call(key, "signals_history", {"symbol": "S0USDT", "limit": 3})
    assert not found.is_error
    asked = {"operation": "signals_history", "parameters": {"symbol": "S0USDT", "limit": 3}}
    told = httpx.post(
        f"{served.base}{PREFIX}/invoke", json=asked, headers={"Authorization": f"Bearer {key}"}
    )
    assert found.structured_content == told.json()["result"]
    assert orjson.loads(found.content[0].text) == found.structured_content
    assert len(found.structured_content["items"]) == 3


def test_a_source_is_asked_through_a_tool_and_through_the_api(
    served: Served, directory: Directory
) -> None:
    key, given = served.key(), {"symbol": "BTC"}
    directory.asked.clear()
    found = served.call(key, "coinglass_pairs_markets", given).structured_content
    assert found["reply"]["data"] == {"path": "/api/futures/pairs-markets", "given": given}
    answer = httpx.get(
        f"{served.base}{PREFIX}/sources/coinglass/pairs_markets",
        params=given,
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.json()["reply"] == found["reply"]
    assert answer.json()["fetched_at"] == found["fetched_at"]
    assert len(directory.asked) == 1


def test_what_keeps_a_source_from_answering_is_told_as_what_it_is(
    served: Served, directory: Directory
) -> None:
    key = served.key()
    lacking = served.call(key, "lunarcrush_topics_list")
    assert lacking.is_error
    assert "LUNARCRUSH_API_KEY" in lacking.content[0].text

    def status(path: str, **given: str) -> tuple[int, str]:
        answer = httpx.get(
            f"{served.base}{PREFIX}/sources/{path}",
            params=given,
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["type"].rpartition(":")[2]

    assert status("lunarcrush/topics_list") == (424, "source-key-missing")
    directory.status = 400
    assert status("coinglass/supported_coins") == (424, "source-refused")
    directory.status = 500
    assert status("coinglass/supported_coins") == (503, "source-away")
    directory.status = 429
    assert status("alternative_me/listings") == (429, "source-busy")
    directory.status = 200


def test_operations_are_found_by_words_and_asked_for_by_name(served: Served) -> None:
    key = served.key()
    found = served.call(key, "find_operations", {"words": "funding rate history", "limit": 3})
    names = [one["name"] for one in found.structured_content["items"]]
    assert "coinglass_funding_rate_history" in names
    assert len(names) == 3 < found.structured_content["found"]
    assert found.structured_content["groups"]["coinglass"] >= 3
    one = served.call(key, "find_operations", {"words": "liquid", "group": "liquidations"})
    assert {item["group"] for item in one.structured_content["items"]} == {"liquidations"}
    nothing = served.call(key, "find_operations", {"words": "weather in Paris"})
    assert nothing.structured_content == {"items": [], "found": 0, "groups": {}}
    asked = {"operation": "symbols_list", "parameters": {}}
    assert served.call(key, "invoke_operation", asked).structured_content["items"]
    for wrong in ({}, {"operation": 3}, {**asked, "more": 1}, {**asked, "parameters": []}):
        assert served.call(key, "invoke_operation", wrong).is_error


def test_a_key_shows_and_opens_what_its_scopes_and_its_owner_s_role_allow(served: Served) -> None:
    key = served.key("tom", ["signals.read", "ledger.read"])

    async def look() -> list[Any]:
        async with served.client(key) as client:
            return (await all_tools(client))[0]

    expected = {one.name for one in EVERY if one.scope == "signals.read" and one.role == "trader"}
    assert {tool.name for tool in run(look)} == expected | {"find_operations", "invoke_operation"}
    for name, given in (
        ("coinglass_supported_coins", {}),
        ("invoke_operation", {"operation": "coinglass_supported_coins"}),
    ):
        lacking = served.call(key, name, given)
        assert lacking.is_error
        assert lacking.content[0].text == "This key does not have the scope sources.read."
    role = served.call(key, "ledger_head")
    assert role.is_error
    assert role.content[0].text == "This needs the role analyst, and tom is trader."
    found = served.call(key, "find_operations", {"words": "ledger"})
    assert all(one["group"] != "ledger" for one in found.structured_content["items"])


def test_parameters_that_are_wrong_are_a_fault_of_the_call_and_a_tool_that_is_none_of_the_client(
    served: Served,
) -> None:
    key = served.key()
    wrong = served.call(key, "signals_history", {"symbol": "S0USDT", "limit": 0, "strange": 1})
    assert wrong.is_error
    assert "limit: Input should be greater than or equal to 1" in wrong.content[0].text
    assert "strange" in wrong.content[0].text
    with pytest.raises(MCPError, match="There is no operation 'rm_rf'"):
        served.call(key, "rm_rf")

    async def strange_cursor() -> None:
        async with served.client(key) as client:
            with pytest.raises(MCPError, match="This cursor is none"):
                await client.list_tools(cursor="nowhere")

    run(strange_cursor)


def test_who_has_no_key_or_one_that_opens_nothing_gets_nowhere(served: Served) -> None:
    for headers in (
        {},
        {"Authorization": f"Bearer csx_{'x' * 43}"},
        {"Authorization": "Basic eA=="},
    ):
        answer = served.post(**headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["detail"].endswith(".")

    async def enter() -> None:
        async with served.client(f"csx_{'x' * 43}") as client:
            await client.list_tools()

    with pytest.raises(BaseException):  # noqa: B017, PT011 - a client says it in its own way
        run(enter)


def test_a_disabled_person_is_refused_at_the_next_message(served: Served) -> None:
    key = served.key("ann", ["signals.read"])

    async def look() -> Any:
        async with served.client(key) as client:
            before = await client.call_tool("signals_history", {"symbol": "S0USDT", "limit": 1})
            with served.desk.here.accounts.begin() as conn:
                people.disable(conn, "ann", now=NOW)
            with pytest.raises(MCPError):
                await client.call_tool("signals_history", {"symbol": "S0USDT", "limit": 1})
            return before

    try:
        assert not run(look).is_error
        assert served.post(Authorization=f"Bearer {key}").status_code == 401
    finally:
        with served.desk.here.accounts.begin() as conn:
            people.enable(conn, "ann", now=NOW)


def test_a_key_that_asks_too_often_is_told_when_to_go_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_API_CALLS_PER_MINUTE", "2")
    key = served.key()
    answers = [served.post(Authorization=f"Bearer {key}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"key";q=2;w=60'}
    assert answers[0].headers["ratelimit"].startswith('"key";r=1;t=')
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_pages_of_other_sites_and_other_hosts_and_other_methods_are_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Authorization": f"Bearer {served.key()}"}
    assert served.post(**key, Origin="https://evil.example").status_code == 403
    assert served.post(**key, Origin="null").status_code == 403
    assert served.post(**key, Origin=served.base).status_code == 200
    monkeypatch.setenv("CRYPTOSATX_URL", "https://signals.example")
    assert served.post(**key, Host="signals.example").status_code == 200
    assert served.post(**key, Host="signals.example", Origin="https://signals.example").is_success
    assert served.post(**key, Host="rebound.example").status_code == 421
    monkeypatch.setenv("CRYPTOSATX_ALLOWED_HOSTS", "signals.example,*.desk.example")
    monkeypatch.setenv("CRYPTOSATX_CORS_ORIGINS", "https://tool.example")
    assert served.post(**key, Host="a.desk.example").status_code == 200
    assert served.post(**key, Host="signals.example", Origin="https://tool.example").is_success
    assert served.post(**key, Origin="https://other.example").status_code == 403
    for method in ("GET", "DELETE", "PUT"):
        answer = httpx.request(method, served.url, headers=key)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    large = httpx.post(served.url, content=b"x" * 100_000, headers=key)
    assert large.status_code == 413


def test_groups_that_are_named_in_the_address_are_listed_alone(served: Served) -> None:
    async def look() -> list[Any]:
        async with served.client(served.key(), "?groups=signals, plans") as client:
            return (await all_tools(client))[0]

    groups = {EVERY[tool.name].group for tool in run(look)[2:]}
    assert groups == {"signals", "plans"}
    answer = httpx.post(
        f"{served.url}?groups=weather", headers={"Authorization": f"Bearer {served.key()}"}
    )
    assert answer.status_code == 422
    assert "there is no group weather" in answer.json()["detail"]


def test_an_answer_that_nobody_could_read_is_refused(
    served: Served, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp, "MOST_BYTES", 50)
    found = served.call(served.key(), "coinglass_supported_exchanges")
    assert found.is_error
    assert "ask for less" in found.content[0].text


# Over stdio: the command as an assistant starts it.


def command(served: Served, *arguments: str, **environment: str) -> StdioServerParameters:
    names = ("PATH", "HOME", "DATABASE_URL", "CRYPTOSATX_DATA", "CRYPTOSATX_MARKET")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "core", "mcp", *arguments],
        env={**inherited, **environment},
        cwd=str(ROOT),
    )


def test_a_client_lists_and_calls_over_stdio_until_the_key_s_owner_is_disabled(
    served: Served,
) -> None:
    key = served.key("ann", ["signals.read", "market.read"])

    async def talk() -> tuple[list[Any], Any, Any]:
        started = command(served, "--groups", "signals", CRYPTOSATX_API_KEY=key)
        async with Client(started) as client:
            tools, _ = await all_tools(client)
            found = await client.call_tool("signals_history", {"symbol": "S0USDT", "limit": 2})
            lacking = await client.call_tool("plans_one", {"symbol": "S0USDT"})
            assert lacking.is_error
            assert "plans.read" in lacking.content[0].text
            with served.desk.here.accounts.begin() as conn:
                people.disable(conn, "ann", now=NOW)
            return (
                tools,
                found,
                await client.call_tool("signals_history", {"symbol": "S0USDT", "limit": 2}),
            )

    try:
        tools, found, refused = run(talk)
    finally:
        with suppress(Exception), served.desk.here.accounts.begin() as conn:
            people.enable(conn, "ann", now=NOW)
    assert {EVERY[tool.name].group for tool in tools[2:]} == {"signals"}
    direct = served.call(served.key(), "signals_history", {"symbol": "S0USDT", "limit": 2})
    assert found.structured_content == direct.structured_content
    assert refused.is_error
    assert "owner is disabled" in refused.content[0].text


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", (400, 415)),
        ({"Accept": "text/html"}, b"{}", (400, 406)),
        ({"Accept": "application/json, text/event-stream"}, b"{", (400,)),
    ],
)
def test_what_the_protocol_s_library_refuses_is_a_problem_or_an_error_of_the_protocol(
    served: Served, headers: dict[str, str], body: bytes, status: tuple[int, ...]
) -> None:
    app = Starlette(routes=api_routes(EVERY), middleware=[Middleware(Gate)])
    usual = {"Content-Type": "application/json", "Authorization": f"Bearer {served.key()}"}
    answer = TestClient(app).post(PATH, content=body, headers={**usual, **headers})
    assert answer.status_code in status
    kind, told = answer.headers["content-type"].partition(";")[0], answer.json()
    assert kind in ("application/problem+json", "application/json")
    if kind == "application/json":
        assert told["jsonrpc"] == "2.0"
    else:
        assert told["status"] == answer.status_code
        assert "ratelimit" in answer.headers


def test_over_stdio_a_key_is_counted_and_its_use_noted(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_API_CALLS_PER_MINUTE", "2")
    key = served.key()
    who = _with_key(key)
    assert who().bearer.person.username == "ada"
    with served.desk.here.accounts.connect() as conn:
        bearer = keys.read(conn, key, now=NOW)
    assert bearer is not None
    assert bearer.last_used_at is not None
    who()
    with pytest.raises(Refusal, match="This key may ask 2 times"):
        who()


def test_the_local_operator_reads_what_is_spelled_out_and_nothing_more(served: Served) -> None:
    async def talk() -> tuple[Any, Any, Any]:
        started = command(served, "--role", "trader", "--scope", "signals.read")
        async with Client(started) as client:
            return (
                await client.call_tool("signals_history", {"symbol": "S0USDT", "limit": 1}),
                await client.call_tool("coinglass_supported_coins", {}),
                await client.call_tool("find_operations", {"words": "ledger"}),
            )

    found, lacking, searched = run(talk)
    assert len(found.structured_content["items"]) == 1
    assert lacking.is_error
    assert all(one["group"] != "ledger" for one in searched.structured_content["items"])
