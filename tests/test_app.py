"""The dashboard's frame: what is served, with which headers, and the routes of a session."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit import file_util
from streamlit.web.server.app_discovery import discover_asgi_app

from core.accounts import sessions
from core.accounts.setup import create_first_admin
from core.settings import load_settings
from core.store import audit
from core.ui.browser import BROWSER_COOKIE, SESSION_COOKIE
from core.ui.lifespan import announcement, site_address
from core.ui.navigation import ENTRIES, path_to, safe_path
from core.ui.palette import DARK, LIGHT, theme_tokens
from core.ui.security import script_hashes
from tests.dashboard import (  # noqa: F401 - client and here are fixtures
    PASSWORD,
    ROOT,
    add,
    client,
    count_sessions,
    here,
    make_ticket,
    open_session,
)


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


def test_the_terminal_names_the_address_that_is_set_and_each_server_s_link_is_good(here):
    assert site_address(load_settings({})).startswith("http://localhost:")
    address = site_address(load_settings({"CRYPTOSATX_URL": "https://signals.example/"}))
    assert address == "https://signals.example"
    links = [announcement(here, address) for _ in range(2)]
    tokens = [re.search(r"https://signals\.example/setup\?token=(\S+)", one)[1] for one in links]
    assert len(set(tokens)) == 2
    with here.accounts.begin() as conn:
        made = create_first_admin(
            conn, tokens[0], username="root", name="Root", password=PASSWORD, now=datetime.now(UTC)
        )
    assert made.role == "admin"
    assert "token" not in announcement(here, address)


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
    with here.accounts.connect() as conn:
        told = [one.action for one in audit.list_changes(conn, by="ada")]
    assert told == ["sign in", "sign out"]


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
    for entry in (one for one in ENTRIES if one.role is not None):
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
