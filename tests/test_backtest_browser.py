"""A profile's way in a real browser: run, cancelled, run, compared, saved, looked at, put in force."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from server import running
from test_browser import (  # noqa: F401 - chromium and visitor are fixtures
    add_people,
    chromium,
    expect_signed_in,
    sign_in,
    visitor,
)

from core.market.demo import write_demo

pytestmark = pytest.mark.browser

LONG_MS = 120_000


def ask_for(page: Page, name: str, threshold: int) -> None:
    slider = page.get_by_role("slider", name=re.compile("Score from which it is long"))
    for _ in range(40):
        expect(slider).to_have_count(1)  # while the page is drawn anew the one before is there too
        at = float(slider.first.get_attribute("aria-valuenow") or slider.first.input_value())
        if at == threshold:
            break
        slider.first.press("ArrowRight" if threshold > at else "ArrowLeft")
        page.wait_for_timeout(150)
    expect(page.get_by_text(f"→ {threshold} points").first).to_be_visible()
    app = page.get_by_test_id("stApp")
    run = page.get_by_role("button", name="Run on this history")
    for _ in range(5):
        # What is typed while the page is drawn anew can go with the field that it stood in.
        expect(app).to_have_attribute("data-test-script-state", "notRunning")
        box = page.get_by_role("textbox", name="Name", exact=True)
        box.fill(name)
        box.press("Enter")
        page.wait_for_timeout(700)
        if run.is_enabled():
            break
    run.click()
    expect(page).to_have_url(re.compile(r"\?(.*&)?run="))
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def all_runs(page: Page) -> None:
    page.get_by_role("button", name="All runs").click()
    expect(page.get_by_role("heading", name="Try a profile")).to_be_visible()


def record(data: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(data / "demo.sqlite")) as conn:
        return conn.execute("SELECT * FROM signals ORDER BY id").fetchall()


def test_a_profile_is_run_cancelled_compared_saved_looked_at_and_put_in_force(
    tmp_path: Path,
    visitor: BrowserContext,  # noqa: F811
) -> None:
    write_demo(tmp_path / "demo", days=24)
    add_people(tmp_path, ada="admin")
    with running(tmp_path, CRYPTOSATX_WORKER="off", CRYPTOSATX_MARKET="demo") as server:
        page = visitor.new_page()
        page.goto(f"{server.url}/backtest")
        sign_in(page)
        expect_signed_in(page)
        # Nobody works yet: what is asked for waits, and is cancelled where it waits.
        ask_for(page, "never run", 57)
        expect(page.get_by_text("No worker is alive")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("It was stopped.")).to_be_visible()
    with running(tmp_path, CRYPTOSATX_WORKER="on", CRYPTOSATX_MARKET="demo") as server:
        page = visitor.new_page()
        page.goto(f"{server.url}/backtest")
        expect(page.get_by_text("Working through the past")).to_be_hidden(timeout=LONG_MS)
        expect(page.get_by_text("are shown in 4 parts")).to_be_visible(timeout=LONG_MS)
        for name, threshold in (("looser", 54), ("stricter", 60)):
            ask_for(page, name, threshold)
            expect(page.get_by_text("Does it hold over time?")).to_be_visible(timeout=LONG_MS)
            address = page.url
            all_runs(page)
        before = record(tmp_path)
        assert before

        page.goto(address)
        page.get_by_role("combobox", name="Compare with").click()
        page.get_by_role("option", name=re.compile("looser")).click()
        expect(page).to_have_url(re.compile("with="))
        expect(page.get_by_text("The difference, added up")).to_be_visible()

        page.goto(address)
        page.get_by_role("button", name="Save as a version of balanced").click()
        expect(page.get_by_text(re.compile("is a stored version"))).to_be_visible()
        page.get_by_text("Look now, once").click()
        page.get_by_role("button", name="Look at the held-back third").click()
        expect(page.get_by_text("ada looked")).to_be_visible()

        all_runs(page)
        # The last words of the page: nothing is drawn anew any more under an open list.
        expect(page.get_by_text("have decided everything so far")).to_be_visible()
        expect(page.get_by_test_id("stStatusWidget")).to_be_hidden()
        page.get_by_role("combobox", name="Put in force").click()
        page.get_by_role("option", name=re.compile(r"^balanced [0-9a-f]{8} \(this mode\)$")).click()
        page.get_by_role("button", name="Put in force").click()
        said = re.compile(r"^balanced [0-9a-f]{8} decides the bars that close from")
        expect(page.get_by_text(said)).to_be_visible()
        expect(page.get_by_text("1 setting so far")).to_be_visible()
        assert record(tmp_path) == before
