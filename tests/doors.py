"""The whole application in this process, as `app.py` assembles it, and everybody who comes to it."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import streamlit as st
from sqlalchemy import Connection, update
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient, WebSocketTestSession
from streamlit import config
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime

from core import instance as instances
from core.accounts import sessions
from core.accounts.keys import PREFIX as CSX
from core.accounts.tokens import digest
from core.instance import Instance, instance
from core.operations import Operation, Registry, every
from core.operations.every import all_operations
from core.store.tables import api_keys, second_factors, users
from core.store.tables import sessions as held
from core.ui.browser import BROWSER_COOKIE, SESSION_COOKIE
from core.ui.entrance import PROMISE
from tests.access import ACCOUNTS, KEYS
from tests.api import NOW, add_key, add_person

ROOT = Path(__file__).resolve().parents[1]
LONG_AGO = NOW - timedelta(days=400)
BROWSER, ADDRESS = "this browser", "http://testserver"
Asked = tuple[str, str, Mapping[str, Any]]
# Nobody is kept out here for asking often, as the tests do.
ROOMY = {
    "CRYPTOSATX_API_CALLS_PER_MINUTE": "1000000",
    "CRYPTOSATX_EDGE_LIMITS": ",".join(
        f"{name}=100000000" for name in ("requests", "files", "probes", "messages")
    ),
}


@dataclass
class Drawn:
    """What one run of a page sent: its elements, the parts that are run by themselves, and the page."""

    elements: list[str] = field(default_factory=list)
    text: str = ""
    parts: list[str] = field(default_factory=list)
    page: str = ""
    whole: bool = False

    def note_part(self, part: str) -> None:
        if part and part not in self.parts:
            self.parts.append(part)

    @property
    def outcome(self) -> str:
        """shown, refused, or the entrance in its place."""
        assert "exception" not in self.elements, self.text
        if "Not for this account" in self.text or "First a second factor" in self.text:
            return "refused"
        return "entrance" if PROMISE in self.text else "shown"


class Tab:
    """A browser's tab at a page, which speaks with the server as Streamlit's script does."""

    def __init__(self, socket: WebSocketTestSession) -> None:
        self._socket, self._hash = socket, ""
        # What Streamlit knows this tab by.
        self.session = ""

    def open(self, name: str = "", query: str = "", page_hash: str = "") -> Drawn:
        """Run the page at an address, or with a hash that of a link in the menu."""
        asked = self._asked(name, query)
        asked.rerun_script.page_name, asked.rerun_script.page_script_hash = name, page_hash
        return self._run(asked)

    def renew(self, part: str, name: str) -> Drawn:
        """What a part of the page gives that is run again, as its timer has it or a click in it."""
        asked = self._asked(name, "")
        asked.rerun_script.fragment_id, asked.rerun_script.page_script_hash = part, self._hash
        return self._run(asked)

    def _asked(self, name: str, query: str) -> BackMsg:
        asked = BackMsg()
        asked.rerun_script.query_string = query
        asked.rerun_script.context_info.url = f"{ADDRESS}/{name}"
        asked.rerun_script.context_info.timezone = "UTC"
        return asked

    def _run(self, asked: BackMsg) -> Drawn:
        self._socket.send_bytes(asked.SerializeToString())
        drawn = Drawn()
        while True:
            told = ForwardMsg()
            told.ParseFromString(self._socket.receive_bytes())
            kind = told.WhichOneof("type")
            if kind == "new_session":
                # A part that asks for the whole page begins a second run.
                drawn = Drawn()
                self.session = told.new_session.initialize.session_id
            elif kind == "navigation":
                drawn.page = self._hash = told.navigation.page_script_hash
            elif kind == "delta" and told.delta.HasField("new_element"):
                drawn.elements.append(told.delta.new_element.WhichOneof("type"))
                drawn.text += f"{told.delta.new_element}\n"
                drawn.note_part(told.delta.fragment_id)
            elif kind == "auto_rerun":
                drawn.note_part(told.auto_rerun.fragment_id)
            elif kind == "script_finished" and told.script_finished != _AGAIN:
                drawn.whole = told.script_finished != _PART
                return drawn


_AGAIN = ForwardMsg.FINISHED_EARLY_FOR_RERUN
_PART = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY


@dataclass
class Site:
    """The served application; ``calls`` are the operations that were run."""

    here: Instance
    app: st.App
    client: TestClient
    calls: list[str]
    accounts: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    def cookies(self, who: str) -> dict[str, str]:
        """The cookies of a browser, with the session of somebody of `tests.access.ACCOUNTS`."""
        token = self.accounts.get(who)
        mine = {} if token is None else {SESSION_COOKIE: token}
        return {BROWSER_COOKIE: BROWSER, **mine}

    @contextmanager
    def tab(self, token: str | None) -> Iterator[Tab]:
        """A new tab of a browser with that session."""
        headers = {} if token is None else {"cookie": f"{SESSION_COOKIE}={token}"}
        with self.client.websocket_connect(
            "/_stcore/stream", headers=headers, subprotocols=["streamlit"]
        ) as socket:
            yield Tab(socket)

    def ask(self, method: str, address: str, who: str = "stranger", **more: Any) -> httpx.Response:
        """One request of somebody's browser, which follows no redirect."""
        headers = {"cookie": "; ".join(f"{n}={v}" for n, v in self.cookies(who).items())}
        headers |= more.pop("headers", {})
        self.client.cookies.clear()
        return self.client.request(method, address, headers=headers, **more)

    def ask_with(self, key: str, method: str, address: str, **more: Any) -> httpx.Response:
        """One request of a program with a key; without one for the empty text."""
        return self.ask_all(key, [(method, address, more)])[0]

    def ask_all(self, key: str, requests: Collection[Asked]) -> list[httpx.Response]:
        """The answers to many of them, one after the other."""
        assert self.client.portal is not None
        return self.client.portal.call(self._ask_all, key, requests)

    async def _ask_all(self, key: str, requests: Collection[Asked]) -> list[httpx.Response]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=ADDRESS, headers=headers
        ) as program:
            return [
                await program.request(method, address, **more) for method, address, more in requests
            ]

    def new_person(self, name: str, role: str) -> str:
        """The token of the session of somebody new."""
        with self.here.accounts.begin() as conn:
            add_person(conn, name, role)
            give_factor(conn, name)
            return sessions.start(conn, id_of(conn, name), now=datetime.now(UTC))


