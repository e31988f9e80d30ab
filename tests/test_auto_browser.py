"""From the simulated to the live market and through an outage of the world, in a real browser."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect
from server import running
from test_browser import (  # noqa: F401 - chromium and visitor are fixtures
    add_people,
    chromium,
    expect_signed_in,
    sign_in,
    visitor,
)

from core.market.sources import BUDGETS
from tests.test_live_server import asked_of, tables_until
from tests.world import World

pytestmark = pytest.mark.browser

FILLED_MS = 90_000
WITHIN_MS = 10_000
BACK_MS = 45_000


def switch(world: World, *, on: bool) -> None:
    """Every source at once."""
    for source in BUDGETS:
        (world.switch_on if on else world.switch_off)(source)


def test_the_world_comes_up_goes_and_comes_back_before_a_reader_s_eyes(
    tmp_path: Path,
    visitor: BrowserContext,  # noqa: F811
) -> None:
    now = datetime.now(UTC)
    end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    add_people(tmp_path, ada="admin")
    with World(tables_until(end)) as world:
        switch(world, on=False)
        asked = asked_of(world.endpoints) | {"CRYPTOSATX_MARKET": "auto"}
        with running(tmp_path, **asked) as server:
            assert "no exchange answered within 5 s; try again on any page" in server.terminal
            page = visitor.new_page()
            page.goto(f"{server.url}/signals")
            sign_in(page)
            expect_signed_in(page)
            expect(page.get_by_text("SIMULATED MARKET", exact=True)).to_be_visible()
            expect(page.get_by_text(re.compile("No exchange answered at"))).to_be_visible()

            switch(world, on=True)
            page.get_by_role("button", name="Try again").click()
            badge = page.locator(".cx-badge")
            expect(badge).to_have_text("LIVE")
            expect_signed_in(page)
            expect(page.get_by_text("SIMULATED MARKET")).to_have_count(0)
            row = page.locator(".markets .row[data-symbol]").first
            expect(row).to_be_visible(timeout=FILLED_MS)
            expect(page.get_by_text(re.compile("data up to .*ago"))).to_be_visible()
            wait_until_heard(world)
            expect(page.locator(".cx-amiss")).to_have_count(0, timeout=BACK_MS)

            switch(world, on=False)
            expect(badge).to_have_text("STALE", timeout=WITHIN_MS)
            expect(page.get_by_text("No exchange can be heard since")).to_be_visible()
            expect(row).to_be_visible()

            switch(world, on=True)
            expect(badge).to_have_text("LIVE", timeout=BACK_MS)
            expect(page.get_by_text("No exchange can be heard since")).to_have_count(0)
            expect_signed_in(page)


def wait_until_heard(world: World) -> None:
    give_up = time.monotonic() + 60
    while not all(world.tapes[name].listeners for name in ("binance", "bybit", "okx")):
        assert time.monotonic() < give_up, "the streams are not followed"
        time.sleep(0.2)
