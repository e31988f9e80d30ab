"""The dashboard's frame: routes, headers, the guard, the way in. Pages run without a browser."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp
from streamlit import file_util
from streamlit.testing.v1 import AppTest
from streamlit.web.server.app_discovery import discover_asgi_app

from core import instance as instances
from core.accounts import Person, passwords, people, sessions, setup, tickets
from core.errors import AccessDenied
from core.instance import Instance, instance
from core.market.source_state import SourceState
from core.market.stream.batch import StreamState
from core.store import tables
from core.store.health import save_health
from core.store.leases import take_lease
from core.store.liquidations import save_stream
from core.store.rounds import end_round, start_round
from core.ui import browser
from core.ui import session as guard
from core.ui.browser import BROWSER_COOKIE, SESSION_COOKIE
from core.ui.lifespan import announcement
from core.ui.navigation import ENTRIES, path_to, safe_path
from core.ui.palette import DARK, LIGHT, theme_tokens
from core.ui.routes import ROUTES
from core.ui.security import Protection, script_hashes

ROOT = Path(__file__).resolve().parents[1]
ROUTER = ROOT / "pages" / "router.py"
PASSWORD = "four unrelated words"
PAGES = [entry for entry in ENTRIES if entry.role is not None]


class Client:
    """A browser without pages: it keeps its cookies and follows no redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self.transport = httpx.ASGITransport(app)
        self.cookies = httpx.Cookies()
        self.site = "http://dashboard"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._send("GET", path, headers))

    def post(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._send("POST", path, headers))

    async def _send(self, *request: Any) -> httpx.Response:
        method, path, headers = request
        async with httpx.AsyncClient(
            transport=self.transport, base_url=self.site, cookies=self.cookies
        ) as client:
            answer = await client.request(method, path, headers=headers)
            self.cookies = client.cookies
        return answer


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    """The demo market in development, over an empty database; nobody has an account."""
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setenv("DATABASE_URL", new_sqlite())
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    monkeypatch.setenv("CRYPTOSATX_WORKER", "off")
    monkeypatch.setenv("CRYPTOSATX_ENV", "development")
    yield instance()
    for engine in instances._engines.values():
        engine.dispose()


@pytest.fixture
def client(here: Instance) -> Client:
    return Client(Starlette(routes=ROUTES, middleware=[Middleware(Protection)]))


def add(here: Instance, username: str = "ada", role: str = "trader") -> Person:
    with here.accounts.begin() as conn:
        return people.create_user(
            conn,
            username=username,
            name=username.title(),
            role=role,
            password=PASSWORD,
            now=datetime.now(UTC),
        )


def open_session(here: Instance, user_id: int | None, now: datetime | None = None) -> str:
    with here.accounts.begin() as conn:
        return sessions.start(conn, user_id, now=now or datetime.now(UTC))


def make_ticket(here: Instance, user_id: int | None = None, next_path: str = "/signals") -> str:
    with here.accounts.begin() as conn:
        return tickets.issue(
            conn, user_id=user_id, browser="mine", next_path=next_path, now=datetime.now(UTC)
        )


def count_sessions(here: Instance) -> int:
    with here.accounts.connect() as conn:
        return len(conn.execute(select(tables.sessions)).all())


# The entry


def test_streamlit_run_finds_the_app_and_its_script_lies_among_the_pages():
    found = discover_asgi_app(ROOT / "app.py")
    assert found.import_string == "app:app"
    assert '"pages/router.py"' in (ROOT / "app.py").read_text()


def test_the_theme_has_the_colours_of_the_palette():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    for mode, colours in (("light", LIGHT), ("dark", DARK)):
        assert {key: theme[mode].get(key) for key in theme_tokens(colours)} == theme_tokens(colours)


def test_nothing_is_reported_to_others_and_no_visitor_sees_the_inside_of_an_error():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"] == {
        "toolbarMode": "minimal",
        "showErrorDetails": "none",
        "showErrorLinks": False,
    }
    assert config["server"]["enableXsrfProtection"]
    assert "http" not in str(config["theme"])


