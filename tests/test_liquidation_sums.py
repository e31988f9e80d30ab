"""Sums of liquidations, times in which nobody listened, and what stands out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.market import liquidation_sums as sums
from core.market.spikes import LEAST_STRETCHES, LEAST_USD, by_luck, compare, stand_out

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def make_rows(*rows: tuple[float, str, str, float, float]) -> pd.DataFrame:
    """Rows of minute after noon, symbol, venue, longs and shorts."""
    table = pd.DataFrame(rows, columns=["at", "symbol", "venue", "long_usd", "short_usd"])
    table["slot"] = pd.Timestamp(NOON) + pd.to_timedelta(table.pop("at"), unit="min")
    return table


def make_gaps(*rows: tuple[str, float, float | None, str]) -> pd.DataFrame:
    """Gaps of a stream from one minute after noon to another, None while it lasts."""
    made = [
        (venue, NOON + first * MINUTE, None if last is None else NOON + last * MINUTE, why, 0)
        for venue, first, last, why in rows
    ]
    gaps = pd.DataFrame(made, columns=list(sums.GAP_COLUMNS))
    for name in ("started_at", "ended_at"):
        gaps[name] = pd.to_datetime(gaps[name], utc=True)
    return gaps


def make_streams(**heard: float) -> pd.DataFrame:
    """Streams by the minutes after noon at which they were last heard."""
    times = [NOON + minutes * MINUTE for minutes in heard.values()]
    return pd.DataFrame({"heard_at": times}, index=pd.Index(heard, dtype=object))


def nobody_knows() -> pd.Series:
    return pd.Series([], index=pd.Index([], dtype=object), dtype="datetime64[us, UTC]")


# Sums


def test_longs_and_shorts_are_never_netted():
    rows = make_rows((0, "A", "okx", 5, 3), (0, "B", "okx", 1, 9), (2, "A", "okx", 2, 0))
    added = sums.add_up(rows, sums.slots_of(NOON, NOON + 3 * MINUTE, MINUTE))
    assert added.to_numpy().tolist() == [[6, 12], [0, 0], [2, 0]]


def test_what_adds_up_to_most_comes_first_whatever_its_side():
    rows = make_rows((0, "A", "okx", 5, 3), (1, "B", "bybit", 1, 9), (1, "C", "okx", 7, 0))
    assert sums.rank(rows, "symbol").index.tolist() == ["B", "A", "C"]
    assert sums.rank(rows, "venue").loc["okx"].tolist() == [12, 3]


def test_filters_leave_what_was_asked_for():
    rows = make_rows((0, "A", "okx", 1, 0), (0, "B", "okx", 1, 0), (0, "A", "bybit", 1, 0))
    assert len(sums.choose(rows, ["okx"])) == 2
    assert len(sums.choose(rows, ["okx"], ["A"])) == 1


def test_a_venue_that_is_heard_itself_is_not_counted_again_through_a_provider():
    assert sums.repeated(["binance", "coinglass:binance", "coinglass:bitget"]) == {
        "coinglass:binance"
    }
    assert sums.repeated(["coinglass:binance"]) == set()


def test_what_is_settled_lies_a_quarter_of_an_hour_back_and_on_five_minutes():
    for seconds in range(0, 3600, 7):
        now = NOON + timedelta(seconds=seconds)
        settled = sums.settled_before(now)
        assert timedelta(minutes=15) <= now - settled < timedelta(minutes=20)
        assert settled.minute % 5 == 0


# Gaps


def test_before_a_stream_was_first_followed_nothing_is_known():
    first = pd.Series({"okx": NOON - HOUR})
    stored = make_gaps(("okx", -60, -30, "Nobody listened yet."))
    streams = make_streams(okx=0)
    gaps = sums.complete_gaps(stored, first, streams, NOON - 24 * HOUR, NOON)
    (gap,) = gaps.to_dict("records")
    assert (gap["started_at"], gap["ended_at"]) == (NOON - 24 * HOUR, NOON - 30 * MINUTE)


def test_a_stream_that_nobody_follows_any_more_has_a_gap_since_it_was_last_heard():
    nothing = make_gaps()
    streams = make_streams(okx=-10, bybit=-0.5)
    gaps = sums.complete_gaps(nothing, nobody_knows(), streams, NOON - HOUR, NOON)
    (gap,) = gaps.to_dict("records")
    assert (gap["venue"], gap["started_at"]) == ("okx", NOON - 10 * MINUTE)
    assert pd.isna(gap["ended_at"])
    assert "Nobody listens" in gap["reason"]


def test_a_gap_that_lasts_is_not_told_twice():
    lasting = make_gaps(("okx", -5, None, "The socket was cut."))
    streams = make_streams(okx=-5)
    gaps = sums.complete_gaps(lasting, nobody_knows(), streams, NOON - HOUR, NOON)
    assert gaps["reason"].tolist() == ["The socket was cut."]


def test_a_venue_through_a_provider_has_the_gaps_of_the_provider_s_stream():
    gaps = make_gaps(("coinglass", -5, None, "x"), ("okx", -5, None, "x"))
    assert sums.of_streams(gaps, ["coinglass:bitget"])["venue"].tolist() == ["coinglass"]


def test_a_slot_that_a_gap_touches_was_not_heard():
    slots = sums.slots_of(NOON, NOON + 5 * MINUTE, MINUTE)
    gaps = make_gaps(("okx", 1.5, 2.0, "x"), ("okx", 4.2, None, "x"))
    assert sums.unheard(slots, MINUTE, gaps).tolist() == [False, True, False, False, True]


def test_stretches_without_a_stream_are_cut_to_the_window_and_joined():
    gaps = make_gaps(("okx", -9, 2, "x"), ("bybit", 1, 3, "y"), ("okx", 7, None, "z"))
    found = sums.stretches(gaps, NOON, NOON + 8 * MINUTE)
    minutes = [[(at - NOON) / MINUTE for at in stretch] for stretch in found]
    assert minutes == [[0, 3], [7, 8]]


# Spikes


def present(**usd: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(usd, index=["long_usd", "short_usd"]).T.astype(float)


def past(n: int = 400, **usd: float) -> pd.DataFrame:
    """Calm markets: every stretch up to the market's own usual amount."""
    steps = np.arange(1, n + 1) / n
    return pd.DataFrame({name: most * steps for name, most in usd.items()})


