"""Who may do what: every page, route, operation and action, for everybody, against `tests.access`.

The rows are what there is; whatever is not declared there fails. Nothing is hidden only: pages are
asked for by address over the WebSocket of the whole application, routes with real requests, and what
pages do is called with the session of whoever it is not for.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from starlette.websockets import WebSocketDisconnect
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

from core.accounts import may, people, sessions
from core.errors import AccessDenied
from core.operations import Operation
from core.operations.every import all_operations
from core.store.tables import users
from core.ui import session
from core.ui.navigation import ENTRIES, Entry
from core.ui.routes import TOO_LATE
from tests import access
from tests.access import ACCOUNTS, ACTIONS, DOORS, KEYS, OWN_ACTIONS, UNASKED, Door
from tests.api import NOW, add_key, add_person
from tests.doors import ROOT, Asked, Site, give_factor, routes_of, serve
from tests.test_written_down import COMMANDS, writers

EVERY = list(all_operations())
XSRF = "_streamlit_xsrf"


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server over one database, for all of them."""
    folder = tmp_path_factory.mktemp("access")
    path = folder / "site.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        yield from serve(patch, f"sqlite:///{path}", folder)


def test_the_document_says_what_is_declared() -> None:
    written = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    assert written == access.document(EVERY, COMMANDS), "python -m tests.access > docs/access.md"


# Pages


def test_every_file_of_a_page_is_registered_and_so_in_the_table() -> None:
    files = {path.name for path in (ROOT / "pages").glob("*.py")} - {"router.py"}
    assert files == {entry.file for entry in ENTRIES}


def asked_roles(file: str) -> list[ast.Call]:
    tree = ast.parse((ROOT / "pages" / file).read_text(encoding="utf-8"))
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "require_user"
    ]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path)
def test_a_page_asks_for_the_role_that_it_is_registered_with(entry: Entry) -> None:
    found = {ast.literal_eval(call.args[0]) for call in asked_roles(entry.file)}
    assert found == ({entry.role} if entry.role else set())


@pytest.mark.parametrize("who", ACCOUNTS)
def test_every_page_opens_by_its_address_to_whom_it_is_for(site: Site, who: str) -> None:
    shut = set()
    for entry in ENTRIES:
        with site.tab(site.accounts.get(who)) as tab:
            drawn = tab.open(entry.path)
            assert drawn.outcome == access.page_outcome(entry, who), entry.path
            if drawn.outcome == "refused":
                # Nothing of the page is sent along.
                shut.add((tuple(drawn.elements), len(drawn.parts)))
                # Nor is it by a link of the menu, which names a page by its hash.
                assert tab.open(page_hash=drawn.page).outcome == "refused", entry.path
    assert len(shut) <= 1


@pytest.mark.parametrize(
    ("how", "outcome"),
    [("disabled", "entrance"), ("signed out", "entrance"), ("demoted", "refused")],
)
def test_a_part_of_a_page_is_not_renewed_for_who_may_see_it_no_more(
    site: Site, how: str, outcome: str
) -> None:
    for entry in ENTRIES:
        if entry.role != "admin":
            continue
        name = f"{how.replace(' ', '_')}_{entry.path}"
        token = site.new_person(name, "admin")
        with site.tab(token) as tab:
            first = tab.open(entry.path)
            assert first.outcome == "shown"
            assert first.parts
            part = first.parts[-1]
            assert not tab.renew(part, entry.path).whole
            change(site, how, name, token)
            after = tab.renew(part, entry.path)
            assert after.whole, entry.path
            assert after.outcome == outcome, entry.path


def test_what_is_kept_for_who_has_another_role_now_is_drawn_for_that_role(site: Site) -> None:
    token = site.new_person("newcomer", "trader")
    with site.tab(token) as tab:
        part = tab.open("accuracy").parts[-1]
        with site.here.accounts.begin() as conn:
            people.set_role(conn, "newcomer", "analyst", now=NOW)
        after = tab.renew(part, "accuracy")
        assert (after.whole, after.outcome) == (True, "shown")


def change(site: Site, how: str, name: str, token: str) -> None:
    with site.here.accounts.begin() as conn:
        if how == "signed out":
            sessions.end(conn, token)
        values = {"disabled": {"disabled": True}, "demoted": {"role": "trader"}}.get(how)
        if values:
            conn.execute(update(users).where(users.c.username == name).values(values))