def test_the_terminal_shows_a_token_only_while_nobody_has_an_account(here):
    assert "One-time token:" in announcement(here, "http://localhost:8501")
    add(here)
    text = announcement(here, "http://localhost:8501")
    assert "http://localhost:8501" in text
    assert "Simulated market" in text
    assert "token" not in text


# Headers


def test_every_answer_forbids_foreign_scripts_and_frames(client):
    for path in ("/signals", "/health", "/session/start", "/nowhere"):
        headers = client.get(path).headers
        scripts = re.search(r"script-src ([^;]*);", headers["content-security-policy"])[1]
        assert scripts.startswith("'self' blob: 'sha256-")
        assert "unsafe" not in scripts
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "strict-transport-security" not in headers


def test_the_one_inline_script_of_streamlit_is_allowed_by_its_hash(client):
    html = Path(file_util.get_static_dir(), "index.html").read_text(encoding="utf-8")
    (allowed,) = script_hashes(html)
    assert allowed in client.get("/signals").headers["content-security-policy"]
    assert len(re.findall(r"<script(?![^>]*src=)", html)) == 1


def test_pages_have_no_webassembly_which_the_policy_forbids_and_browsers_would_report(client):
    html = client.get("/signals").text
    assert "<head><script>delete window.WebAssembly</script>" in html
    assert html.count("<script>") == 2
    for allowed in script_hashes(html):
        assert allowed in client.get("/nowhere").headers["content-security-policy"]


def test_the_interface_of_streamlit_for_programs_is_not_there(client):
    for path in ("/_stcore/agent", "/_stcore/agent/mcp", "/_stcore/agent/openapi.json"):
        assert client.get(path).status_code == 404


def test_what_streamlit_measures_is_not_for_strangers(client):
    for path in ("/_stcore/metrics", "/_stcore/metrics/", "/signals/_stcore/metrics"):
        assert client.get(path).status_code == 404
        assert client.get(path).text == "Not found"


@pytest.mark.parametrize("path", ["/pages/signals", "/signals/x", "/a/b/c"])
def test_a_page_in_a_folder_leads_home_instead_of_staying_white(client, path):
    answer = client.get(path, headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_browser_gets_its_mark_with_the_first_page_and_keeps_it(client):
    page = {"accept": "text/html,*/*"}
    assert "set-cookie" not in client.get("/health").headers
    mark = client.get("/signals", headers=page).headers["set-cookie"]
    assert mark.startswith(BROWSER_COOKIE)
    assert "HttpOnly" in mark
    assert "set-cookie" not in client.get("/signals", headers=page).headers


def test_over_https_cookies_are_secure_and_https_is_kept(here, client):
    client.site = "https://dashboard"
    client.cookies.set(BROWSER_COOKIE, "mine")
    answer = client.get(f"/session/start?ticket={make_ticket(here)}")
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


# The session's routes


def test_a_ticket_becomes_a_cookie_that_no_script_can_read(here, client):
    ada = add(here)
    client.cookies.set(BROWSER_COOKIE, "mine")
    ticket = make_ticket(here, ada.id, "/symbol?symbol=ETHUSDT")
    answer = client.get(f"/session/start?ticket={ticket}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/symbol?symbol=ETHUSDT"
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(
        answer.headers["set-cookie"].split("; ")
    )
    with here.accounts.connect() as conn:
        token = answer.cookies[SESSION_COOKIE]
        assert sessions.read(conn, token, now=datetime.now(UTC)).person == ada


def test_a_new_sign_in_ends_the_session_before_it(here, client):
    ada = add(here)
    client.cookies.set(BROWSER_COOKIE, "mine")
    client.cookies.set(SESSION_COOKIE, open_session(here, ada.id))
    client.get(f"/session/start?ticket={make_ticket(here, ada.id)}")
    assert count_sessions(here) == 1


def test_the_root_is_the_first_page_with_its_query(client):
    assert client.get("/").headers["location"] == "/signals"
    assert client.get("/?mode=a&mode=b%20c").headers["location"] == "/signals?mode=a&mode=b%20c"


@pytest.mark.parametrize("browser", ["theirs", ""])
def test_another_browser_gets_nothing_for_the_ticket(here, client, browser):
    client.cookies.set(BROWSER_COOKIE, browser)
    answer = client.get(f"/session/start?ticket={make_ticket(here, add(here).id)}")
    assert answer.headers["location"] == "/sign_in?late=1"
    assert SESSION_COOKIE not in answer.cookies
    assert count_sessions(here) == 0


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://elsewhere.example/signals",
        "//elsewhere.example/signals",
        "/\\elsewhere.example",
        "\\\\elsewhere.example",
        "/signals/../admin",
        "/unknown",
        "javascript:alert(1)",
        "/signals\r\nSet-Cookie: a=b",
        "signals",
        "//[",
        "",
    ],
)
def test_a_sign_in_ends_only_on_a_page_of_this_site(here, client, elsewhere):
    client.cookies.set(BROWSER_COOKIE, "mine")
    answer = client.get(f"/session/start?ticket={make_ticket(here, next_path=elsewhere)}")
    assert answer.headers["location"] == "/"