def routes_of(routes: list[BaseRoute], base: str = "") -> Iterator[tuple[str, str, BaseRoute]]:
    """Every route with its method and address, those of what is mounted too."""
    for route in routes:
        path = base + getattr(route, "path", "")
        inside = getattr(getattr(route, "app", None), "routes", None)
        if isinstance(route, Mount) and inside is not None:
            yield from routes_of(inside, path)
        elif isinstance(route, Mount):
            yield "GET", f"{path}/{{file}}", route
        else:
            # What is no function answers every method.
            methods = getattr(route, "methods", None) or {"any"}
            named = methods if isinstance(route, Route) or methods != {"any"} else {"socket"}
            yield from ((method, path, route) for method in sorted(named))


def heard(calls: list[str]) -> Registry:
    """Every operation as it is, but that it only says that it was run."""

    def silent(one: Operation[Any]) -> Operation[Any]:
        def run(_context: Any, _asked: Any) -> dict[str, Any]:
            calls.append(one.name)
            return {}

        told = {key: value for key, value in vars(one).items() if key not in _REPLACED}
        return Operation(**told, run=run)

    registry = Registry()
    for one in all_operations():
        registry.add(silent(one))
    return registry


_REPLACED = ("run", "result", "state")


def serve(patch: pytest.MonkeyPatch, url: str, folder: Path, **settings: str) -> Iterator[Site]:
    """The application over the demo market, where guests are welcome, with everybody in it.

    Administrators need a second factor. Nothing but its start and end is left out.
    """
    patch.setattr(instances, "_engines", {})
    for name, value in {
        "DATABASE_URL": url,
        "CRYPTOSATX_DATA": str(folder),
        "CRYPTOSATX_MARKET": "demo",
        "CRYPTOSATX_WORKER": "off",
        "CRYPTOSATX_ENV": "development",
        "CRYPTOSATX_SECOND_FACTOR": "required",
        **ROOMY,
        **settings,
    }.items():
        patch.setenv(name, value)
    st.cache_data.clear()
    calls: list[str] = []
    registry = heard(calls)
    patch.setattr(every, "all_operations", lambda: registry)
    patch.setattr(Runtime, "_instance", None)
    # An application finds its pages beside the script that the last one has set.
    patch.setattr(config, "_main_script_path", str(ROOT / "app.py"))
    app = _assembled()
    patch.setattr(app, "_user_lifespan", _nothing)
    here = instance()
    with TestClient(app, follow_redirects=False) as client, cheap_collection():
        site = Site(here, app, client, calls)
        with here.accounts.begin() as conn:
            site.accounts = _open_sessions(conn)
        site.keys = _make_keys(here, registry.scopes, site.accounts["admin"])
        yield site
    st.cache_data.clear()
    for engine in instances._engines.values():
        engine.dispose()


