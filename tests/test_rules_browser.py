"""An administrator writes a rule with an error, sees it, puts it right, tries it, saves it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from server import Server, running
from test_browser import PASSWORD, chromium, expect_signed_in, sign_in, visitor  # noqa: F401

from core.accounts import people
from core.store.database import open_database
from tests.builders import make_frame
from tests.pages import copy_of_past

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("rules")
    frame = make_frame(["BTCUSDT", "ETHUSDT"], hours=24 * 40)
    past = copy_of_past(sqlite_template, frame, folder)
    engine = open_database(f"sqlite:///{past}")
    with engine.begin() as conn:
        people.create_user(
            conn,
            username="ada",
            name="Ada",
            role="admin",
            password=PASSWORD,
            now=datetime.now(UTC),
        )
    engine.dispose()
    with running(folder, DATABASE_URL=f"sqlite:///{past}") as server:
        yield server


def at_rest(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def test_an_admin_writes_a_rule_sees_what_is_wrong_tries_it_and_saves_it(
    server: Server,
    visitor: BrowserContext,  # noqa: F811
) -> None:
    page = visitor.new_page()
    page.goto(f"{server.url}/rules")
    sign_in(page)
    expect_signed_in(page)
    page.get_by_role("button", name="Write the first one").click()
    expect(page).to_have_url(re.compile("rule=new"))
    field = page.get_by_role("textbox", name=re.compile("^Expression"))
    said = page.get_by_role("status").filter(has_text=re.compile("."))

    # By the keyboard alone: a name from the list, an allowed text in quotes.
    field.click()
    field.press_sequentially("direc")
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("what the score says")
    expect(field).to_have_attribute("aria-activedescendant", "rule-code-list-0")
    field.press("Enter")
    expect(field).to_have_value("direction")
    field.press_sequentially(' == "')
    expect(options).to_have_text([re.compile(text) for text in ("SHORT", "NEUTRAL", "LONG")])
    field.press("ArrowDown")
    field.press("ArrowUp")
    field.press_sequentially("lo")
    expect(options).to_have_count(1)
    field.press("Tab")
    expect(field).to_have_value('direction == "LONG"')

    # Something is wrong: said, marked at its place, and put right by a choice.
    field.press_sequentially(" and scor > 52")
    field.press("Escape")
    expect(said.filter(has_text="At character 25: There is no scor.")).to_be_visible()
    expect(page.locator(".fault")).to_have_text("scor")
    expect(field).to_have_attribute("aria-invalid", "true")
    page.get_by_role("textbox", name="Name").fill("Hot and long")
    page.get_by_role("textbox", name="Name").press("Tab")
    save = page.get_by_role("button", name="Save", exact=True)
    expect(save).to_be_disabled()
    page.get_by_role("button", name="score", exact=True).click()
    expect(field).to_have_value('direction == "LONG" and score > 52')
    expect(said.filter(has_text="This can be judged")).to_be_visible()
    expect(page.get_by_text("direction is LONG")).to_be_visible()
    expect(save).to_be_enabled()

    # Something is odd: said, marked, and put right by a choice.
    field.press("End")
    field.press_sequentially(" and coverage < 70")
    field.press("Escape")
    expect(said.filter(has_text="Warning, at character 40: coverage is 0 to 1")).to_be_visible()
    expect(page.locator(".doubt").first).to_have_text("coverage")
    expect(save).to_be_enabled()
    page.get_by_role("button", name="0.7", exact=True).click()
    expect(field).to_have_value('direction == "LONG" and score > 52 and coverage < 0.7')
    expect(page.locator(".doubt")).to_have_count(0)
    field.fill('direction == "LONG" and score > 52')
    field.press("Escape")
    expect(said.filter(has_text="This can be judged")).to_be_visible()

    # Loading the page anew is warned of, and loses nothing.
    at_rest(page)
    warned: list[str] = []
    page.on("dialog", lambda dialog: (warned.append(dialog.type), dialog.accept()))
    page.reload()
    expect(field).to_have_value('direction == "LONG" and score > 52')
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Hot and long")
    assert warned == ["beforeunload"]

    page.get_by_role("radio", name="On history").click()
    expect(page).to_have_url(re.compile("view=On"))
    page.get_by_role("button", name="Try it on history").click()
    expect(page.get_by_text("The same code judges it live")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile(r"in 39 days|times a week"))).to_be_visible()
    expect(page.locator(".list tbody tr").first).to_contain_text("USDT")

    at_rest(page)
    save.click()
    expect(page.get_by_text("Everything is saved.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"rule=\d+"))
    expect(page.get_by_text("version 1 by ada")).to_be_visible()
    page.get_by_role("button", name="All rules").click()
    expect(page.get_by_role("button", name="Hot and long")).to_be_visible()
    expect(page).not_to_have_url(re.compile("rule=|view="))
    # Nothing is unsaved any more, so nobody is warned.
    page.reload()
    expect(page.get_by_role("button", name="Hot and long")).to_be_visible()
    assert warned == ["beforeunload"]


def test_a_completed_function_takes_its_windows_and_survives_an_undo(
    server: Server,
    visitor: BrowserContext,  # noqa: F811
) -> None:
    page = visitor.new_page()
    page.goto(f"{server.url}/rules?rule=new")
    sign_in(page)
    expect_signed_in(page)
    field = page.get_by_role("textbox", name=re.compile("^Expression"))
    field.click()
    field.press_sequentially("crosses_b")
    field.press("Enter")
    expect(field).to_have_value("crosses_below()")
    field.press_sequentially('close, avg(close, "')
    expect(page.get_by_role("option").first).to_have_text(re.compile("1h"))
    field.press_sequentially("7")
    field.press("Enter")
    expect(field).to_have_value('crosses_below(close, avg(close, "7d")')
    field.press("Escape")
    field.press_sequentially("))")
    field.press("Control+z")
    expect(field).not_to_have_value('crosses_below(close, avg(close, "7d")))')
    field.fill("x" * 1200 + "𝑥")
    expect(page.get_by_text("at most 1,000 are allowed")).to_be_visible()