def test_the_address_of_every_page_survives_the_sign_in():
    for entry in PAGES:
        path = path_to(entry.path, [("symbol", "ETHUSDT"), ("mode", "a b&c")])
        assert safe_path(path) == path == f"/{entry.path}?symbol=ETHUSDT&mode=a+b%26c"


def test_a_query_too_long_to_carry_is_left_behind():
    assert path_to("signals", [("q", "x" * 600)]) == "/signals"


def test_a_guest_s_ticket_is_refused_in_production(here, client, monkeypatch):
    client.cookies.set(BROWSER_COOKIE, "mine")
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    answer = client.get(f"/session/start?ticket={make_ticket(here)}")
    assert answer.headers["location"] == "/sign_in?late=1"


def test_signing_out_ends_the_session_and_removes_the_cookie(here, client):
    client.cookies.set(SESSION_COOKIE, open_session(here, add(here).id))
    answer = client.post("/session/end", headers={"origin": "http://dashboard"})
    assert answer.status_code == 303
    assert f'{SESSION_COOKIE}=""' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert count_sessions(here) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://dashboard"},
        {},
    ],
)
def test_another_site_cannot_sign_anybody_out(here, client, headers):
    client.cookies.set(SESSION_COOKIE, open_session(here, add(here).id))
    assert client.post("/session/end", headers=headers).status_code == 403
    assert client.get("/session/end").status_code == 405
    assert count_sessions(here) == 1


# Health


def test_health_tells_each_dependency_s_state(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "database": {"state": "ok", "kind": "sqlite"},
        "market": {"state": "empty", "kind": "demo"},
        "replay": {"state": "off"},
        "backups": {"state": "off"},
    }


def test_health_fails_when_the_database_does_not_answer(here, client):
    tables.metadata.drop_all(here.engine)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["database"]["state"] == "unreachable"
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert ready.json()["people"] == {"state": "unreachable"}
    assert client.get("/health/live").status_code == 200


def test_a_server_is_not_ready_where_its_database_cannot_even_be_opened(client, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:////dev/null/no.sqlite")
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert client.get("/health/live").text == "ok"


def test_a_new_server_is_ready_before_there_is_any_data(client):
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.headers["cache-control"]) == (200, "no-store")
    body = ready.json()
    assert body["status"] == "ready"
    assert body["market"] == {"state": "empty", "kind": "demo", "newest_bar_age_seconds": None}
    assert body["deliveries"]["states"] == {"waiting": 0, "sent": 0, "dead": 0, "dropped": 0}
    assert set(body["pools"]) == {"market", "people"}


def test_metrics_are_shown_to_this_machine_in_development_only(client, monkeypatch):
    assert "cryptosatx_requests" in client.get("/metrics").text
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    assert client.get("/metrics").status_code == 404


def test_health_fails_when_the_replay_has_failed(here, client):
    now = datetime.now(UTC)
    with here.engine.begin() as conn:
        conn.execute(
            tables.replays.insert().values(
                key="demo",
                source="demo",
                profile_name="balanced",
                profile_version="x",
                state="failed",
                rows_done=1,
                rows_total=9,
                started_at=now,
                updated_at=now,
            )
        )
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["replay"] == {"state": "failed", "rows_done": 1, "rows_total": 9}


