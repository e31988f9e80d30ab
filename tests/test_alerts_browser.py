"""A rule fires, the bell shows it, people acknowledge and silence it, and the next message is not sent."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from server import Server, running
from test_browser import (  # noqa: F401 - chromium and visitor are fixtures
    add_people,
    chromium,
    expect_signed_in,
    sign_in,
    visitor,
)

from core.alerts.delivery import allowed_targets, load_sealer, parse_target
from core.jobs.alerting import Alerting
from core.jobs.round import newest_bar
from core.jobs.sending import sending_for
from core.settings import load_settings
from core.store import open_store
from core.store.channels import Who, create_channel
from tests.alerted import HOUR, rule, save, store_market
from tests.world.receiver import SECRET, Receiver, is_signed

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=document.title='hurt'> up"


@dataclass
class Desk:
    """A dashboard, and a worker of this process that judges when it is told to and sends at once."""

    server: Server
    alerting: Alerting
    now: dict[str, datetime]

    def judge(self, bar: datetime) -> None:
        self.now["time"] = bar + timedelta(seconds=5)
        self.alerting.judge(bar)


@contextmanager
def desk(folder: Path, receiver: Receiver) -> Iterator[Desk]:
    allowed = {"CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1"}
    settings = load_settings({"CRYPTOSATX_DATA": str(folder)} | allowed)
    add_people(folder, ada="admin", tom="trader")
    engine = open_store(f"sqlite:///{folder / 'live.sqlite'}", "live")
    bar = newest_bar(datetime.now(UTC))
    store_market(engine, bar + 2 * HOUR)
    with engine.begin() as conn:
        channel = create_channel(
            conn,
            name="Desk",
            written=parse_target("webhook", receiver.url(), allowed_targets(settings), SECRET),
            sealer=load_sealer(settings),
            owner=None,
            who=Who("ada", is_admin=True),
            now=bar - HOUR,
        )
    wanted = rule(
        HOSTILE, "close > 0", severity="critical", repeat="1h", group="symbol", channels=[channel]
    )
    save(engine, wanted, bar - timedelta(minutes=1))
    sending, now = sending_for(engine, settings, "worker-1"), {"time": bar}
    # The next bar closes within the hour; the worker is there already.
    sending.courier.clock = lambda: max(now["time"], datetime.now(UTC))
    with sending, running(folder, CRYPTOSATX_MARKET="live", **allowed) as server:
        yield Desk(server, Alerting(engine, lambda: now["time"], sending.wake), now)
    engine.dispose()


def wait_for(receiver: Receiver, messages: int) -> None:
    give_up = time.monotonic() + 20
    while len(receiver.received) < messages:
        assert time.monotonic() < give_up, receiver.received
        time.sleep(0.05)


def told(receiver: Receiver, kind: str) -> list[str]:
    """The markets that messages were about."""
    messages = [one.json["data"] for one in receiver.received]
    return sorted(
        each["symbol"] for one in messages if one["kind"] == kind for each in one["fired"]
    )


def row(page: Page, symbol: str) -> Locator:
    return page.locator(".alerts tbody tr[data-key]").filter(has_text=symbol)


def test_a_rule_fires_the_bell_shows_it_and_a_silence_stops_the_next_message(
    tmp_path: Path,
    visitor: BrowserContext,
) -> None:
    bar = newest_bar(datetime.now(UTC))
    with Receiver() as receiver, desk(tmp_path, receiver) as here:
        page = visitor.new_page()
        page.goto(f"{here.server.url}/signals")
        sign_in(page, "tom")
        expect_signed_in(page, "Tom")
        bell = page.locator(".st-key-bells a:visible")
        # Nobody has judged the rule: that is no calm.
        expect(bell).to_contain_text(re.compile("^(.*rules have not been judged yet|.*No alerts)$"))

        here.judge(bar)
        expect(bell).to_contain_text("◆ 3 critical")
        wait_for(receiver, 3)
        assert told(receiver, "fired") == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        assert all(is_signed(one) for one in receiver.received)

        bell.click()
        expect(page).to_have_url(re.compile("/alerts"))
        expect(page.get_by_text("3 critical alerts fire.")).to_be_visible()
        expect(page.locator(".alerts .head")).to_contain_text(HOSTILE)
        page.get_by_role("checkbox", name=f"{HOSTILE} on BTCUSDT").check()
        page.get_by_role("textbox", name="Note").fill("looking *at* it")
        page.get_by_role("button", name="Acknowledge 1").click()
        expect(row(page, "BTCUSDT")).to_contain_text("acknowledged by tom “looking *at* it”")
        expect(bell).to_contain_text("◆ 2 critical")

        row(page, "ETHUSDT").get_by_role("button", name="Silence").click()
        # The rows of the view before stay until the next one is drawn.
        expect(row(page, "SOLUSDT")).to_have_count(0)
        expect(page.get_by_role("textbox", name="Values 1")).to_have_value(HOSTILE)
        expect(page.get_by_role("textbox", name="Values 2")).to_have_value("ETHUSDT")
        reason = page.get_by_role("textbox", name="Reason")
        reason.fill("the exchange moves wallets")
        reason.press("Enter")
        expect(page.get_by_text("it would have kept back 1 of 3 events")).to_be_visible()
        silence = page.get_by_test_id("stMain").get_by_role("button", name="Silence", exact=True)
        expect(silence).to_have_count(1)  # what fires now is no longer on the page
        silence.click()
        expect(page.get_by_text("Holding now")).to_be_visible()
        # Of what was silenced nothing is left that another click would silence, and more with it.
        expect(page.get_by_role("textbox", name="Values 1")).to_have_value("")
        expect(reason).to_have_value("")
        expect(silence).to_be_disabled()

        here.judge(bar + HOUR)
        wait_for(receiver, 4)
        assert told(receiver, "repeat") == ["SOLUSDT"]
        page.get_by_role("radio", name="History").click()
        expect(row(page, "ETHUSDT").first).to_contain_text("not sent: silenced")
        expect(row(page, "BTCUSDT").first).to_contain_text("somebody has acknowledged it")
        row(page, "SOLUSDT").first.get_by_role("button", name="More").click()
        expect(page.locator(".alerts .more:visible")).to_contain_text("message to Desk sent")
        assert len(receiver.received) == 4
        assert page.title() != "hurt"

        row(page, "SOLUSDT").first.get_by_role("link").click()
        expect(page).to_have_url(re.compile(r"/symbol\?symbol=SOLUSDT&time="))
        page.set_viewport_size({"width": 390, "height": 844})
        for view in ("Now", "Silences"):
            page.goto(f"{here.server.url}/alerts?view={view}")
            expect(page.get_by_role("radio", name=view, exact=True)).to_be_checked()
            expect(page.get_by_test_id("stStatusWidget")).to_be_hidden()
            wide = "document.querySelector('[data-testid=stMain]').scrollWidth"
            assert page.evaluate(wide) <= 390, view
            if view == "Now":
                expect(page.get_by_role("button", name="Filters")).to_be_visible()
                expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
                first = row(page, "BTCUSDT").bounding_box()
                assert first is not None
                assert first["y"] + first["height"] <= 844
