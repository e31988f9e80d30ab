"""The dashboard in a real browser, against servers started for the purpose."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from production import speaking_https
from server import Server, running

from core.accounts import people
from core.accounts.home import open_accounts
from core.settings import load_settings

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "four unrelated words"
SESSION_COOKIE = "cryptosatx_session"
WAIT_MS = 40_000
PAGES = (
    *("/signals", "/symbol", "/accuracy", "/backtest", "/alerts", "/rules", "/system", "/account"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        reason = f"there is no {CHROMIUM}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that was never here; it fails the test when the page's policy is broken."""
    # Servers in production speak HTTPS with a certificate made for the test.
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, ignore_https_errors=True
    )
    context.set_default_timeout(WAIT_MS)
    broken: list[str] = []
    context.on(
        "console",
        lambda message: "Content Security Policy" in message.text and broken.append(message.text),
    )
    yield context
    context.close()
    assert not broken


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the demo, without data, whose people are ada (admin) and tom (trader)."""
    data = tmp_path_factory.mktemp("dashboard")
    add_people(data, ada="admin", tom="trader")
    with running(data) as server:
        yield server


def add_people(data: Path, **roles: str) -> None:
    engine = open_accounts(load_settings({"CRYPTOSATX_DATA": str(data)}))
    with engine.begin() as conn:
        for username, role in roles.items():
            people.create_user(
                conn,
                username=username,
                name=username.title(),
                role=role,
                password=PASSWORD,
                now=datetime.now(UTC),
            )
    engine.dispose()


def sign_in(page: Page, username: str = "ada", password: str = PASSWORD) -> None:
    page.get_by_role("textbox", name="Username").fill(username)
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def expect_signed_in(page: Page, name: str = "Ada") -> None:
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_text(name, exact=True)).to_be_visible()


def expect_only_the_sign_in(page: Page) -> None:
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("textbox")).to_have_count(2)
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("page not found")).to_have_count(0)


def reload(page: Page) -> None:
    page.reload()
    page.wait_for_load_state("domcontentloaded")


@pytest.mark.parametrize("path", ["/", *PAGES])
def test_a_stranger_on_a_fresh_server_signs_in_and_lands_where_they_wanted(server, visitor, path):
    server.stop()
    server.start()
    page = visitor.new_page()
    page.goto(f"{server.url}{path}?symbol=ETHUSDT&mode=aggressive")
    expect_only_the_sign_in(page)
    sign_in(page)
    expect_signed_in(page)
    landed = "/signals" if path == "/" else path
    expect(page).to_have_url(re.compile(rf"{landed}\?(.*&)?symbol=ETHUSDT"))
    expect(page).to_have_url(re.compile("mode=aggressive"))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_session_survives_reload_second_tab_and_restart_and_ends_on_sign_out(server, visitor):
    page = visitor.new_page()
    page.goto(f"{server.url}/account")
    sign_in(page)
    expect_signed_in(page)
    reload(page)
    expect_signed_in(page)

    second = visitor.new_page()
    second.goto(f"{server.url}/account")
    expect_signed_in(second)

    server.stop()
    server.start()
    reload(page)
    expect_signed_in(page)
    reload(second)
    expect_signed_in(second)

    (cookie,) = [each for each in visitor.cookies() if each["name"] == SESSION_COOKIE]
    assert cookie["httpOnly"]
    assert SESSION_COOKIE not in page.evaluate("document.cookie")

    page.get_by_role("button", name="Sign out", exact=True).click()
    expect_only_the_sign_in(page)
    assert SESSION_COOKIE not in {each["name"] for each in visitor.cookies()}
    # Nobody touches the other tab: what renews itself in it asks whose it is.
    expect_only_the_sign_in(second)

    visitor.add_cookies([cookie])
    reload(second)
    expect_only_the_sign_in(second)


def test_the_mark_leads_home_from_any_page(server, visitor):
    page = visitor.new_page()
    page.goto(f"{server.url}/account?mode=aggressive")
    sign_in(page)
    expect_signed_in(page)
    page.get_by_test_id("stSidebarLogo").or_(page.get_by_test_id("stLogo")).first.click()
    expect(page).to_have_url(re.compile("/signals"))
    expect(page.get_by_text("could not be drawn")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_link_on_another_site_finds_the_session(server, visitor):
    page = visitor.new_page()
    page.goto(f"{server.url}/account")
    sign_in(page)
    expect_signed_in(page)
    page.goto(f"{server.url.replace('localhost', '127.0.0.1')}/health")
    page.evaluate(f"window.location.href = '{server.url}/account'")
    expect_signed_in(page)


def test_a_wrong_password_gets_a_sentence_and_no_session(server, visitor):
    page = visitor.new_page()
    page.goto(server.url)
    sign_in(page, password="not the password")
    expect(page.get_by_text("The username or the password is not right.")).to_be_visible()
    assert SESSION_COOKIE not in {each["name"] for each in visitor.cookies()}


def test_a_trader_is_not_offered_the_analyst_s_page_and_is_refused_at_its_address(server, visitor):
    page = visitor.new_page()
    page.goto(f"{server.url}/accuracy")
    sign_in(page, "tom")
    expect_signed_in(page, "Tom")
    expect(page.get_by_text("This needs the role analyst")).to_be_visible()
    menu = page.get_by_test_id("stSidebarNav")
    names = ("Signals", "Symbol", "Liquidations", "Alerts")
    expect(menu.get_by_role("link")).to_have_text([re.compile(f"{name}$") for name in names])


def test_a_guest_looks_around_and_leaves(server, visitor):
    page = visitor.new_page()
    page.goto(f"{server.url}/accuracy")
    page.get_by_role("button", name="Look around").click()
    expect(page.get_by_text("looking around")).to_be_visible()
    expect(page).to_have_url(re.compile("/accuracy"))
    page.get_by_test_id("stSidebar").get_by_role("button", name="Sign in").click()
    expect_only_the_sign_in(page)


def test_a_new_password_keeps_this_browser_signed_in_and_no_other(server, chromium, visitor):
    add_people(server.data, eve="trader")
    page, elsewhere = visitor.new_page(), chromium.new_context()
    other = elsewhere.new_page()
    for each in (page, other):
        each.goto(f"{server.url}/account")
        sign_in(each, "eve")
        expect_signed_in(each, "Eve")
    page.get_by_role("textbox", name="Present password").fill(PASSWORD)
    page.get_by_role("textbox", name="New password", exact=True).fill("another good one")
    page.get_by_role("textbox", name="New password again").fill("another good one")
    with page.expect_navigation():
        page.get_by_role("button", name="Change the password").click()
    expect_signed_in(page, "Eve")
    reload(other)
    expect_only_the_sign_in(other)
    elsewhere.close()


def test_the_first_start_asks_for_the_first_administrator(tmp_path, visitor):
    with running(tmp_path) as server:
        page = visitor.new_page()
        page.goto(f"{server.url}/accuracy?horizon=4h")
        expect(page.get_by_text("Set up the first administrator")).to_be_visible()
        for label, text in {
            "One-time token": server.setup_token,
            "Username": "root",
            "Your name": "Root",
            "Password": PASSWORD,
            "Password again": PASSWORD,
        }.items():
            page.get_by_role("textbox", name=label, exact=True).fill(text)
        page.get_by_role("button", name="Create the administrator").click()
        expect_signed_in(page, "Root")
        expect(page).to_have_url(re.compile(r"/accuracy\?(.*&)?horizon=4h"))
        tokens = server.terminal.count("One-time token:")
        server.stop()
        server.start()
        assert server.terminal.count("One-time token:") == tokens == 1


def test_a_database_that_breaks_shows_a_sentence_instead_of_a_page(tmp_path, visitor):
    add_people(tmp_path, ada="admin")
    with running(tmp_path) as server:
        page = visitor.new_page()
        page.goto(f"{server.url}/account")
        sign_in(page)
        expect_signed_in(page)
        with closing(sqlite3.connect(tmp_path / "accounts.sqlite")) as conn:
            conn.execute("ALTER TABLE sessions RENAME TO elsewhere")
        reload(page)
        expect(page.get_by_text("The database does not answer as it should.")).to_be_visible()
        expect(page.get_by_text("Where you are signed in")).to_have_count(0)
        expect(page.get_by_text("elsewhere")).to_have_count(0)


def test_production_offers_no_guest_access(tmp_path, visitor):
    add_people(tmp_path, ada="admin")
    with running(tmp_path, **speaking_https(tmp_path)) as server:
        page = visitor.new_page()
        page.goto(server.url)
        expect_only_the_sign_in(page)
        expect(page.get_by_role("button", name="Look around")).to_have_count(0)


def test_the_server_sends_its_headers_with_the_page_itself(server):
    headers = httpx.get(f"{server.url}/signals", headers={"accept": "text/html"}).headers
    assert "script-src 'self' blob: 'sha256-" in headers["content-security-policy"]
    assert "HttpOnly" in headers["set-cookie"]