def test_health_of_the_live_market_tells_sources_worker_and_streams(here, client, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"{here.settings.database_url}.live")
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    live, now = instance(), datetime.now(UTC)
    working = SourceState("binance", requests=1, last_success_at=now)
    failing = SourceState("okx", requests=1, failures=1, troubles={"/x": "okx is not working."})
    bar = now.replace(minute=0, second=0, microsecond=0)
    with live.engine.begin() as conn:
        take_lease(conn, "worker a", "a", now, timedelta(minutes=1))
        take_lease(conn, "stream okx", "a", now, timedelta(minutes=1))
        save_health(conn, [working, failing], "a", now)
        save_stream(conn, StreamState("okx", "live", heard_at=now), now)
        start_round(conn, bar, "a", bar)
        end_round(conn, bar, now)
    answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "ok")
    assert body["sources"] == {"state": "degraded", "healthy": 1, "failing": ["okx"]}
    assert body["worker"] == {
        "state": "alive",
        "alive": 1,
        "last_round_of": bar.isoformat(),
        "last_round_finished_at": now.isoformat(),
    }
    venues = {"binance": "not begun", "bybit": "not begun", "okx": "live"}
    assert body["streams"] == {"state": "degraded", "venues": venues}
    ready = client.get("/health/ready").json()
    assert ready["status"] == "ready"
    assert 0 <= ready["sources"]["success_age_seconds"]["binance"] < 60
    assert 0 <= ready["streams"]["lag_seconds"]["okx"] < 60
    assert ready["worker"]["newest_round_age_seconds"] >= 0
    assert ready["worker"]["alive"] == 1


def test_health_of_a_live_market_without_a_worker_is_no_failure(here, client, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"{here.settings.database_url}.live")
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["worker"]["state"] == "none"
    assert answer.json()["sources"] == {"state": "unknown", "healthy": 0, "failing": []}


# The guard


def visit(
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    script: Callable[[], None],
    page: str = "signals",
) -> AppTest:
    monkeypatch.setattr(guard, "_browser_token", lambda: token)
    at = AppTest.from_function(script)
    at.context = {"url": f"http://dashboard/{page}"}
    return at.run()


def analyst_page() -> None:
    import streamlit as st

    from core.ui.session import require_user

    st.write(f"Secret of {require_user('analyst').name}")


def writing_page() -> None:
    import streamlit as st

    from core.ui.session import require_user

    st.write(f"Changed by {require_user('trader', write=True).name}")


def shown(at: AppTest) -> str:
    assert not at.exception
    elements = [*at.markdown, *at.subheader, *at.title, *at.caption, *at.error]
    return "\n".join(element.value for element in elements)


def test_who_has_the_role_sees_the_page(here, monkeypatch):
    for role in ("analyst", "admin"):
        token = open_session(here, add(here, f"user-{role}", role).id)
        assert f"Secret of User-{role.title()}" in shown(visit(monkeypatch, token, analyst_page))


@pytest.mark.parametrize("token", [None, "", "guess"])
def test_a_stranger_sees_the_sign_in_and_nothing_else(here, monkeypatch, token):
    add(here)
    at = visit(monkeypatch, token, analyst_page)
    assert "Secret" not in shown(at)
    assert [field.label for field in at.text_input] == ["Username", "Password"]


def test_who_lacks_the_role_reads_why_and_nothing_else(here, monkeypatch):
    token = open_session(here, add(here, role="trader").id)
    at = visit(monkeypatch, token, analyst_page)
    assert "needs the role analyst, and ada is signed in as trader" in shown(at)
    assert "Secret" not in shown(at)
    assert not at.text_input


def test_nobody_gets_past_a_refusal_where_no_page_runs_either(here, monkeypatch):
    monkeypatch.setattr(guard, "draw_entrance", lambda path: None)
    for token in (None, open_session(here, add(here, role="trader").id)):
        monkeypatch.setattr(guard, "_browser_token", lambda token=token: token)
        with pytest.raises(AccessDenied):
            guard.require_user("analyst")


def test_a_session_that_ends_counts_at_the_next_run(here, monkeypatch):
    token = open_session(here, add(here, role="analyst").id)
    at = visit(monkeypatch, token, analyst_page)
    with here.accounts.begin() as conn:
        sessions.end(conn, token)
    assert "Secret" not in shown(at.run())