def _assembled() -> st.App:
    """`app.py`, run anew."""
    spec = importlib.util.spec_from_file_location("assembled", ROOT / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: st.App = module.app
    return found


@asynccontextmanager
async def _nothing(_app: st.App) -> AsyncIterator[None]:
    """In place of what opens databases and keeps a worker."""
    yield


@contextmanager
def cheap_collection() -> Iterator[None]:
    """Streamlit collects garbage after each run, through everything that tests have loaded."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _open_sessions(conn: Connection) -> dict[str, str]:
    """The token of each of `tests.access.ACCOUNTS` that has or had one."""
    found = {"guest": sessions.start(conn, None, now=NOW)}
    for who, account in ACCOUNTS.items():
        if account.made_as is None:
            continue
        name = who.replace(" ", "_")
        add_person(conn, name, account.made_as)
        if account.factor:
            give_factor(conn, name)
        found[who] = sessions.start(conn, id_of(conn, name), now=NOW)
        spoil: Callable[[Connection, str], None] = _SPOILT.get(who, lambda _conn, _token: None)
        spoil(conn, found[who])
    return found


def _disable(conn: Connection, token: str) -> None:
    """Only the person: as if their session had been forgotten."""
    mine = held.select().where(held.c.token_hash == digest(token))
    owner = conn.execute(mine).one().user_id
    conn.execute(update(users).where(users.c.id == owner).values(disabled=True))


def _demote(conn: Connection, _token: str) -> None:
    conn.execute(update(users).where(users.c.username == "was_administrator").values(role="trader"))


def _set(**values: Any) -> Callable[[Connection, str], None]:
    def change(conn: Connection, token: str) -> None:
        conn.execute(update(held).where(held.c.token_hash == digest(token)).values(values))

    return change


_SPOILT: Mapping[str, Callable[[Connection, str], None]] = {
    "was administrator": _demote,
    "disabled": _disable,
    "signed out": sessions.end,
    "idle too long": _set(seen_at=LONG_AGO),
    "session too old": _set(created_at=LONG_AGO, expires_at=NOW - timedelta(days=1)),
}


def _make_keys(here: Instance, scopes: tuple[str, ...], session: str) -> dict[str, str]:
    """The text of each of `tests.access.KEYS`."""
    found = {"none": "", "unknown": f"{CSX}{'x' * 43}", "a session's token": session}
    for who, key in KEYS.items():
        if key.owner is None:
            continue
        name = f"owner_{who.replace(' ', '_')}"
        with here.accounts.begin() as conn:
            add_person(conn, name, key.owner)
            if key.factor:
                give_factor(conn, name)
        found[who] = add_key(here.accounts, name, scopes)
    with here.accounts.begin() as conn:
        for who, values in (
            ("expired", {"expires_at": NOW - timedelta(seconds=1)}),
            ("revoked", {"revoked_at": NOW}),
        ):
            own = api_keys.c.key_hash == digest(found[who])
            conn.execute(update(api_keys).where(own).values(values))
        for name, values in (
            ("owner_of_a_disabled_owner", {"disabled": True}),
            ("owner_of_a_demoted_owner", {"role": "trader"}),
        ):
            conn.execute(update(users).where(users.c.username == name).values(values))
    return found


def id_of(conn: Connection, name: str) -> int:
    return int(conn.execute(users.select().where(users.c.username == name)).one().id)


def give_factor(conn: Connection, name: str) -> None:
    """A second factor that counts, with which nobody ever signs in."""
    row = {"user_id": id_of(conn, name), "secret": b"-", "made_at": NOW, "confirmed_at": NOW}
    conn.execute(second_factors.insert().values(row))