def test_a_market_stands_out_against_itself_and_not_against_others():
    now = present(BIG=(1e6, 0), SMALL=(9e4, 0))
    found = stand_out(compare(now, past(BIG=2e6, SMALL=3e4)))
    assert found.index.tolist() == ["SMALL"]
    assert found.loc["SMALL", "as_large"] == 0
    assert found.loc["SMALL", "n"] == 400


def test_both_sides_count_alike():
    one, other = (
        compare(present(A=sides), past(A=1e5)).drop(columns=["long_usd", "short_usd"])
        for sides in ((8e4, 1e3), (1e3, 8e4))
    )
    assert one.equals(other)


def test_what_was_not_heard_is_not_calm():
    calm = past(LEAST_STRETCHES, A=0.0)
    unheard = calm.copy()
    unheard.iloc[0] = np.nan
    now = present(A=(LEAST_USD, 0))
    assert stand_out(compare(now, calm)).index.tolist() == ["A"]
    judged = compare(now, unheard)
    assert judged.loc["A", "n"] == LEAST_STRETCHES - 1
    assert np.isnan(judged.loc["A", "rarity"])
    assert stand_out(judged).empty


def test_a_market_without_any_past_is_not_judged():
    judged = compare(present(NEW=(1e7, 0)), past(A=1.0))
    assert judged.loc["NEW", "n"] == 0
    assert stand_out(judged).empty
    assert by_luck(judged) == 0


def test_an_amount_that_nobody_would_look_at_does_not_stand_out():
    assert stand_out(compare(present(A=(LEAST_USD - 1, 0)), past(A=0.0))).empty


def test_one_in_a_hundred_is_the_limit():
    usual = past(399, A=399e4)
    at_limit, over = 397e4, 396e4
    assert len(stand_out(compare(present(A=(at_limit, 0)), usual))) == 1
    assert len(stand_out(compare(present(A=(over, 0)), usual))) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1e6), min_size=LEAST_STRETCHES, max_size=150),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_more_is_never_less_rare(history: list[float], one: float, other: float):
    less, more = sorted((one, other))
    calm = pd.DataFrame({"A": history})
    rarities = [compare(present(A=(usd, 0)), calm)["rarity"].item() for usd in (less, more)]
    assert 0 < rarities[1] <= rarities[0] <= 1


def test_farthest_above_its_own_mean_comes_first():
    now = present(A=(9e5, 0), B=(9e5, 0), QUIET=(2e4, 0))
    found = stand_out(compare(now, past(A=8e5, B=1e5, QUIET=0.0)))
    assert found.index.tolist() == ["QUIET", "B", "A"]
    assert found.loc["B", "above"] == pytest.approx(9e5 / past(B=1e5)["B"].mean())