def test_parts_that_renew_themselves_are_made_only_where_each_run_is_guarded() -> None:
    made = {
        str(path.relative_to(ROOT))
        for folder in ("core", "pages")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bst\.(fragment|dialog)\b(?!`)", path.read_text(encoding="utf-8"))
    }
    assert made == {"core/ui/session.py"}


# Routes


def found_doors(site: Site) -> dict[tuple[str, str], Any]:
    """Every route of the application but those of operations, and what asks for headers alone."""
    assert site.app._starlette_app is not None
    of_operations = {("POST" if one.writes else "GET", f"/api/v1{one.address}") for one in EVERY}
    return {
        (method, path): route
        for method, path, route in routes_of(site.app._starlette_app.routes)
        if (method, path) not in of_operations and method != "HEAD"
    }


def test_every_route_is_declared(site: Site) -> None:
    assert set(found_doors(site)) == set(DOORS)


def test_every_operation_has_a_route_and_no_other_route_is_an_operation_s(site: Site) -> None:
    assert site.app._starlette_app is not None
    found = {
        (method, path)
        for method, path, _ in routes_of(site.app._starlette_app.routes)
        if path.startswith("/api/v1/") and method != "HEAD" and (method, path) not in DOORS
    }
    assert found == {("POST" if one.writes else "GET", f"/api/v1{one.address}") for one in EVERY}


def lets_in(door: Door, who: str) -> bool:
    person = ACCOUNTS[who].person
    if door.opens in ("everyone", "nobody", "a key") or person is None:
        return door.opens == "everyone"
    role = door.opens
    return who != "admin without a factor" and may(person, role, write=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("who", ACCOUNTS)
def test_every_route_opens_to_whom_it_is_for(site: Site, who: str) -> None:
    for (method, path), door in DOORS.items():
        if method == "socket":
            continue
        method = "POST" if method == "any" else method
        address = door.address or re.sub(r"\{[^}]*\}", "x", path)
        wanted = door.opened if lets_in(door, who) else door.shut
        more = {"json": {}} if method == "POST" else {}
        headers = proof_of_site(site, who, address)
        answer = site.ask(method, address, who, headers=headers, **more)
        assert answer.status_code == wanted, (method, path, answer.text[:200])
        if method == "GET" and door.opened == wanted == 200:
            # The same without the body.
            assert site.ask("HEAD", address, who).status_code in (200, 405), path


def proof_of_site(site: Site, who: str, address: str) -> dict[str, str]:
    """What a script of a page sends along with a file: without it Streamlit refuses one itself."""
    if "upload_file" not in address:
        return {}
    token = generate_xsrf_token_string()
    cookies = {**site.cookies(who), XSRF: token}
    return {
        "X-Xsrftoken": token,
        "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
    }


@pytest.mark.parametrize(("who", "status"), [("admin", 204), ("trader", 403), ("stranger", 403)])
def test_a_file_is_taken_from_the_page_of_an_administrator_only(
    site: Site, who: str, status: int
) -> None:
    """Streamlit itself takes one from whoever has opened any page, the sign-in too."""
    with site.tab(site.accounts.get(who)) as tab:
        tab.open("rules")
        address = f"/_stcore/upload_file/{tab.session}/a_file"
        answer = site.ask(
            "PUT", address, who, headers=proof_of_site(site, who, address),
            files={"file": ("rules.yaml", b"rules: []", "text/yaml")},
        )  # fmt: skip
    assert answer.status_code == status


def test_where_a_route_leads_to_is_no_way_in(site: Site) -> None:
    assert site.ask("GET", "/session/start?ticket=x").headers["location"] == TOO_LATE
    for path in ("/auth/login", "/auth/logout", "/oauth2callback?code=x&state=y"):
        answer = site.ask("GET", path)
        assert answer.headers["location"] == "/"
        assert "cryptosatx_session" not in answer.headers.get("set-cookie", "")


def test_a_session_is_not_ended_from_another_site(site: Site) -> None:
    elsewhere = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert site.ask("POST", "/session/end", "trader", headers=elsewhere).status_code == 403
    with site.tab(site.accounts["trader"]) as tab:
        assert tab.open("signals").outcome == "shown"


def test_another_site_opens_no_page(site: Site) -> None:
    headers = {"origin": "https://evil.example", "cookie": ""}
    with (
        pytest.raises(WebSocketDisconnect),
        site.client.websocket_connect("/_stcore/stream", headers=headers),
    ):
        pass


def test_metrics_are_for_the_token_and_the_addresses_that_are_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client of these tests has no address at all.
    monkeypatch.setenv("CRYPTOSATX_METRICS_TOKEN", "a token of sixteen and more")
    assert site.ask_with("a token of sixteen and more", "GET", "/metrics").status_code == 200
    for key in ("", "another token of that length", *site.keys.values()):
        assert site.ask_with(key, "GET", "/metrics").status_code == 404


def test_a_key_opens_no_page_and_no_file(site: Site) -> None:
    key = site.keys["of an admin"]
    assert site.ask_with(key, "GET", "/record/ledger.csv").status_code == 403
    with site.tab(key) as tab:
        assert tab.open("people").outcome == "entrance"


# Operations


def at_address(one: Operation[Any]) -> Asked:
    example = dict(one.examples[0])
    path = f"/api/v1{one.address.format(**example)}"
    rest = {name: value for name, value in example.items() if f"{{{name}}}" not in one.address}
    return ("POST", path, {"json": rest}) if one.writes else ("GET", path, {"params": rest})


def by_name(one: Operation[Any]) -> Asked:
    body = {"operation": one.name, "parameters": dict(one.examples[0])}
    return "POST", "/api/v1/invoke", {"json": body}


def as_tool(one: Operation[Any]) -> Asked:
    call = {"name": one.name, "arguments": dict(one.examples[0])}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    return (
        "POST",
        "/api/mcp",
        {"json": body, "headers": {"Accept": "application/json, text/event-stream"}},
    )


WAYS: dict[str, Callable[[Operation[Any]], Asked]] = {
    "address": at_address,
    "name": by_name,
    "tool": as_tool,
}
# Who asks for every operation in a way; the others for one of each kind. At its address each has code of
# its own; by name and as a tool all have the same, and a tool that answers takes three times as long.
ASKS_ALL = {
    "address": (
        *("none", "expired", "revoked", "of a disabled owner"),
        *("of a trader", "of an analyst", "of an admin"),
    ),
    "name": ("of a trader", "of an analyst", "of an admin"),
    "tool": ("of an analyst",),
}
LACKS = ("This key does not have the scope", "This needs the role")


def ask(site: Site, way: str, key: str, operations: Collection[Operation[Any]]) -> list[int]:
    """The status for each; a tool that is refused says so in an answer that is in order."""
    answers = site.ask_all(key, [WAYS[way](one) for one in operations])
    return [refusal_of_tool(one) if way == "tool" else one.status_code for one in answers]


def refusal_of_tool(answer: httpx.Response) -> int:
    if answer.status_code != 200:
        return answer.status_code
    result = answer.json()["result"]
    if not result.get("isError"):
        return 200
    said = result["content"][0]["text"]
    assert said.startswith(LACKS), said
    return 403


def one_of_each_kind() -> list[Operation[Any]]:
    """Of those that differ in nothing that access depends on, the first."""
    kinds: dict[tuple[str, ...], Operation[Any]] = {}
    for one in EVERY:
        kinds.setdefault((one.group, one.role, one.scope, str(one.writes)), one)
    return list(kinds.values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("who", KEYS)
def test_every_operation_opens_to_the_keys_of_whom_it_is_for(
    site: Site, way: str, who: str
) -> None:
    some = who not in ASKS_ALL[way]
    operations = one_of_each_kind() if some else EVERY
    site.calls.clear()
    statuses = ask(site, way, site.keys[who], operations)
    wanted = [access.operation_status(one, who) for one in operations]
    told = zip(operations, statuses, wanted, strict=True)
    assert not [(one.name, status) for one, status, right in told if status != right]
    told = zip(operations, statuses, wanted, strict=True)
    assert site.calls == [one.name for one, status, _ in told if status == 200]


@pytest.mark.parametrize("way", WAYS)
def test_every_operation_opens_by_its_own_scope_and_by_no_other(site: Site, way: str) -> None:
    operations = EVERY if way == "name" else one_of_each_kind()
    scopes = all_operations().scopes
    for scope in scopes:
        of_it = [one for one in operations if one.scope == scope]
        site.calls.clear()
        assert set(ask(site, way, new_key(site, set(scopes) - {scope}), of_it)) == {403}
        assert not site.calls
        assert set(ask(site, way, new_key(site, [scope]), of_it)) == {200}
        assert site.calls == [one.name for one in of_it]
    free = [one for one in EVERY if not one.scope]
    assert set(ask(site, way, new_key(site, ["plans.read"]), free)) == {200}


@pytest.mark.parametrize("who", KEYS)
def test_routes_for_keys_open_to_those_that_are_good(site: Site, who: str) -> None:
    named = {"json": {"operation": "find_operations", "parameters": {"words": "signals"}}}
    ping = {"json": {"jsonrpc": "2.0", "id": 1, "method": "ping"}}
    ping |= {"headers": {"Accept": "application/json, text/event-stream"}}
    more = {"/api/v1/operations": {}, "/api/v1/invoke": named, "/api/mcp": ping}
    doors = [(method, path) for (method, path), door in DOORS.items() if door.opens == "a key"]
    asked = [("POST" if method == "any" else method, path, more[path]) for method, path in doors]
    statuses = [one.status_code for one in site.ask_all(site.keys[who], asked)]
    assert statuses == [KEYS[who].shut if KEYS[who].person is None else 200] * len(more)


def new_key(site: Site, scopes: Collection[str]) -> str:
    """A key of an administrator who has few enough of them."""
    with site.here.accounts.begin() as conn:
        name = f"keeper_{len(conn.execute(users.select()).all())}"
        add_person(conn, name, "admin")
        give_factor(conn, name)
    return add_key(site.here.accounts, name, scopes)


# What pages do


def functions_that_ask() -> set[str]:
    """Functions of core/ui that ask who is there, by themselves or through a function beside them."""
    found = set()
    for file in (ROOT / "core" / "ui").rglob("*.py"):
        module = ".".join(file.relative_to(ROOT / "core" / "ui").with_suffix("").parts)
        calls = {
            node.name: called(node)
            for node in ast.parse(file.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef)
        }
        asking, before = {"require_user", "writer"}, 0
        while len(asking) > before:
            before = len(asking)
            asking |= {name for name, made in calls.items() if name[0] == "_" and made & asking}
        found |= {f"{module}.{name}" for name, made in calls.items() if made & asking}
    return found


def called(function: ast.FunctionDef) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_every_function_of_a_page_that_writes_or_asks_is_declared() -> None:
    prefix = "core.ui."
    writing = {name.removeprefix(prefix) for name in writers() if name.startswith(prefix)}
    asking = {
        name for name in functions_that_ask() if not name.rpartition(".")[2].startswith("_")
    } - HELPERS
    declared = [*ACTIONS, *OWN_ACTIONS, *UNASKED]
    assert len(declared) == len(set(declared))
    assert writing | asking | {"alerts.personal.load_channels"} == set(declared)


# What others ask by.
HELPERS = {"session.require_user", "alerts.actions.writer"}


def function_of(name: str) -> Callable[..., object]:
    module, _, own = name.rpartition(".")
    found: Callable[..., object] = getattr(importlib.import_module(f"core.ui.{module}"), own)
    return found


@pytest.mark.parametrize("who", ACCOUNTS)
def test_what_a_page_does_is_refused_on_the_server_to_whom_it_is_not_for(
    site: Site, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is refused is so before anything is looked at: all that is given is None."""
    monkeypatch.setattr(session, "_browser_token", lambda: site.accounts.get(who))
    # Outside of a page a form would be drawn into whatever comes after it.
    monkeypatch.setattr(session, "draw_entrance", lambda _path: None)
    wrong = [
        name
        for name in [*ACTIONS, *OWN_ACTIONS]
        if is_refused(function_of(name)) == access.action_allowed(name, who)
    ]
    assert not wrong


def is_refused(function: Callable[..., object]) -> bool:
    """Whether it says that this account may not; what else is wrong with what it is given is not asked."""
    given = inspect.signature(function).parameters.values()
    named = {one.name: None for one in given if one.kind is one.KEYWORD_ONLY}
    try:
        function(*[None for one in given if one.kind is not one.KEYWORD_ONLY], **named)
    except AccessDenied as error:
        return str(error) in REFUSALS
    except Exception:  # noqa: BLE001 - what is given is nothing that it could use
        return False
    return False


REFUSALS = ("This account may not do that.", "What waits to be sent is an administrator's.")
