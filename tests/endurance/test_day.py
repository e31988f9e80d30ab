"""A day of the market with its clock sped up: memory stays flat, and what a day adds is said."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.accounts.people import create_user
from core.market.demo import END
from core.store import open_store
from tests.endurance.figures import Sampled, length, memory_mb, say, wait_for
from tests.endurance.markets import fill, made_tables
from tests.endurance.outside import outside
from tests.endurance.working import Working, end, settings_of, write_tables
from tests.live_market import FastClock
from tests.server import Server, running
from tests.stored import assert_everything_is_there_once, rounds_done
from tests.test_browser import ARGUMENTS, CHROMIUM, PASSWORD, WAIT_MS, expect_signed_in, sign_in

SYMBOLS = int(length("DAY_SYMBOLS", 100))
HOURS = int(length("DAY_HOURS", 24))
HOUR_SECONDS = length("DAY_HOUR_SECONDS", 30)
EVENTS_PER_HOUR = 600
DAYS = 34
WARM_ROUNDS = 6
# Memory may swing by this much of what it was, but not grow.
GROWTH = 1.10
# Every page says that it is the live market, which by our clock is long stale.
MARKED = re.compile("live|stale", re.IGNORECASE)
PAGES = ("signals", "symbol", "accuracy", "signals")
# What a part's tables begin with.
PARTS = {
    "bars": ("bars",),
    "signals and what they measured": ("signals", "measurements"),
    "outcomes": ("outcomes",),
    "observations": ("observed_",),
    "liquidations": ("liquidation",),
}


@pytest.mark.long
@pytest.mark.browser
def test_memory_stays_flat_and_the_database_grows_as_said(tmp_path: Path) -> None:
    file, folder = tmp_path / "live.sqlite", tmp_path / "tables"
    url, first = f"sqlite:///{file}", END - timedelta(hours=HOURS + 24)
    engine, tables = open_store(url, "live"), made_tables(SYMBOLS, END, DAYS)
    fill(engine, tables, first)
    with engine.begin() as conn:
        create_user(
            conn, username="ada", name="Ada", role="admin", password=PASSWORD, now=datetime.now(UTC)
        )
    write_tables(folder, tables)
    clock = FastClock(first, time.time(), HOUR_SECONDS)
    rate = EVENTS_PER_HOUR / HOUR_SECONDS
    with outside(folder, clock, rate=rate) as world, dashboard(tmp_path, url) as (server, look):
        settings, log = settings_of(world.endpoints), tmp_path / "workers.txt"
        working = Working(url, clock, settings, tmp_path / "spool", log=log)
        worker = working.start()
        try:
            for page in PAGES:  # what is opened for the first time is loaded into memory
                look(page)
            wait_for(lambda: len(rounds_done(engine)) > WARM_ROUNDS, 20 * HOUR_SECONDS + 60)
            sizes, began = [size_of(file)], clock()
            assert server.process is not None
            served = server.process.pid
            asked = {"worker": lambda: memory_mb(worker.pid), "server": lambda: memory_mb(served)}
            with Sampled(0.5, asked) as samples:
                for number in range(HOURS):
                    look(PAGES[number % len(PAGES)])
                    until = began + timedelta(hours=number + 1)
                    wait_for(lambda: clock() >= until, 2 * HOUR_SECONDS)  # noqa: B023
            sizes.append(size_of(file))
            hours = (clock() - began) / timedelta(hours=1)
            end(worker)
        finally:
            working.kill()
    assert not samples.failed, samples.failed[:1]
    assert_everything_is_there_once(engine, tables["candles_1h"], pd.Timestamp(first))
    quarters = {name: quarters_of(found) for name, found in samples.found.items()}
    say(
        f"{hours:.1f} hours of {SYMBOLS} symbols, {len(rounds_done(engine))} rounds, "
        f"{HOURS} pages loaded, {EVENTS_PER_HOUR} liquidations an hour",
        *(
            f"memory of the {name}, MB by quarter: {', '.join(f'{mb:.0f}' for mb in each)}"
            for name, each in quarters.items()
        ),
        growth(sizes[0], sizes[1], hours).to_string(),
    )
    for each in quarters.values():
        assert each[-1] <= each[0] * GROWTH + 5
    engine.dispose()


@contextmanager
def dashboard(data: Path, url: str) -> Iterator[tuple[Server, Callable[[str], None]]]:
    """The dashboard on the database, and what loads one of its pages."""
    environment = {"CRYPTOSATX_MARKET": "live", "DATABASE_URL": url}
    with running(data / "dashboard", **environment) as server, sync_playwright() as playwright:
        expect.set_options(timeout=WAIT_MS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = ada(browser, server.url)

        def look(name: str) -> None:
            page.goto(f"{server.url}/{name}")
            expect(page.get_by_test_id("stMain")).to_contain_text(MARKED)

        yield server, look
        browser.close()


def ada(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url)
    sign_in(page)
    expect_signed_in(page)
    return page


def size_of(file: Path) -> pd.Series:
    """Bytes of each table with its indexes, by name."""
    query = (
        "SELECT schema.tbl_name, sum(stat.pgsize) FROM dbstat AS stat "
        "JOIN sqlite_schema AS schema ON schema.name = stat.name GROUP BY schema.tbl_name"
    )
    with closing(sqlite3.connect(file)) as conn:
        found = dict(conn.execute(query).fetchall())
        pages = conn.execute("PRAGMA page_count").fetchone()[0]
        size = conn.execute("PRAGMA page_size").fetchone()[0]
    return pd.Series({**found, "the whole file": pages * size}, dtype=float)


def growth(before: pd.Series, after: pd.Series, hours: float) -> pd.DataFrame:
    """Megabytes a day and kilobytes of a symbol, by what they are for."""
    grown = after.sub(before, fill_value=0)
    day = grown / 1e6 * 24 / hours
    mb = {part: float(day[day.index.str.startswith(names)].sum()) for part, names in PARTS.items()}
    mb["the whole file"] = float(day["the whole file"])
    table = pd.DataFrame({"MB a day": mb})
    return table.assign(kB_a_day_of_a_symbol=table["MB a day"] * 1000 / SYMBOLS).round(2)


def quarters_of(found: list[object]) -> list[float]:
    """The median of each quarter."""
    return [float(np.median(part)) for part in np.array_split(np.array(found, dtype=float), 4)]
