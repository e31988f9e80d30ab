"""What the browser asks for before it has heard the answer to a click undoes nothing of the click."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect
from server import Server
from test_accuracy_browser import look_around
from test_accuracy_browser import server as past  # noqa: F401
from test_alerts_browser import desk, wait_for
from test_browser import chromium, expect_signed_in, sign_in, visitor  # noqa: F401
from test_rules_browser import at_rest, server  # noqa: F401

from core.jobs.round import newest_bar
from tests.world.receiver import Receiver

pytestmark = pytest.mark.browser


@dataclass
class Line:
    """The connection of a page to its server, on which what the server says can be held back."""

    page: Page
    asked: list[bytes] = field(default_factory=list)
    _holds: bool = False
    _kept: list[tuple[WebSocketRoute, str | bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.route_web_socket(re.compile("_stcore/stream"), self._connect)

    @contextmanager
    def slow(self) -> Iterator[None]:
        """So long nothing of what the server says arrives."""
        self._holds = True
        yield
        # What comes while these are handed on waits its turn.
        while self._kept:
            route, said = self._kept.pop(0)
            route.send(said)
        self._holds = False

    def _connect(self, route: WebSocketRoute) -> None:
        there = route.connect_to_server()

        def ask(said: str | bytes) -> None:
            self.asked.append(said if isinstance(said, bytes) else said.encode())
            there.send(said)

        def answer(said: str | bytes) -> None:
            if self._holds:
                self._kept.append((route, said))
            else:
                route.send(said)

        route.on_message(ask)
        there.on_message(answer)


def test_a_part_that_renews_itself_meanwhile_does_not_bring_an_old_address_back(
    server: Server,  # noqa: F811
    visitor: BrowserContext,  # noqa: F811
) -> None:
    page = visitor.new_page()
    line, marks = Line(page), {}
    page.route(re.compile("session/marks"), lambda route: route.fulfill(json=marks))
    page.goto(f"{server.url}/rules?rule=new&view=On+history")
    sign_in(page)
    expect_signed_in(page)
    expect(page.get_by_role("radio", name="On history")).to_be_checked()
    at_rest(page)
    with line.slow():
        page.get_by_role("button", name="All rules").click()
        before = len(line.asked)
        marks["amiss"] = "another"
        while len(line.asked) == before:
            page.wait_for_timeout(100)
    expect(page.get_by_role("button", name="Write the first one")).to_be_visible()
    page.wait_for_timeout(1000)
    at_rest(page)
    expect(page).not_to_have_url(re.compile("rule=|view="))


@pytest.mark.parametrize("go", ["by a row", "by the menu", "back"])
def test_a_part_that_would_renew_itself_meanwhile_does_not_bring_an_old_page_back(
    past: Server,  # noqa: F811
    visitor: BrowserContext,  # noqa: F811
    go: str,
) -> None:
    page = visitor.new_page()
    line, marks = Line(page), {}
    page.route(re.compile("session/marks"), lambda route: route.fulfill(json=marks))
    look_around(page, past.url, "/symbol")
    symbol, rows = page.locator(".st-key-symbol"), page.locator(".list tbody tr")
    expect(symbol).to_be_visible()
    at_rest(page)
    page.get_by_role("link", name="Accuracy").click()
    page.get_by_role("button", name=re.compile("^CONFIRM at 4 h")).click()
    expect(rows).to_have_count(20)
    at_rest(page)
    with line.slow():
        if go == "by a row":
            rows.first.get_by_role("link").press("Enter")
        elif go == "by the menu":
            page.get_by_role("link", name="Symbol", exact=True).click()
        else:
            page.evaluate("history.go(-2)")
        marks["amiss"] = "another"
        page.wait_for_timeout(8000)  # within which the page looks at the marks at least once
    expect(symbol).to_be_visible()
    expect(rows).to_have_count(0)
    expect(page).to_have_url(re.compile("/symbol"))
    # What had changed is told then, now that it can undo nothing.
    before = len(line.asked)
    marks["amiss"] = "a third"
    while len(line.asked) == before:
        page.wait_for_timeout(100)
    at_rest(page)
    expect(symbol).to_be_visible()
    expect(page).to_have_url(re.compile("/symbol"))


def test_a_name_that_is_typed_while_the_expression_is_read_is_kept(
    server: Server,  # noqa: F811
    visitor: BrowserContext,  # noqa: F811
) -> None:
    page = visitor.new_page()
    line = Line(page)
    page.goto(f"{server.url}/rules?rule=new")
    sign_in(page)
    expect_signed_in(page)
    expect(page.get_by_text("Start from a template")).to_be_visible()
    at_rest(page)
    name = page.get_by_role("textbox", name="Name")
    with line.slow():
        before = len(line.asked)
        page.get_by_role("textbox", name=re.compile("^Expression")).fill("score > 52")
        name.press_sequentially("Hot and ")
        while len(line.asked) == before:
            page.wait_for_timeout(100)
    expect(page.get_by_text("Start from a template")).to_be_hidden()
    expect(name).to_be_focused()
    name.press_sequentially("long")
    name.press("Tab")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    expect(name).to_have_value("Hot and long")


def test_a_view_that_is_left_before_it_came_takes_no_filter_along(
    tmp_path: Path,
    visitor: BrowserContext,  # noqa: F811
) -> None:
    bar = newest_bar(datetime.now(UTC))
    with Receiver() as receiver, desk(tmp_path, receiver) as here:
        here.judge(bar)
        wait_for(receiver, 3)
        page = visitor.new_page()
        line = Line(page)
        page.goto(f"{here.server.url}/alerts?severity=critical&market=BTCUSDT")
        sign_in(page, "tom")
        expect_signed_in(page, "Tom")
        expect(page.get_by_text("1 critical alert fires.")).to_be_visible()
        at_rest(page)
        for other in ("Channels", "Silences", "History"):
            with line.slow():
                page.get_by_role("radio", name=other, exact=True).click()
                page.wait_for_timeout(1500)  # until the server has drawn it
                page.get_by_role("radio", name="Now", exact=True).click()
            expect(page.get_by_text("1 critical alert fires.")).to_be_visible()
            at_rest(page)
            expect(page.get_by_role("radio", name="Now", exact=True)).to_be_checked()
            expect(page.locator(".st-key-severity")).to_contain_text("critical")
            expect(page.locator(".st-key-market input")).to_have_value("BTCUSDT")
            assert "severity=critical" in page.url
            assert "market=BTCUSDT" in page.url
