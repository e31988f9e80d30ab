"""docs/findings.md: twenty findings of a review, each with a test that exists, and those without a test elsewhere."""

from __future__ import annotations

import ast
import asyncio
import re
import runpy
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp
from streamlit import config

from core.api import api_routes
from core.api.application import PREFIX
from core.api.mcp_endpoint import PATH
from core.edges import Gate
from core.operations.every import all_operations

ROOT = Path(__file__).resolve().parents[1]
FINDINGS = (
    *("open CORS", "eval", "no HTTPS enforcement", "optional authentication"),
    *("database URL in files", "inactive rate limiter", "prints", "no request limits"),
    *("plain keys", "no time-outs or breaker", "mixed errors", "weak input validation"),
    *("shallow health check", "debug artefacts", "unstructured logs", "no metrics or traces"),
    *("broken start command", "no backup", "no response cache", "no API version"),
)


def rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def names_in(file: str) -> set[str]:
    """Tests of a file that are run with the others: neither skipped nor only when asked for."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and not any(
            word in ast.unparse(mark)
            for mark in node.decorator_list
            for word in ("mark.skip", "mark.long", "mark.xfail")
        )
    }


def test_each_of_the_twenty_has_what_is_so_and_tests_that_exist() -> None:
    found = rows()
    assert tuple(finding for finding, *_ in found) == FINDINGS
    for finding, here, proofs in found:
        assert here
        named = re.findall(r"`(test_\w+\.py)::(\w+)`", proofs)
        assert len(named) == proofs.count("`") // 2 > 0, finding
        for file, test in named:
            assert test in names_in(file), f"{finding}: {file}::{test}"


# What runs


@dataclass(frozen=True)
class Call:
    """A call as it is written: ``what`` is its name, ``given`` its named values."""

    where: str
    what: str
    given: Mapping[str, str]
    text: str


@dataclass
class File:
    """What one file of those that run calls, brings in, and has for addresses."""

    calls: list[Call] = field(default_factory=list)
    brings: set[str] = field(default_factory=set)
    addresses: list[str] = field(default_factory=list)


@cache
def code() -> Mapping[str, File]:
    """Everything that runs, by file."""
    files = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "core").rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): read(path) for path in files}


def read(path: Path) -> File:
    found, name = File(), path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=func, keywords=named):
                given = {one.arg or "**": ast.unparse(one.value) for one in named}
                called = dotted(func)
                text = ast.unparse(node) if called in _LOOKED_INTO else ""
                found.calls.append(Call(f"{name}:{node.lineno}", called, given, text))
            case ast.Import(names=names):
                found.brings |= {one.name.partition(".")[0] for one in names}
            case ast.ImportFrom(module=str(module)):
                found.brings.add(module.partition(".")[0])
            case ast.Constant(value=str(text)) if _ADDRESS.fullmatch(text):
                found.addresses.append(text)
    return found


def dotted(node: ast.expr) -> str:
    """What is called, as it is written: httpx.AsyncClient; "" where it has no name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