def test_a_person_who_is_disabled_or_demoted_is_out_at_the_next_run(here, monkeypatch):
    for change in (
        lambda conn, now: people.set_role(conn, "ada", "trader", now=now),
        lambda conn, now: people.disable(conn, "ada", now=now),
    ):
        with here.accounts.begin() as conn:
            conn.execute(tables.users.delete())
        token = open_session(here, add(here, role="analyst").id)
        at = visit(monkeypatch, token, analyst_page)
        assert "Secret" in shown(at)
        with here.accounts.begin() as conn:
            change(conn, datetime.now(UTC))
        assert "Secret" not in shown(at.run())


def test_a_guest_reads_on_the_demo_in_development(here, monkeypatch):
    at = visit(monkeypatch, open_session(here, None), analyst_page)
    assert "Secret of Guest" in shown(at)


def test_a_guest_writes_nothing(here, monkeypatch):
    at = visit(monkeypatch, open_session(here, None), writing_page)
    assert "A guest looks around and changes nothing" in shown(at)
    assert "Changed" not in shown(at)


def test_a_guest_s_session_is_worth_nothing_in_production(here, monkeypatch):
    token = open_session(here, None)
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    assert "Secret" not in shown(visit(monkeypatch, token, analyst_page))


def test_a_guest_s_session_is_worth_nothing_on_a_real_market(
    here, monkeypatch, tmp_path, new_sqlite
):
    monkeypatch.setenv("CRYPTOSATX_MARKET", f"recording:{tmp_path}")
    monkeypatch.setenv("DATABASE_URL", new_sqlite())
    token = open_session(instance(), None)
    at = visit(monkeypatch, token, analyst_page)
    assert "Secret" not in shown(at)
    assert "Look around" not in [button.label for button in at.button]


def test_reading_a_page_marks_the_session_as_used_but_not_every_time(here, monkeypatch):
    ada, long_ago = add(here, role="analyst"), datetime.now(UTC) - timedelta(hours=3)
    token = open_session(here, ada.id, long_ago)

    def seen_at() -> datetime:
        with here.accounts.connect() as conn:
            return conn.execute(select(tables.sessions.c.seen_at)).scalar_one()

    visit(monkeypatch, token, analyst_page)
    first = seen_at()
    assert first - long_ago > timedelta(hours=2)
    visit(monkeypatch, token, analyst_page)
    assert seen_at() == first


# A page that breaks


def broken_page() -> None:
    from sqlalchemy.exc import OperationalError

    from core.ui.failures import show_failure

    show_failure(OperationalError("SELECT secret", {}, Exception("inside")))


def test_a_page_that_breaks_says_what_to_do_and_nothing_of_the_inside(here, monkeypatch, caplog):
    at = visit(monkeypatch, None, broken_page)
    assert "The database does not answer as it should." in shown(at)
    assert "secret" not in shown(at)
    assert "SELECT secret" in caplog.text


# The way in, through the router


def open_router(monkeypatch: pytest.MonkeyPatch, token: str | None, entry: str = "") -> AppTest:
    monkeypatch.setattr(guard, "_browser_token", lambda: token)
    monkeypatch.setattr(browser, "cookie", lambda _: "mine")
    monkeypatch.setattr(browser, "address", lambda: "192.0.2.1")
    at = AppTest.from_file(str(ROUTER), default_timeout=30)
    at.context = {"url": f"http://dashboard/{entry.removesuffix('.py')}"}
    at.run()
    return at.switch_page(entry).run() if entry else at


def button(at: AppTest, label: str):
    return next(each for each in at.button if each.label == label)


def field(at: AppTest, label: str):
    return next(each for each in at.text_input if each.label == label)


def issued(here: Instance) -> list[tuple[int | None, str]]:
    with here.accounts.connect() as conn:
        rows = conn.execute(select(tables.tickets.c.user_id, tables.tickets.c.next_path))
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("entry", [entry.file for entry in PAGES])
def test_a_stranger_sees_the_sign_in_on_every_page(here, monkeypatch, entry):
    add(here)
    at = open_router(monkeypatch, None, entry)
    assert [each.label for each in at.text_input] == ["Username", "Password"]
    assert not at.sidebar.children


