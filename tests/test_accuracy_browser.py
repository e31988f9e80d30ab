"""From a cell of the Accuracy page to its signals and to one of them, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from server import Server, running
from test_browser import chromium, visitor  # noqa: F401 - fixtures

from tests.builders import make_frame
from tests.pages import copy_of_past

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("record")
    frame = make_frame(["BTCUSDT", "ETHUSDT"], hours=24 * 40)
    past = copy_of_past(sqlite_template, frame, folder)
    with running(folder, DATABASE_URL=f"sqlite:///{past}") as server:
        yield server


def look_around(page: Page, url: str, path: str) -> Page:
    page.goto(f"{url}/signals")
    page.locator(".st-key-guest button").first.click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    page.goto(f"{url}{path}")
    return page


def test_a_cell_leads_to_its_signals_and_a_signal_opens_as_it_was(server, visitor):  # noqa: F811
    page = look_around(visitor.new_page(), server.url, "/accuracy?side=Long")
    cell = page.get_by_role("button", name=re.compile("^CONFIRM at 4 h"))
    # By the keyboard alone: to the first cell, one to the right, and open it.
    page.get_by_role("button", name=re.compile("^CONFIRM at 1 h")).focus()
    page.keyboard.press("ArrowRight")
    expect(cell).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("cell=CONFIRM.4h.traded"))
    expect(page).to_have_url(re.compile("side=Long"))
    expect(cell).to_have_attribute("aria-pressed", "true")

    rows = page.locator(".list tbody tr")
    expect(rows).to_have_count(20)
    newest = rows.first.inner_text()
    page.get_by_role("button", name="Page 2", exact=True).or_(
        page.get_by_text("2", exact=True)
    ).first.click()
    expect(rows.first).not_to_have_text(newest)
    expect(page).to_have_url(re.compile("page=2"))
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")

    chosen = rows.first.inner_text().split()
    rows.first.get_by_role("link").press("Enter")
    expect(page).to_have_url(re.compile(r"/symbol\?.*version="))
    main = page.get_by_test_id("stMain")
    expect(main).to_contain_text("What became of it")
    expect(main).to_contain_text("CONFIRM")
    expect(main).to_contain_text(re.compile(r"Ledger\s*entry [\d,]+"))
    expect(page.get_by_role("combobox", name="Market")).to_have_value(
        next(word for word in chosen if word.endswith("USDT"))
    )

    page.go_back()
    expect(page).to_have_url(re.compile("cell=CONFIRM.4h.traded"))
    expect(rows).to_have_count(20)


def test_the_views_and_filters_are_in_the_address_and_survive_each_other(server, visitor):  # noqa: F811
    page = look_around(visitor.new_page(), server.url, "/accuracy")
    expect(page.get_by_text("Verdict by horizon")).to_be_visible()
    page.get_by_role("radio", name="24 h").click()
    expect(page).to_have_url(re.compile(r"horizon=24"))
    page.get_by_role("radio", name="Ledger").click()
    expect(page.get_by_text("one number that stands for them all")).to_be_visible()
    expect(page.get_by_text("a guest only looks around")).to_be_visible()
    page.get_by_role("radio", name="Verdicts").click()
    expect(page.get_by_text("Verdict by horizon")).to_be_visible()
    expect(page.get_by_text("Only 24")).to_be_visible()
    expect(page).to_have_url(re.compile(r"horizon=24"))
    # Nor are they lost by who does not wait for a view that has none of them.
    for wait in (0, 100, 100, 150, 250):
        page.get_by_role("radio", name="Ledger").click()
        page.wait_for_timeout(wait)
        page.get_by_role("radio", name="Verdicts").click()
        expect(page.get_by_text("Only 24")).to_be_visible()
        expect(page).to_have_url(re.compile(r"accuracy\?horizon=24[^&]*$"))
        expect(page.get_by_role("radio", name="24 h")).to_be_checked()
    page.get_by_role("button", name="Show everything").click()
    expect(page.get_by_text("Only 24")).to_be_hidden()