_LOOKED_INTO = ("yaml.load",)
_ADDRESS = re.compile(r"/(?:debug|test|admin|internal|dev)(?:/\S*)?")
# The language of rules is simpleeval's: a way through a tree that it has checked, and no `eval` of Python.
_OWN_EVAL = {"core/rule_bench.py": "self.eval"}
_RUNS_TEXT = {
    *("eval", "exec", "compile", "__import__", "pickle.loads", "pickle.load", "marshal.loads"),
    *("yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "subprocess.getoutput"),
}


def test_no_text_is_run_as_code() -> None:
    found = []
    for name, file in code().items():
        for call in file.calls:
            runs = call.what in _RUNS_TEXT or call.what.endswith((".eval", ".exec"))
            runs |= (
                call.what.startswith("subprocess.") and call.given.get("shell", "False") != "False"
            )
            runs |= call.what == "yaml.load" and "SafeLoader" not in call.text
            if runs and _OWN_EVAL.get(name) != call.what:
                found.append(f"{call.where} {call.what}")
    assert found == []


def test_nothing_of_a_search_for_faults_is_left() -> None:
    found = []
    for name, file in code().items():
        found += [f"{name} brings in {module}" for module in file.brings & _DEBUGGERS]
        found += [f"{name} has the address {address}" for address in file.addresses]
        for call in file.calls:
            if call.what.rpartition(".")[2] in ("breakpoint", "set_trace"):
                found.append(f"{call.where} stops in a debugger")
            for switch in ("debug", "reload", "echo"):
                if call.given.get(switch, "False") != "False":
                    found.append(f"{call.where} switches {switch} on")
    for path in [ROOT / "app.py", *(ROOT / "pages").glob("*"), *(ROOT / "core").rglob("*")]:
        if path.suffix in (".py", ".js", ".css", ".yaml"):
            for note in re.findall(
                r"\b(?:TODO|FIXME|HACK|console\.log)\b", path.read_text("utf-8")
            ):
                found.append(f"{path.relative_to(ROOT)}: {note}")
    assert found == []


_DEBUGGERS = {"pdb", "ipdb", "pudb", "debugpy", "code"}


# What asks outside

# What makes a client of the network, and the file that does: each with what bounds its time.
_CLIENTS = {
    "core/market/http.py": {"httpx.AsyncClient"},
    "core/market/stream/connection.py": {"connect"},
    "core/verdicts/model/asking.py": {"openai.AsyncOpenAI"},
    "core/keeping/places.py": {"S3Store"},
    "core/observing/traces.py": {"OTLPSpanExporter"},
}
# ccxt asks through `core.market.http`, which it is given in the place of its own; Apprise gets its times
# where its plugins are made; a webhook's line has an end for all of a message; `limits` asks Redis.
_BOUNDED_OTHERWISE = {
    "core/alerts/delivery/line.py": "self._socket.settimeout(self._left(timeout))",
    "core/alerts/delivery/webhook.py": "self._line.allow(",
    "core/alerts/delivery/services.py": "plugin.socket_read_timeout = min(",
    "core/api/limiting.py": '"socket_timeout": 1.0',
    "core/market/sources/exchange.py": '{"request": request}',
    "core/operations/sources/exchanges.py": '"request": lambda own',
    "core/store/database.py": '"connect_timeout": 5',
    "core/market/budgets.py": "MemoryStorage",
    "core/alerts/delivery/answers.py": "HTTPAdapter.build_response",
    "core/jobs/closing.py": "WebSocketException",
    "core/market/stream/sockets.py": "WebSocketException",
    "core/market/sources/__init__.py": "httpx.",
}
_NETWORK = {
    *(
        "httpcore",
        "httpx",
        "httpx2",
        "openai",
        "obstore",
        "websockets",
        "requests",
        "aiohttp",
        "urllib3",
    ),
    *("boto3", "botocore", "redis", "limits", "ccxt", "apprise", "smtplib", "ftplib"),
}
_MAKES = re.compile(
    r"(\w+\.)?(Async)?(Client|HTTPTransport|AsyncOpenAI|OpenAI|ClientSession|S3Store)|connect"
    r"|(httpx2?|requests)\.(get|post|request|stream)|(\w+\.)*urlopen|OTLPSpanExporter"
)


def test_whatever_asks_somebody_outside_does_so_in_bounded_time() -> None:
    making: dict[str, set[str]] = {}
    for name, file in code().items():
        for call in file.calls:
            if _MAKES.fullmatch(call.what):
                assert "timeout" in str(call.given), f"{call.where} has no time-out"
                making.setdefault(name, set()).add(call.what)
    assert making == _CLIENTS
    bringing = {name for name, file in code().items() if file.brings & _NETWORK}
    assert bringing <= {*_CLIENTS, *_BOUNDED_OTHERWISE}
    for name, words in _BOUNDED_OTHERWISE.items():
        assert words in (ROOT / name).read_text(encoding="utf-8"), name


# Files

# Made up, in examples of what is hidden or of what to write.
_EXAMPLES = re.compile(r"hunter2|me:pw@|me:secret@|user:password@|USER:PASSWORD@")
_WITH_PASSWORD = re.compile(r"\w://[^\s/:@'\"`<{]+:[^\s/@'\"`<]+@")


def test_no_file_holds_an_address_with_a_password() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    found = []
    for name in filter(None, listed):
        path = ROOT / name
        # Tests plant passwords, to see that nobody ever reads them.
        if name.startswith("tests/") or not path.is_file():
            continue
        for line in path.read_bytes().decode("utf-8", "ignore").splitlines():
            for address in _WITH_PASSWORD.findall(line):
                shown = _EXAMPLES.search(address) or "$(cat secrets/" in line
                if not shown:
                    found.append(f"{name}: {line[:80]}")
    assert found == []


def test_the_command_that_starts_is_the_same_wherever_it_stands() -> None:
    command = "streamlit run app.py"
    assert (ROOT / "app.py").is_file()
    assert command in (ROOT / "Makefile").read_text(encoding="utf-8")
    image = re.findall(r"^CMD \[(.+)\]", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert [words.replace('"', "").replace(",", "") for words in image] == [command]
    assert '"-m", "streamlit", "run", "app.py"' in (ROOT / "tests" / "server.py").read_text("utf-8")
    assert command in (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert re.search(r"^make run\b", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)


# The application


def test_the_edges_stand_before_all_of_the_application() -> None:
    """The first is the outermost; nothing of ours is asked before the gate but who asks."""
    (call,) = [one for one in code()["app.py"].calls if one.what == "st.App"]
    names = re.findall(r"Middleware\((\w+)", call.given["middleware"])
    before, behind = ["RealAddress", "Requests", "Protection", "Gate"], ["ShortIdentity", "Uploads"]
    assert names == [*before, "Addresses", *behind]


def test_every_address_of_the_api_has_its_version() -> None:
    mounted, assistants, root, rest = api_routes(all_operations())
    assert isinstance(mounted, Mount)
    assert re.fullmatch(r"/api/v\d+", mounted.path)
    assert isinstance(assistants, Route)
    assert assistants.path == PATH == "/api/mcp"
    assert isinstance(rest, Route)
    assert rest.path == "/api/{rest:path}"
    assert isinstance(root, Route)
    assert root.path == "/api"
    assert len(mounted.routes) > len(all_operations())


def test_every_refusal_at_any_address_of_the_api_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a key, with a method that it does not take, where there is nothing, and what is refused
    by a library: all through the application as it is served."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'nobody.sqlite'}")
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    asked = [("PUT", PREFIX), ("GET", "/api/"), ("GET", f"{PREFIX}/nothing"), ("GET", "/api/v2/x")]
    asked += [("POST", PATH), ("GET", PATH), ("POST", f"{PREFIX}/invoke")]
    for one in all_operations():
        path = f"{PREFIX}{re.sub('{[a-z_]+}', 'x', one.address)}"
        asked += [("POST" if one.writes else "GET", path), ("PUT", path)]
    asked += [(method, "/api/nothing") for method in ("OPTIONS", "TRACE", "FOO", "PATCH")]
    asked += [(method, "/api") for method in ("GET", "POST", "OPTIONS")]
    asked += [("GET", f"{PREFIX}/{end}") for end in ("signals%00", "%2e%2e/x", "signals/..%5c")]
    monkeypatch.setenv("CRYPTOSATX_EDGE_LIMITS", "requests=100000")
    # An application finds its pages beside the script that the last one has set.
    monkeypatch.setattr(config, "_main_script_path", str(ROOT / "app.py"))
    app = runpy.run_path(str(ROOT / "app.py"))["app"]
    for (method, path), answer in zip(asked, asyncio.run(ask(app, asked)), strict=True):
        assert 400 <= answer.status_code < 500, (method, path)
        assert answer.headers["content-type"] == "application/problem+json", (method, path)
        told = answer.json()
        assert told["status"] == answer.status_code
        assert set(told) == {"type", "title", "status", "detail", "errors"}


def test_what_a_library_refuses_at_the_api_is_a_problem_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A length that is none, and a script of a site that is not named."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'nobody.sqlite'}")
    monkeypatch.setenv("CRYPTOSATX_CORS_ORIGINS", "https://desk.example")
    app = Starlette(routes=api_routes(all_operations()), middleware=[Middleware(Gate)])
    strange = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    asked = [("OPTIONS", strange), ("POST", {"content-length": "-1"})]

    async def answers() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return [
                await client.request(method, f"{PREFIX}/invoke", headers=headers)
                for method, headers in asked
            ]

    for answer in asyncio.run(answers()):
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 400


async def ask(app: ASGIApp, asked: list[tuple[str, str]]) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return [await client.request(method, path) for method, path in asked]
