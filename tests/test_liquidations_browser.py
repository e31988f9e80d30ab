"""The live tape in a real browser: the stand-in world speaks, a worker listens, the page moves."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from core.accounts import people
from core.store import open_store
from tests.server import running
from tests.test_browser import PASSWORD, chromium, expect_signed_in, sign_in, visitor
from tests.test_live_server import asked_of, tables_until, wait_for
from tests.world import World
from tests.world.messages import binance_order

pytestmark = pytest.mark.browser
__all__ = ["chromium", "visitor"]

# Marks the chart's element and its drawing, to see whether they are replaced.
MARK = "node => { node.marked = true; node.querySelector('.main-svg').marked = true }"
MARKED = "node => node.marked && node.querySelector('.main-svg').marked"


def add_trader(data: Path) -> None:
    engine = open_store(f"sqlite:///{data}/live.sqlite", "live")
    with engine.begin() as conn:
        people.create_user(
            conn,
            username="tom",
            name="Tom",
            role="trader",
            password=PASSWORD,
            now=datetime.now(UTC),
        )
    engine.dispose()


def say(world: World, price: float, side: str = "SELL", quantity: float = 2.0) -> None:
    at_ms = int(time.time() * 1000)
    message = binance_order(at_ms, side=side, price=price, quantity=quantity)
    world.do(world.tapes["binance"].publish([message]))


def drawn_bars(page: Page) -> str:
    return str(page.get_by_role("img", name="lower bounds").locator(".bars").first.inner_html())


def test_the_tape_moves_by_itself_and_a_cut_socket_is_a_gap_with_its_reason(
    tmp_path: Path, visitor: BrowserContext
) -> None:
    add_trader(tmp_path)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    with (
        World(tables_until(end)) as world,
        running(tmp_path, **asked_of(world.endpoints)) as server,
    ):
        wait_for(lambda: world.tapes["binance"].listeners == 1, 60)
        say(world, 50_000)
        page = visitor.new_page()
        page.goto(f"{server.url}/liquidations")
        sign_in(page, "tom")
        expect_signed_in(page, "Tom")
        rows = page.get_by_role("listitem").filter(has_text="BTCUSDT")
        expect(rows).to_have_count(1)
        chart = page.get_by_role("img", name="lower bounds")
        expect(chart.locator(".bars path").first).to_be_attached()
        chart.evaluate(MARK)
        before = drawn_bars(page)

        # Of the other side and larger, so that the bar there was is drawn lower, whatever its minute.
        say(world, 51_000, "BUY", 20.0)
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("51,000.0")
        expect(rows.first).to_contain_text("short")
        page.wait_for_function("bars => !document.body.innerHTML.includes(bars)", arg=before)
        assert chart.evaluate(MARKED)

        world.switch_off("binance")
        stream = page.locator("[data-stream=binance]")
        expect(stream).to_contain_text("down; last heard")
        gap = page.get_by_role("row").filter(has_text="still lasts").filter(has_text="Binance")
        expect(gap).to_contain_text("binance cannot be heard")
        assert chart.evaluate(MARKED)
