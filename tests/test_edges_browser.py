"""A server in production as browsers and other machines meet it: HTTPS, and a policy nobody breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from production import speaking_https
from server import Server, running
from test_browser import PASSWORD, chromium, expect_signed_in, sign_in  # noqa: F401 - a fixture

from core.accounts import people
from core.store.database import open_database
from core.ui.navigation import ENTRIES
from tests.builders import make_frame
from tests.pages import copy_of_past

pytestmark = pytest.mark.browser
ROLES = ("stranger", "trader", "analyst", "admin")
WATCH = """
document.addEventListener("securitypolicyviolation", event =>
  window.told(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`))
"""
# A metric may be read with it from anywhere.
TOKEN = "a token of twenty-four or more"


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in production over a record of two markets, with a person of each role."""
    folder = tmp_path_factory.mktemp("production")
    past = copy_of_past(sqlite_template, make_frame(["BTCUSDT", "ETHUSDT"], hours=24 * 40), folder)
    engine = open_database(f"sqlite:///{past}")
    with engine.begin() as conn:
        for role in ROLES[1:]:
            people.create_user(
                conn, username=role, name=role.title(), role=role, password=PASSWORD,
                now=datetime.now(UTC),
            )  # fmt: skip
    engine.dispose()
    told = {"DATABASE_URL": f"sqlite:///{past}", "CRYPTOSATX_METRICS_TOKEN": TOKEN}
    with running(folder, **speaking_https(folder), **told) as server:
        yield server


@dataclass
class Reader:
    """Somebody with a browser that writes down every violation of the policy, with its page."""

    page: Page
    violations: list[str] = field(default_factory=list)


@pytest.fixture
def read(chromium: Browser, server: Server):  # noqa: F811
    opened = []

    def come(role: str) -> Reader:
        context = chromium.new_context(
            viewport={"width": 1440, "height": 900}, ignore_https_errors=True
        )
        context.set_default_timeout(20_000)
        opened.append(context)
        reader = Reader(context.new_page())
        context.expose_binding(
            "told", lambda source, words: reader.violations.append(f"{source['page'].url}: {words}")
        )
        context.add_init_script(WATCH)
        if role != "stranger":
            reader.page.goto(f"{server.url}/account")
            sign_in(reader.page, role)
            expect_signed_in(reader.page, role.title())
        return reader

    yield come
    for context in opened:
        context.close()


def look(reader: Reader, url: str) -> None:
    """Open a page and wait until it is drawn and quiet."""
    reader.page.goto(url)
    app = reader.page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")
    expect(reader.page.get_by_test_id("stMain")).not_to_be_empty()


def test_no_page_breaks_the_policy(server, read):
    reader = read("admin")
    for entry in ENTRIES:
        look(reader, f"{server.url}/{entry.path}")
    reader.page.goto(f"{server.url}/api/v1/docs")
    expect(reader.page.get_by_role("heading", level=1)).to_be_visible()
    assert reader.violations == []


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_no_page_breaks_the_policy_whoever_looks(server, read, role):
    reader = read(role)
    for entry in ENTRIES:
        look(reader, f"{server.url}/{entry.path}")
        reader.page.wait_for_load_state("networkidle")
    assert reader.violations == []


def test_a_stranger_breaks_no_policy_and_what_breaks_it_is_noted(server, read):
    reader = read("stranger")
    look(reader, f"{server.url}/signals")
    assert reader.violations == []
    reader.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
    )
    reader.page.evaluate("() => new Promise(done => setTimeout(done, 100))")
    assert len(reader.violations) == 1
    assert "script-src-elem inline" in reader.violations[0]


def ask(server: Server, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}{path}", headers=headers, verify=False, timeout=20)


def test_a_server_in_production_as_other_machines_meet_it(server):
    page = ask(server, "/signals", accept="text/html")
    assert page.status_code == 200
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    assert all("; Secure" in one for one in page.headers.get_list("set-cookie"))
    assert ask(server, "/signals", host="evil.example").status_code == 400
    assert ask(server, "/health", host="10.0.0.7").status_code == 200
    ready = ask(server, "/health/ready").json()
    assert ready["status"] == "ready"
    assert ready["people"] == {"state": "ok"}
    assert ask(server, "/health/live").text == "ok"
    assert ask(server, "/metrics").status_code == 404
    metrics = ask(server, "/metrics", authorization=f"Bearer {TOKEN}")
    assert 'cryptosatx_database_up{database="people"} 1.0' in metrics.text
    assert 'cryptosatx_refused_requests_total{reason="host-not-allowed"}' in metrics.text
    # Uvicorn itself would believe a process of this machine.
    ask(server, "/nowhere", **{"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "http"})
    assert address_told(server, "/nowhere") == "127.0.0.1"
    assert "203.0.113.7" not in server.terminal
    assert TOKEN not in server.terminal


def address_told(server: Server, path: str) -> str | None:
    """Whose request of a path it was, by the line in the log, which comes after the answer."""
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        for line in server.terminal.splitlines():
            if line.startswith("{") and path in (told := json.loads(line))["event"]:
                return str(told["address"])
        time.sleep(0.05)
    return None