def test_the_right_password_gives_a_ticket_to_the_page_that_was_asked_for(here, monkeypatch):
    ada = add(here)
    at = open_router(monkeypatch, None, "symbol.py")
    at.query_params["symbol"] = "ETHUSDT"
    field(at, "Username").set_value("Ada")
    field(at, "Password").set_value(PASSWORD)
    button(at, "Sign in").click().run()
    assert not at.exception
    assert issued(here) == [(ada.id, "/symbol?symbol=ETHUSDT")]


def test_a_wrong_password_gives_a_sentence(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None)
    field(at, "Username").set_value("ada")
    field(at, "Password").set_value("not the password")
    button(at, "Sign in").click().run()
    assert [each.value for each in at.error] == ["The username or the password is not right."]
    assert issued(here) == []


def test_a_sign_in_that_took_too_long_is_explained(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None, "sign_in.py")
    assert not at.info
    at.query_params["late"] = "1"
    assert "took too long" in at.run().info[0].value


@pytest.mark.parametrize("entry", ["sign_in.py", "setup.py"])
def test_who_is_signed_in_already_is_not_asked_again(here, monkeypatch, entry):
    token = open_session(here, add(here).id)
    at = open_router(monkeypatch, token, entry)
    assert not at.exception
    assert "Password" not in [each.label for each in at.text_input]


def test_a_browser_without_cookies_is_told_so(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None)
    monkeypatch.setattr(browser, "cookie", lambda _: None)
    field(at, "Username").set_value("ada")
    field(at, "Password").set_value(PASSWORD)
    button(at, "Sign in").click().run()
    assert "keeps no cookies" in at.error[0].value


def test_looking_around_gives_a_guest_s_ticket(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None, "accuracy.py")
    button(at, "Look around").click().run()
    assert issued(here) == [(None, "/accuracy")]


def test_production_does_not_offer_to_look_around(here, monkeypatch):
    add(here)
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    assert [each.label for each in open_router(monkeypatch, None).button] == ["Sign in"]


def fill_setup(at: AppTest, token: str, again: str = PASSWORD) -> AppTest:
    for label, text in {
        "One-time token": token,
        "Username": "root",
        "Your name": "Root",
        "Password": PASSWORD,
        "Password again": again,
    }.items():
        field(at, label).set_value(text)
    return button(at, "Create the administrator").click().run()


def test_the_first_start_asks_for_the_first_administrator_and_signs_them_in(here, monkeypatch):
    with here.accounts.begin() as conn:
        token = setup.new_setup_token(conn)
    at = open_router(monkeypatch, None, "accuracy.py")
    assert "One-time token" in [each.label for each in at.text_input]
    assert "not the token" in fill_setup(at, "guess").error[0].value
    assert "passwords differ" in fill_setup(at, token, again="another").error[0].value
    assert not fill_setup(at, token).error
    ((user_id, next_path),) = issued(here)
    assert user_id is not None
    assert next_path == "/accuracy"


def test_the_account_page_changes_the_password_and_opens_a_new_session(here, monkeypatch):
    ada = add(here)
    at = open_router(monkeypatch, open_session(here, ada.id), "account.py")
    field(at, "Present password").set_value(PASSWORD)
    field(at, "New password").set_value("another good one")
    field(at, "New password again").set_value("another good one")
    button(at, "Change the password").click().run()
    assert not at.exception
    assert not at.error
    assert issued(here) == [(ada.id, "/account")]
    assert count_sessions(here) == 0


def test_the_account_page_asks_for_the_present_password(here, monkeypatch):
    at = open_router(monkeypatch, open_session(here, add(here).id), "account.py")
    field(at, "Present password").set_value("not the password")
    field(at, "New password").set_value("another good one")
    field(at, "New password again").set_value("another good one")
    button(at, "Change the password").click().run()
    assert "present password was not accepted" in at.error[0].value
    assert count_sessions(here) == 1


def test_signing_out_ends_the_session_in_the_database(here, monkeypatch):
    ada = add(here)
    at = open_router(monkeypatch, open_session(here, ada.id), "account.py")
    button(at, "Sign out").click().run()
    assert not at.exception
    assert count_sessions(here) == 0
