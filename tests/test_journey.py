"""From the first start to a signed-in reader who trusts a verdict, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from server import running
from test_browser import (  # noqa: F401 - chromium and visitor are fixtures
    PASSWORD,
    chromium,
    expect_signed_in,
    reload,
    visitor,
)

pytestmark = pytest.mark.browser

FILLED_MS = 120_000
VERDICTS = re.compile("CONFIRM|DOWNSIZE|WAIT")


def test_a_trader_reads_a_verdict_an_analyst_its_record_and_both_stay_signed_in(
    tmp_path: Path,
    visitor: BrowserContext,  # noqa: F811
) -> None:
    with running(tmp_path, CRYPTOSATX_WORKER="on", CRYPTOSATX_MARKET="demo") as server:
        page = visitor.new_page()
        make_first_admin(page, server.url, server.setup_token)
        expect_signed_in(page, "Ada")
        # The first start fills the database by itself, and the page follows without a reload.
        judged = page.locator(".markets .row[data-symbol]").filter(has_text=VERDICTS).first
        expect(judged).to_be_visible(timeout=FILLED_MS)
        expect(page.get_by_text("Working through the past")).to_be_hidden(timeout=FILLED_MS)
        expect_simulated(page)
        symbol = judged.get_attribute("data-symbol")
        found = VERDICTS.search(judged.inner_text())
        assert symbol
        assert found

        judged.click()
        expect(page).to_have_url(re.compile("/symbol"))
        expect(page.get_by_test_id("stMain")).to_contain_text(re.compile(rf"{found[0]}\s*by rules"))
        expect(page.get_by_test_id("stMain")).to_contain_text("Not investment advice")
        expect(page.get_by_role("combobox", name="Market")).to_have_value(symbol)
        expect_simulated(page)

        page.get_by_role("link", name="Accuracy").click()
        expect(page.get_by_text(re.compile("edge:|edge in")).first).to_be_visible()
        expect_simulated(page)
        reload(page)
        expect_signed_in(page, "Ada")
        expect(page).to_have_url(re.compile("/accuracy"))
        expect(page.get_by_text("How often verdicts won")).to_be_visible()


def make_first_admin(page: Page, url: str, token: str) -> None:
    page.goto(f"{url}/setup?token={token}")
    for label, text in {
        "Username": "ada",
        "Your name": "Ada",
        "Password": PASSWORD,
        "Password again": PASSWORD,
    }.items():
        page.get_by_role("textbox", name=label, exact=True).fill(text)
    page.get_by_role("button", name="Create the administrator").click()


def expect_simulated(page: Page) -> None:
    expect(page.get_by_text("SIMULATED MARKET", exact=True)).to_be_visible()
