"""How fresh a live market is: what is stored about it, and the one sentence it comes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from core.market.choice import live_market
from core.market.stream.batch import StreamState
from core.signals import load_profile
from core.store.leases import take_lease
from core.store.liquidations import save_stream
from core.store.rounds import announce_past, end_round, start_round
from core.store.signals import save_bars
from core.store.vitals import Heard, Vitals, load_vitals
from core.ui.formats import UTC_CLOCK, Clock
from core.ui.freshness import Circumstances, Freshness, away_words, freshness
from core.ui.header import amiss_html, badge_html
from tests.builders import make_frame

NOW = datetime(2025, 11, 3, 14, 30, tzinfo=UTC)
BAR = datetime(2025, 11, 3, 14, tzinfo=UTC)
THREE = ("binance", "bybit", "okx")


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def heard(venue: str, down: bool = False, **span: float) -> Heard:
    return Heard(venue, down, ago(**span) if span else NOW, NOW)


def make_vitals(**changes: object) -> Vitals:
    """A market whose worker hears three exchanges and has done the newest bar."""
    streams = tuple(map(heard, THREE))
    usual = {"newest_bar": BAR, "done_bar": BAR, "workers": 1, "streams": streams}
    return Vitals(**usual | changes)  # type: ignore[arg-type]


def judged(
    vitals: Vitals, served: datetime | None = None, *, worker: bool = True, clock: Clock = UTC_CLOCK
) -> Freshness:
    around = Circumstances(served or ago(hours=2), THREE, worker)
    return freshness(vitals, around, NOW, clock)


# The sentence


def test_a_market_in_order_is_live_and_nothing_is_said() -> None:
    assert judged(make_vitals()) == Freshness("live")


def test_one_silent_exchange_is_a_note_and_nothing_stale() -> None:
    streams = (heard("binance"), heard("bybit"), heard("okx", minutes=28))
    found = judged(make_vitals(streams=streams))
    assert found == Freshness("live", "1 of 3 exchanges is silent since 14:02: okx.")
    assert "stale" not in amiss_html(found)


def test_each_of_several_silent_exchanges_has_its_own_time() -> None:
    streams = (heard("binance"), heard("bybit", True, minutes=5), heard("okx", minutes=28))
    said = judged(make_vitals(streams=streams)).words
    assert said == "2 of 3 exchanges are silent: bybit since 14:25, okx since 14:02."


@pytest.mark.parametrize(
    "streams",
    [
        tuple(heard(venue, minutes=2) for venue in THREE),
        tuple(heard(venue, down=True, seconds=5) for venue in THREE),
    ],
)
def test_when_no_exchange_is_heard_it_is_stale_and_says_since_when(
    streams: tuple[Heard, ...],
) -> None:
    found = judged(make_vitals(streams=streams))
    assert found.state == "stale"
    assert f"No exchange can be heard since {UTC_CLOCK.minute(streams[0].heard_at)}" in found.words
    assert "binance, bybit, okx" in found.words
    assert "core doctor" in found.words


def test_an_exchange_that_is_no_longer_followed_is_not_missed() -> None:
    streams = (*make_vitals().streams, heard("mexc", minutes=600))
    assert judged(make_vitals(streams=streams)) == Freshness("live")


def test_without_a_worker_it_is_stale_and_says_what_to_do() -> None:
    gone = make_vitals(workers=0, worker_seen_at=ago(minutes=9), streams=())
    assert judged(gone).state == "stale"
    assert "since 14:21" in judged(gone).words
    assert "starts it again by itself" in judged(gone).words
    assert "python -m core worker" in judged(gone, worker=False).words


def test_right_after_the_start_a_worker_is_not_missed_yet() -> None:
    gone = make_vitals(workers=0)
    assert judged(gone, served=ago(seconds=20)).state == "starting"
    assert judged(gone, served=ago(seconds=31)).state == "stale"
    assert judged(gone, served=ago(seconds=20), worker=False).state == "stale"


def test_what_a_start_finds_of_an_earlier_run_is_not_held_against_it() -> None:
    before = tuple(Heard(venue, True, ago(hours=9), ago(hours=9)) for venue in THREE)
    old = make_vitals(newest_bar=ago(hours=9), streams=before)
    assert judged(old, served=ago(seconds=20)).state == "starting"
    tried = tuple(Heard(venue, True, ago(hours=9), NOW) for venue in THREE)
    assert judged(make_vitals(streams=tried), served=ago(seconds=20)).state == "stale"


@pytest.mark.parametrize(("minutes", "state"), [(64, "live"), (66, "stale")])
def test_a_bar_may_be_five_minutes_late(minutes: int, state: str) -> None:
    assert judged(make_vitals(newest_bar=ago(minutes=minutes))).state == state


def test_an_old_bar_is_named_with_what_the_last_try_met() -> None:
    said = judged(make_vitals(newest_bar=ago(hours=3), failure="okx is down.")).words
    assert said.startswith("The newest bar is of 11:30, and the next is 2\u00a0h overdue.")
    assert "Last try: okx is down." in said
    yesterday = judged(make_vitals(newest_bar=ago(hours=20))).words
    assert "of 2 Nov 2025, 18:30" in yesterday


def test_a_past_that_is_being_worked_through_is_not_stale() -> None:
    assert judged(make_vitals(newest_bar=ago(days=9), catching_up=True)) == Freshness("live")
    assert judged(make_vitals(newest_bar=None)) == Freshness("live")


def test_a_market_that_never_came_says_why() -> None:
    found = judged(make_vitals(newest_bar=None, streams=(), failure="No exchange has given one."))
    assert found.state == "stale"
    assert "Nothing has been collected yet. No exchange has given one." in found.words


def test_the_worst_is_said_first() -> None:
    silent = tuple(heard(venue, minutes=9) for venue in THREE)
    worst = make_vitals(workers=0, streams=silent, newest_bar=ago(hours=9))
    assert "No worker" in judged(worst).words
    assert "No exchange" in judged(make_vitals(streams=silent, newest_bar=ago(hours=9))).words


def test_times_are_in_the_reader_s_zone() -> None:
    streams = (heard("binance"), heard("bybit"), heard("okx", minutes=28))
    said = judged(make_vitals(streams=streams), clock=Clock.named("Asia/Tokyo")).words
    assert "since 23:02" in said


def test_a_database_that_is_away_says_when_what_is_shown_was_known() -> None:
    said = away_words(ago(minutes=2), ago(minutes=3), NOW, UTC_CLOCK)
    assert "not answered since 14:28" in said
    assert "known at 14:27; the page tries again by itself." in said
    assert "Nothing is known" in away_words(ago(minutes=2), None, NOW, UTC_CLOCK)


def test_the_badge_of_a_stale_market_does_not_say_live() -> None:
    assert "STALE" in badge_html(live_market(), "stale")
    assert "LIVE" not in badge_html(live_market(), "stale")
    assert "LIVE" in badge_html(live_market())


# What is stored


def test_an_empty_database_has_no_vitals(engine: Engine) -> None:
    with engine.connect() as conn:
        assert load_vitals(conn, NOW) == Vitals()


def test_vitals_are_what_worker_streams_and_rounds_have_left(engine: Engine) -> None:
    frame = make_frame(["AUSDT"], hours=3)
    newest = frame.index.get_level_values("time").max().to_pydatetime()
    with engine.begin() as conn:
        save_bars(conn, frame)
        start_round(conn, newest, "w", NOW)
        end_round(conn, newest, NOW)
        start_round(conn, newest + timedelta(hours=1), "w", NOW)
        end_round(conn, newest + timedelta(hours=1), NOW, "okx is down.")
        take_lease(conn, "worker a", "a", NOW, timedelta(seconds=15))
        take_lease(conn, "worker b", "b", ago(minutes=9), timedelta(seconds=15))
        take_lease(conn, "stream okx", "a", NOW, timedelta(seconds=15))
        save_stream(conn, StreamState("okx", "down", heard_at=ago(seconds=8)), NOW)
        found = load_vitals(conn, NOW)
    assert found == Vitals(
        newest_bar=newest,
        done_bar=newest,
        failure="okx is down.",
        workers=1,
        worker_seen_at=NOW + timedelta(seconds=15),
        streams=(Heard("okx", True, ago(seconds=8), NOW),),
    )


def test_a_past_counts_as_under_way_while_it_moves(engine: Engine) -> None:
    with engine.begin() as conn:
        announce_past(conn, "past x", "Live market", [load_profile()], 9_000, NOW)
        assert load_vitals(conn, NOW).catching_up
        assert not load_vitals(conn, NOW + timedelta(minutes=3)).catching_up
