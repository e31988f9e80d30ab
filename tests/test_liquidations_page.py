"""The page of liquidations, without a browser, over databases filled for each test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from streamlit.testing.v1 import AppTest

from core import instance as instances
from core.accounts import passwords, people, sessions
from core.instance import Instance, instance
from core.market.stream.batch import Gap, StreamState
from core.store import liquidations as store
from core.store.signals import save_bars
from core.ui import session
from core.ui.draw import LIBRARY
from core.ui.loaders import shared, stream
from core.ui.routes import ROUTES
from tests.builders import make_frame
from tests.pages import charts, open_page, run, serve, words
from tests.test_liquidations import make_event

PAGE = "liquidations.py"


@pytest.fixture
def live(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    """An empty live market, with a trader looking at it."""
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setenv("DATABASE_URL", new_sqlite())
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    here, now = instance(), datetime.now(UTC)
    with here.engine.begin() as conn:
        tom = people.create_user(
            conn, username="tom", name="Tom", role="trader", password="four words", now=now
        )
        token = sessions.start(conn, tom.id, now=now)
    monkeypatch.setattr(session, "_browser_token", lambda: token)
    yield here
    here.engine.dispose()


def report(here: Instance, *events: Any) -> None:
    with here.engine.begin() as conn:
        store.save_liquidations(conn, events)


def follow(here: Instance, venue: str = "binance", **changes: Any) -> None:
    """A stream that is heard, and was since a week ago."""
    now = datetime.now(UTC)
    state = StreamState(venue, **({"state": "live", "heard_at": now} | changes))
    with here.engine.begin() as conn:
        store.save_stream(conn, state, now)
        begun = now - timedelta(days=9)
        store.save_gap(conn, Gap(venue, begun, begun + timedelta(days=1), "Nobody listened yet."))


def ago(seconds: float, usd: float = 1000.0, **changes: Any) -> Any:
    at = datetime.now(UTC) - timedelta(seconds=seconds)
    given = {"occurred_at": at, "received_at": at, "identity": f"{seconds}-{usd}"}
    return make_event(0, usd, **{**given, **changes})


def given(at: AppTest, name: str) -> list[dict[str, Any]]:
    """What the components of this name were given."""
    found = [element.proto for element in at.get("bidi_component")]
    return [json.loads(one.json) for one in found if one.component_name == f"cryptosatx_{name}"]


def tape(at: AppTest) -> list[dict[str, Any]]:
    (one,) = given(at, "tape")
    rows: list[dict[str, Any]] = json.loads(one["rows"])
    return rows


def test_the_tape_has_the_newest_event_on_top_and_says_everything_of_it(live):
    follow(live)
    follow(live, "bybit")
    short = ago(5, 1234.5, venue="bybit", liquidated_side="short", symbol="ETHUSDT", price=3846.42)
    report(live, ago(60), short)
    newest, older = tape(open_page(PAGE))
    assert newest | {"id": "", "time": "", "stamp": ""} == {
        "id": "",
        "time": "",
        "stamp": "",
        "side": "short",
        "word": "short",
        "symbol": "ETHUSDT",
        "venue": "Bybit",
        "price": "3,846.42",
        "quantity": "0.02469",
        "usd": "1.2\u00a0k",
        "large": False,
    }
    assert newest["time"] == short.occurred_at.strftime("%H:%M:%S")
    assert older["symbol"] == "BTCUSDT"


def test_the_sums_of_both_sides_are_bounds_and_never_the_total(live):
    follow(live)
    report(live, ago(90, 2e6), ago(30, 5e5, liquidated_side="short"))
    said = words(open_page(PAGE))
    assert "USD\u00a02.0\u00a0M" in said
    assert "USD\u00a0500\u00a0k" in said
    assert "Lower bounds, as reported by Binance" in said
    assert "total" not in said.lower()


def test_a_new_event_is_on_the_next_run(live):
    follow(live)
    report(live, ago(60))
    at = open_page(PAGE)
    report(live, ago(1, 777))
    stream._events.clear()  # type: ignore[attr-defined]  # two seconds have passed
    shared._made.clear()
    assert [row["usd"] for row in tape(run(at))] == ["777", "1.0\u00a0k"]


def test_filters_in_the_address_leave_what_was_asked_for(live):
    follow(live)
    follow(live, "okx")
    report(
        live,
        ago(10, 2e5),
        ago(20, 50, venue="okx"),
        ago(30, 3e5, venue="okx", symbol="ETHUSDT"),
        ago(7200, 4e5, symbol="SOLUSDT"),
    )

    def shown(**query: str) -> set[str]:
        return {row["usd"] for row in tape(open_page(PAGE, query))}

    assert shown() == {"200\u00a0k", "50", "300\u00a0k"}
    assert shown(window="4 h") == {"200\u00a0k", "50", "300\u00a0k", "400\u00a0k"}
    assert shown(venues="OKX") == {"50", "300\u00a0k"}
    assert shown(symbols="ETHUSDT") == {"300\u00a0k"}
    assert shown(smallest="From 100k USD") == {"200\u00a0k", "300\u00a0k"}
    assert shown(window="forever", smallest="a lot") == shown()


def test_what_a_provider_repeats_is_left_out_and_said(live):
    follow(live)
    report(
        live,
        ago(10, 1e6),
        ago(11, 1e6, venue="coinglass:binance"),
        ago(12, 3e6, venue="coinglass:bitget"),
    )
    at = open_page(PAGE)
    assert "USD\u00a04.0\u00a0M" in words(at)
    assert "Left out: Binance via Coinglass" in words(at)
    assert {row["venue"] for row in tape(at)} == {"Binance", "Bitget via Coinglass"}


def test_beside_the_tape_stands_what_each_stream_is_and_leaves_out(live):
    follow(live)
    hour = datetime.now(UTC) - timedelta(minutes=61)
    follow(live, "okx", state="down", heard_at=hour, message="okx cannot be heard: refused.")
    follow(live, "bybit", heard_at=hour)
    said = words(open_page(PAGE))
    assert "At most one liquidation per symbol and second" in said
    assert "down; last heard 1\u00a0h ago. okx cannot be heard: refused." in said
    assert "not heard for 1\u00a0h: no worker follows it" in said


def test_gaps_are_listed_with_their_reason_and_hatched(live):
    now = datetime.now(UTC)
    follow(live)
    with live.engine.begin() as conn:
        begun = now - timedelta(minutes=20)
        store.save_gap(conn, Gap("binance", begun, now - timedelta(minutes=10), "Cut off.", 12))
    at = open_page(PAGE)
    assert "Cut off." in words(at)
    assert "10\u00a0min" in words(at)
    flow = next(chart for chart in charts(at) if "Gaps by stream" in chart["alt"])
    assert '"name":"missing"' in flow["spec"]


def test_a_market_far_above_its_own_week_stands_out(live):
    follow(live)
    calm = [ago(3600 * hour, 100.0) for hour in range(1, 160)]
    report(live, *calm, ago(30, 5e5), ago(40, 6e3, symbol="ETHUSDT"))
    at = open_page(PAGE, {"window": "15 min"})
    (table,) = [html.value for html in at.html if "own mean" in html.value]
    assert "BTCUSDT" in table
    assert "all of 67" in table
    assert "ETHUSDT" not in table


def test_without_a_week_behind_it_nothing_is_called_calm_or_rare(live):
    now = datetime.now(UTC)
    follow(live)
    with live.engine.begin() as conn:
        begun = now - timedelta(days=8)
        store.save_gap(conn, Gap("binance", begun, now - timedelta(hours=3), "Nobody listened."))
    report(live, ago(30, 5e6))
    said = words(open_page(PAGE))
    assert "No market stands out" in said
    assert "Without Binance, not heard for long enough yet." in said


def test_every_chart_has_words_for_those_who_do_not_see_it(live):
    follow(live)
    report(live, ago(60, 5e5))
    drawn = charts(open_page(PAGE))
    assert len(drawn) == 4
    for chart in drawn:
        assert len(chart["alt"]) > 20
        assert json.loads(chart["spec"])["data"]


def test_a_narrow_screen_shows_one_chart_at_a_time(live, monkeypatch):
    for module in ("viewport", "liquidation_draw"):
        monkeypatch.setattr(f"core.ui.{module}.is_narrow", lambda: True)
    follow(live)
    report(live, ago(60, 5e5))
    seen = set()
    for part in ("over time", "cumulative", "symbols", "venues", "map"):
        at = open_page(PAGE, {"part": part})
        (chart,) = charts(at)
        seen.add(chart["alt"])
        assert len(tape(at)) == 1
    assert len(seen) == 5


def test_before_anybody_listened_the_page_says_what_brings_the_first_event(live):
    at = open_page(PAGE)
    assert "Nobody has listened to liquidations yet" in words(at)
    assert at.code[0].value == "python -m core worker"
    assert not given(at, "tape")


def test_a_stream_without_an_event_yet_is_no_empty_page(live):
    follow(live)
    at = open_page(PAGE)
    assert tape(at) == []
    assert "No event passes the filters in the last 1 h." in str(given(at, "tape"))
    assert "Binance" in words(at)


def test_a_database_that_breaks_is_a_sentence_and_the_next_run_is_whole(live, monkeypatch):
    follow(live)
    report(live, ago(60))

    def broken(*_: object, **__: object) -> pd.DataFrame:
        raise OperationalError("select", {}, Exception("disk I/O error"))

    with monkeypatch.context() as broken_store:
        broken_store.setattr(store, "load_streams", broken)
        at = open_page(PAGE)
        assert "The database does not answer" in words(at)
    assert len(tape(run(at))) == 1


# A market of bars


@pytest.fixture
def demo(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    here = serve(monkeypatch, new_sqlite(), tmp_path)
    yield here
    here.engine.dispose()


def test_a_market_of_bars_shows_its_hourly_totals_up_to_its_last_bar(demo):
    frame = make_frame(["AUSDT", "BUSDT"], hours=200)
    longs, shorts = "long_liquidations_usd", "short_liquidations_usd"
    frame.loc[("AUSDT", frame.index.levels[1][-1]), longs] = 9e6
    with demo.engine.begin() as conn:
        save_bars(conn, frame)
    at = open_page(PAGE)
    day = frame.groupby("symbol").tail(24)
    assert f"{day[longs].sum() / 1e6:.1f}\u00a0M" in words(at)
    assert "Single events are known on the live market only" in words(at)
    flow, by_symbol = charts(at)
    drawn = {trace["name"]: trace for trace in json.loads(flow["spec"])["data"]}
    assert len(drawn["longs"]["y"]) >= 24 or drawn["longs"]["y"]["bdata"]
    assert "AUSDT" in by_symbol["alt"]
    assert shorts.split("_")[0] in by_symbol["alt"]
    assert "all of 168" in words(at)


def test_bars_without_liquidations_are_a_gap_and_no_calm(demo):
    nothing = {f"{side}_liquidations_usd": float("nan") for side in ("long", "short")}
    frame = make_frame(["AUSDT"], hours=48)
    last = frame.index[-5:]
    frame.loc[last, list(nothing)] = float("nan")
    with demo.engine.begin() as conn:
        save_bars(conn, frame)
    at = open_page(PAGE, {"window": "4 h"})
    flow = charts(at)[0]
    assert '"name":"missing"' in flow["spec"]
    assert "No market stands out" in words(at)


def test_a_store_without_bars_says_what_to_run(demo):
    at = open_page(PAGE)
    assert "No liquidations yet" in words(at)
    assert "core replay" in at.code[0].value


# The drawing library


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_the_drawing_library_comes_from_this_server_and_is_kept(encoding):
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=list(ROUTES)))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get(f"{LIBRARY}?v=1", headers={"accept-encoding": encoding})

    answer = asyncio.run(ask())
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers.get("content-encoding", "identity") == encoding
    assert "Plotly" in answer.text
