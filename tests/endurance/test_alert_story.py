"""An administrator writes a rule in a browser, a worker of its own fires it, a silence keeps the next back.

The worker, the exchanges and the receiver are processes and sockets; the hour between two closes is left
out for them, and STORY_SECONDS, which the browser has for its part, lie between two closes instead. What
is to be sent lies in the future of this machine then, so that the sender of this process, which goes by
the market's clock, sends it.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlalchemy import Engine

from core.alerts.delivery import Sealer
from core.alerts.delivery.targets import Target, Written
from core.jobs.round import newest_bar
from core.jobs.sending import sending_for
from core.settings import load_settings
from core.store import open_store
from core.store.channels import Who, create_channel
from tests.endurance.clocks import CloseClock
from tests.endurance.figures import length, say, wait_for
from tests.endurance.markets import fill, made_tables
from tests.endurance.outside import outside
from tests.endurance.working import Working, end, live_settings, write_tables
from tests.server import running
from tests.stored import rounds_done
from tests.test_browser import (  # noqa: F401 - chromium and visitor are fixtures
    add_people,
    chromium,
    expect_signed_in,
    sign_in,
    visitor,
)
from tests.world.receiver import SECRET, Receiver, is_signed

pytestmark = [pytest.mark.browser, pytest.mark.long]
SECONDS = length("STORY_SECONDS", 150)
SYMBOLS, DAYS = 3, 34
HOUR = timedelta(hours=1)


def test_a_rule_is_written_fired_by_a_worker_and_kept_back_by_a_silence(
    tmp_path: Path,
    visitor: BrowserContext,  # noqa: F811
) -> None:
    bar, key = newest_bar(datetime.now(UTC)), Fernet.generate_key().decode()
    tables = made_tables(SYMBOLS, bar + 6 * HOUR, DAYS)
    write_tables(tmp_path / "tables", tables)
    add_people(tmp_path, ada="admin", tom="trader")
    url = f"sqlite:///{tmp_path / 'live.sqlite'}"
    engine = open_store(url, "live")
    fill(engine, tables, bar - HOUR)
    own = {"CRYPTOSATX_SECRET_KEY": key, "CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1"}
    clock = CloseClock(bar + HOUR, time.time() + SECONDS, SECONDS)
    with (
        Receiver() as receiver,
        outside(tmp_path / "tables", clock) as world,
        running(tmp_path, CRYPTOSATX_MARKET="live", **own) as server,
    ):
        add_channel(engine, key, receiver, bar)
        settings = live_settings(world.endpoints, **own)
        working = Working(
            url, clock, settings, tmp_path / "spool", hasty=False, log=tmp_path / "workers.txt"
        )
        sending = sending_for(engine, load_settings(settings), "sender")
        sending.courier.clock = clock
        worker = working.start()
        try:
            page = visitor.new_page()
            wait_for(lambda: len(rounds_done(engine)) > 1, SECONDS)
            write_rule(page, server.url)
            with sending:
                wait_for(lambda: len(receiver.received) >= SYMBOLS, 2 * SECONDS)
                assert told(receiver, "fired") == ["S000USDT", "S001USDT", "S002USDT"]
                assert all(is_signed(one) for one in receiver.received)
                silence(page)
                wait_for(lambda: len(told(receiver, "repeat")) >= SYMBOLS - 1, 2 * SECONDS)
                page.get_by_role("radio", name="History").click()
                expect(row(page, "S001USDT").first).to_contain_text("not sent: silenced")
                assert told(receiver, "repeat") == ["S000USDT", "S002USDT"]
                end(worker)
        finally:
            working.kill()
        say(f"{len(receiver.received)} messages, {receiver.repeated} repeated")
        assert receiver.repeated == 0
        assert len(receiver.received) == 2 * SYMBOLS - 1
    engine.dispose()


def add_channel(engine: Engine, key: str, receiver: Receiver, now: datetime) -> None:
    """A shared webhook of the desk."""
    with engine.begin() as conn:
        create_channel(
            conn,
            name="Desk",
            written=Written(Target("webhook", receiver.url(), SECRET), "Webhook", "here", 10_000),
            sealer=Sealer([key]),
            owner=None,
            who=Who("ada", is_admin=True),
            now=now,
        )


def write_rule(page: Page, url: str) -> None:
    """Write it with an error, see and mend that, try it on history, and save it."""
    page.goto(f"{url}/rules")
    sign_in(page, "ada")
    expect_signed_in(page, "Ada")
    page.get_by_role("button", name="Write the first one").click()
    field = page.get_by_role("textbox", name=re.compile("^Expression"))
    field.fill("clos > 0")
    said = page.get_by_role("status").filter(has_text=re.compile("."))
    expect(said.filter(has_text="There is no clos.")).to_be_visible()
    save = page.get_by_role("button", name="Save", exact=True)
    expect(save).to_be_disabled()
    page.get_by_role("button", name="close", exact=True).click()
    expect(field).to_have_value("close > 0")
    expect(said.filter(has_text="This can be judged")).to_be_visible()
    page.get_by_role("textbox", name="Name").fill("There is a price")
    page.get_by_role("textbox", name="Name").press("Tab")
    page.get_by_role("radio", name="Critical").click()

    page.get_by_role("radio", name="On history").click()
    page.get_by_role("button", name="Try it on history").click()
    expect(page.get_by_text("The same code judges it live")).to_be_visible()
    page.get_by_role("radio", name="When and where").click()
    page.get_by_role("textbox", name="Repeat every").fill("1h")
    page.get_by_role("textbox", name="Repeat every").press("Tab")
    page.get_by_role("radio", name="Message", exact=True).click()
    page.get_by_role("radio", name="One message per market").click()
    page.get_by_role("combobox", name="Channels").click()
    page.get_by_role("option", name="Desk").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    save.click()
    expect(page.get_by_text("Everything is saved.")).to_be_visible()


def silence(page: Page) -> None:
    """See on the bell that it fires, and silence one of the markets."""
    bell = page.locator(".st-key-bells a:visible")
    expect(bell).to_contain_text("◆ 3 critical")
    bell.click()
    row(page, "S001USDT").get_by_role("button", name="Silence").click()
    expect(row(page, "S002USDT")).to_have_count(0)
    page.get_by_role("radio", name="4 h").click()
    reason = page.get_by_role("textbox", name="Reason")
    reason.fill("the exchange moves wallets")
    reason.press("Enter")
    expect(page.get_by_text("it would have kept back 1 of 3 events")).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("button", name="Silence", exact=True).click()
    expect(page.get_by_text("Holding now")).to_be_visible()


def row(page: Page, symbol: str) -> Locator:
    return page.locator(".alerts tbody tr[data-key]").filter(has_text=symbol)


def told(receiver: Receiver, kind: str) -> list[str]:
    """The markets that messages were about."""
    messages = [one.json["data"] for one in receiver.received]
    return sorted(
        each["symbol"] for one in messages if one["kind"] == kind for each in one["fired"]
    )
