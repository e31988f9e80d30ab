"""The System page: what an admin finds of a live market, of a replayed one, and when all is away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from core import instance as instances
from core.accounts import people, sessions
from core.instance import Instance, instance
from core.jobs.round import newest_bar
from core.market.budgets import BudgetUse
from core.market.source_state import SourceState
from core.market.stream.batch import Gap, StreamState
from core.settings import Settings, load_settings
from core.store import tables
from core.store.health import save_health
from core.store.leases import take_lease
from core.store.liquidations import save_gap, save_stream
from core.store.observations import save_observations
from core.store.rounds import end_round, start_round
from core.ui import loaders, session
from core.ui.formats import UTC_CLOCK
from core.ui.loaders import operation
from core.ui.system_freshness import table_views
from core.ui.system_sources import source_views
from core.ui.system_worker import stream_views, summarise_rounds
from tests.pages import open_page, words

WORKER, MINUTE = "host-1-abc", timedelta(minutes=1)
VENUES = ("binance", "bybit", "okx")


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    """A live market that is empty, with an admin looking at it."""
    yield from serve(monkeypatch, new_sqlite(), tmp_path, "live")


def serve(
    monkeypatch: pytest.MonkeyPatch, url: str, folder: Path, market: str
) -> Iterator[Instance]:
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("CRYPTOSATX_DATA", str(folder))
    monkeypatch.setenv("CRYPTOSATX_MARKET", market)
    monkeypatch.setenv("CRYPTOSATX_WORKER", "off")
    st.cache_data.clear()
    here = instance()
    with here.engine.begin() as conn:
        ada = people.create_user(
            conn,
            username="ada",
            name="Ada",
            role="admin",
            password="four unrelated words",
            now=datetime.now(UTC),
        )
        token = sessions.start(conn, ada.id, now=datetime.now(UTC))
    monkeypatch.setattr(session, "_browser_token", lambda: token)
    yield here
    for engine in instances._engines.values():
        engine.dispose()


def source(name: str, now: datetime, **changes: Any) -> SourceState:
    """A source that works, and what is changed about it."""
    working = SourceState(
        name,
        requests=40,
        last_success_at=now - timedelta(seconds=5),
        latency_seconds=0.05,
        budgets=(BudgetUse("weight", 30, 80, 100, 60),),
    )
    return replace(working, **changes)


def broken(name: str, now: datetime, said: str, **changes: Any) -> SourceState:
    told = {"failures": 3, "last_failure": said, "last_failure_at": now, "troubles": {"/x": said}}
    return source(name, now, **(told | changes))


def works(
    here: Instance, now: datetime, *changed: SourceState, age: timedelta = MINUTE / 6
) -> None:
    """A worker that lives, the newest bar stored, streams live, and sources that work."""
    bar = newest_bar(now)
    states = {name: source(name, now) for name in (*VENUES, "alternative_me", "coingecko")}
    states |= {one.source: one for one in changed}
    with here.engine.begin() as conn:
        take_lease(conn, f"worker {WORKER}", WORKER, now, timedelta(hours=1))
        save_health(conn, states.values(), WORKER, now - age)
        start_round(conn, bar, WORKER, bar)
        end_round(conn, bar, bar + timedelta(seconds=4), new_bars=2)
        for venue in VENUES:
            take_lease(conn, f"stream {venue}", WORKER, now, timedelta(hours=1))
            save_stream(conn, StreamState(venue, "live", heard_at=now, received=7), now)


def page() -> str:
    st.cache_data.clear()
    return words(open_page("system.py")).replace("\u00a0", " ")


def test_a_market_on_which_everything_works_says_so_in_one_sentence(here, now):
    works(here, now)
    shown = page()
    assert "Everything works." in shown
    assert f"{WORKER}</span> <small>alive since" in shown
    assert "30</b> of 80 / 100 in 1 min" in shown
    assert "0000:" not in shown
    assert "nan" not in shown.lower().replace("binance", "")


def test_it_is_drawn_over_either_database(monkeypatch, new_url, tmp_path, now):
    for here in serve(monkeypatch, new_url(), tmp_path, "live"):
        works(here, now)
        shown = page()
        assert "Everything works." in shown
        assert {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[here.engine.dialect.name] in shown


def test_only_an_admin_sees_it(here, now):
    with here.engine.begin() as conn:
        conn.execute(update(tables.users).values(role="analyst"))
    shown = page()
    assert "Sources" not in shown
    assert "admin" in shown


def test_the_worst_is_said_first_and_with_what_to_do(here, now):
    works(
        here,
        now,
        broken("alternative_me", now, "alternative_me did not send whole JSON: x"),
        broken("binance", now, "binance is not working (500)."),
    )
    shown = page()
    verdict = shown[shown.index('class="verdict"') : shown.index("Sources")]
    assert "Everything works" not in shown
    assert verdict.index("Binance is not working (500).") < verdict.index("alternative.me did not")
    assert "<code>python -m core doctor</code>" in verdict


def test_without_a_worker_it_says_how_to_start_one(here):
    shown = page()
    assert "No worker is alive: nothing new is collected." in shown
    assert "<code>python -m core worker</code>" in shown


def test_words_from_outside_are_shown_as_words(here, now):
    works(here, now, broken("okx", now, "okx did not send whole JSON: <script>alert(1)</script>"))
    shown = page()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_database_that_is_away_is_a_sentence(here, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("select", {}, Exception("gone"))

    monkeypatch.setattr(operation, "read_operation", away)
    assert "The database does not answer." in page()


def test_work_that_cannot_be_read_leaves_the_rest_of_the_page(here, now):
    works(here, now)
    Path(str(here.engine.url.database)).with_suffix(".jobs.sqlite").write_text("no database" * 99)
    shown = page()
    assert "cannot be read" in shown
    assert "Everything works." in shown


# Sources


def views(
    here: Instance,
    now: datetime,
    settings: Settings | None = None,
    living: tuple[str, ...] = (WORKER,),
) -> Mapping[str, Any]:
    st.cache_data.clear()
    health = loaders.load_operation().health
    chosen = settings or here.settings
    return {one.name: one for one in source_views(health, (), chosen, living, now)}


def test_every_source_is_named_also_those_without_a_key_or_never_asked(here, now):
    works(here, now)
    found = views(here, now)
    assert found["coinglass"].words == "no key: set COINGLASS_API_KEY"
    assert {found[name].state for name in VENUES} == {"working"}
    keyed = load_settings({"COINGLASS_API_KEY": "x", "CRYPTOSATX_EXCHANGES": "okx"})
    found = views(here, now, keyed)
    assert next(iter(found)) == "okx"
    assert found["coinglass"].state == "not asked yet"
    assert "binance" not in found


def test_a_source_is_left_alone_for_as_long_as_it_was_noted_and_no_longer(here, now):
    refused = broken(
        "okx", now, "okx says that it is asked too often (429).", left_alone_seconds=30
    )
    works(here, now, refused)
    assert views(here, now)["okx"].state == "left alone"
    assert views(here, now)["okx"].left_alone == timedelta(seconds=20)
    assert views(here, now + MINUTE)["okx"].state == "failing"


def test_an_open_breaker_lets_one_through_when_its_time_is_up(here, now):
    works(here, now, broken("okx", now, "gone", breaker="open", left_alone_seconds=40))
    assert views(here, now)["okx"].breaker.startswith("open, ")
    assert views(here, now + MINUTE)["okx"].breaker == "half-open"


def test_a_note_of_a_worker_that_is_gone_is_shown_as_such(here, now):
    works(here, now, age=timedelta(minutes=14))
    found = views(here, now, living=())["binance"]
    assert found.state == "unknown"
    assert found.noted.replace("\u00a0", " ") == "noted 14 min ago by a worker that is gone"
    assert found.budgets[0].used is None


def test_what_nobody_knows_is_not_said_to_work(here, now):
    works(here, now)
    with here.engine.begin() as conn:
        health = tables.source_health
        conn.execute(update(health).where(health.c.source == "okx").values(worker="gone"))
        conn.execute(health.delete().where(health.c.source == "bybit"))
    shown = page()
    assert "Everything works" not in shown
    assert "Nothing fails as far as is known; Bybit, OKX not asked of late." in shown


def test_remarks_are_shown_where_a_worker_notes_them(here, now):
    works(here, now)
    assert views(here, now)["okx"].remarks == {}
    state = {"remarks": {"candles_1h": "12 of 500 rows left out: nan in high"}}
    with here.engine.begin() as conn:
        health = loaders.load_operation().health
        noted = dict(health["state"].loc["okx"]) | state
        chosen = tables.source_health.c.source == "okx"
        conn.execute(update(tables.source_health).where(chosen).values(state=noted))
    shown = page()
    assert "<b>Remark of the last hour:</b> 12 of 500 rows left out: nan in high" in shown
    assert "Everything works." in shown


def test_a_dead_column_is_told_on_top_beside_its_source_and_in_a_list(here, now):
    works(here, now)
    times = pd.date_range(end=newest_bar(now), periods=20, freq="1h")
    rows = pd.DataFrame(
        [(f"S{n}USDT", "binance", time, 0.5) for n in range(3) for time in times],
        columns=["symbol", "venue", "published_at", "long_account_share"],
    ).assign(
        top_account_long_share=[n / 100 for n in range(60)], top_position_long_share=float("nan")
    )
    with here.engine.begin() as conn:
        save_observations(conn, {"long_short": rows}, now)
    shown = page()
    constant = "share of accounts that are long is 0.5 in 100 % of 60 recent values"
    assert shown.count(constant) == 3
    assert shown.count("is published empty: none of 60 recent rows has it") == 3
    assert "top traders' share of accounts" not in shown


# Workers, rounds and streams


def test_rounds_tell_their_lag_and_which_bars_have_none(here, now):
    works(here, now)
    newest = newest_bar(now)
    with here.engine.begin() as conn:
        for hours, seconds in ((3, 9), (2, 65)):
            bar = newest - timedelta(hours=hours)
            start_round(conn, bar, WORKER, bar)
            end_round(conn, bar, bar + timedelta(seconds=seconds))
    st.cache_data.clear()
    rounds = summarise_rounds(loaders.load_operation(), now)
    assert (rounds.median, rounds.worst) == (timedelta(seconds=9), timedelta(seconds=65))
    assert list(rounds.unfinished) == [newest - timedelta(hours=1)]


def test_a_round_that_failed_is_said_with_its_reason(here, now):
    works(here, now)
    with here.engine.begin() as conn:
        conn.execute(update(tables.rounds).values(state="failed", message="No exchange has given."))
    shown = page()
    assert f"The bar of {UTC_CLOCK.minute(newest_bar(now))} is not stored" in shown
    assert "close. No exchange has given." in shown


def test_a_stream_that_is_open_but_dead_is_silent(here, now):
    works(here, now)
    st.cache_data.clear()
    operation = loaders.load_operation()
    assert {one.state for one in stream_views(operation, VENUES, now)} == {"live"}
    later = stream_views(operation, VENUES, now + 2 * MINUTE)
    assert {one.state for one in later} == {"silent"}


def test_a_stream_tells_who_holds_it_and_how_much_is_missing(here, now):
    works(here, now)
    with here.engine.begin() as conn:
        save_gap(conn, Gap("okx", now - timedelta(days=3), now - timedelta(hours=23), "away"))
        save_gap(conn, Gap("okx", now - timedelta(hours=2), now - timedelta(hours=1), "away", 5))
        save_gap(conn, Gap("okx", now - timedelta(minutes=90), None, "down"))
        conn.execute(tables.leases.delete().where(tables.leases.c.name == "stream bybit"))
    st.cache_data.clear()
    found = {one.venue: one for one in stream_views(loaders.load_operation(), VENUES, now)}
    assert found["okx"].holder == WORKER
    assert (found["okx"].gaps, found["okx"].lost_lately) == (3, 5)
    assert abs(found["okx"].missing - timedelta(hours=3)) < MINUTE
    assert found["bybit"].state == "followed by nobody"
    assert "Nobody follows the liquidation stream of Bybit" in page()


# Freshness


def candles(symbol: str, venue: str, times: pd.DatetimeIndex) -> pd.DataFrame:
    ends = {"open_at": times - pd.Timedelta(hours=1), "published_at": times}
    rows = pd.DataFrame({"symbol": symbol, "venue": venue, **ends})
    return rows.assign(**dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0))


def test_a_market_that_another_venue_stands_in_for_is_counted(here, now):
    newest = newest_bar(now)
    past = pd.date_range(end=newest - timedelta(hours=1), periods=5, freq="1h")
    rows = [
        candles("BTCUSDT", "binance", past),
        candles("BTCUSDT", "bybit", pd.DatetimeIndex([newest])),
        candles("ETHUSDT", "binance", past.union([newest])),
        candles("ONLYUSDT", "bybit", past.union([newest])),
    ]
    with here.engine.begin() as conn:
        save_observations(conn, {"candles_1h": pd.concat(rows)}, now)
    st.cache_data.clear()
    published = loaders.load_published(())
    found = {one.table: one for one in table_views(published, here.settings, now)}
    binance, bybit = found["candles_1h"].venues
    assert (binance.title, binance.markets, binance.serves, binance.stands_in) == (
        "Binance",
        2,
        1,
        0,
    )
    assert (bybit.title, bybit.markets, bybit.serves, bybit.stands_in) == ("Bybit", 2, 2, 1)
    assert found["candles_1h"].asked == ("Binance", "Bybit", "OKX")
    assert not found["candles_1h"].stale
    assert found["social"].asked == ()
    assert found["fear_greed"].venues == ()


def test_a_table_that_has_gone_old_is_a_problem(here, now):
    works(here, now)
    old = pd.date_range(end=newest_bar(now) - timedelta(days=2), periods=3, freq="1h")
    with here.engine.begin() as conn:
        save_observations(conn, {"candles_1h": candles("BTCUSDT", "binance", old)}, now)
    assert "Candles: the newest is 2 d old." in page()


# Markets that are not live


def test_a_simulated_market_shows_its_replay_and_says_that_it_has_no_sources(
    monkeypatch, new_sqlite, tmp_path, now
):
    for here in serve(monkeypatch, new_sqlite(), tmp_path, "demo"):
        with here.engine.begin() as conn:
            conn.execute(
                tables.replays.insert().values(
                    key="demo balanced",
                    source="Simulated market",
                    profile_name="balanced",
                    profile_version="x",
                    state="failed",
                    message="The disk is full.",
                    rows_done=5,
                    rows_total=9,
                    started_at=now,
                    updated_at=now,
                )
            )
        shown = page()
        assert "Replaying stopped: The disk is full." in shown
        assert "has no sources and no streams" in shown
        assert "5 of 9" in shown
        assert "Liquidation streams" not in shown
        assert "SQLite" in shown


def test_the_model_s_failures_are_counted_on_the_page(here, now, monkeypatch):
    from tests.opinions import BAR, Clock, make_opinions, store
    from tests.world.openai import ModelServer

    monkeypatch.setenv("CRYPTOSATX_MODEL", "stand-in")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    works(here, now)
    assert "not asked yet" in page()
    recorded = now - timedelta(minutes=2)
    monkeypatch.setattr("core.store.verdicts.STALE", timedelta(days=9_999))
    store(here.engine, recorded_at=recorded)
    with ModelServer() as model:
        model.script.extend(["refusal", "length", "prose", "401", "good"])
        clock = Clock(now - timedelta(minutes=1))
        asking = make_opinions(
            here.engine, model.url, clock=clock, CONCURRENCY="1", CALLS_PER_DAY="5"
        )
        assert asking.ask(BAR) > 5
    shown = words_only(page())
    for kind in ("Refused", "Answer cut off", "Answer not usable", "Endpoint failed"):
        assert f"{kind} 1 1" in shown
    assert "5 of 1,000" in shown
    assert "budget of the UTC day is used up" in shown


def words_only(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())
