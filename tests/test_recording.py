"""Recordings: what was known at the close of every bar, from files as they were published."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RecordingError
from core.market.files import FILES
from core.market.frame import SOURCES, validate
from core.market.recording import load, read, write
from core.signals import load_profile, score

MIDNIGHT = pd.Timestamp("2025-10-01T00:00Z")
BTC = "BTCUSDT"
Tables = dict[str, pd.DataFrame]


def at(hours: float) -> pd.Timestamp:
    return MIDNIGHT + pd.Timedelta(hours=hours)


def candles(
    symbol: str = BTC, hours: int = 24, *, venue: str = "binance", first: int = 0
) -> pd.DataFrame:
    opened = pd.date_range(at(first), periods=hours, freq="h", unit="ms")
    price = 100.0 + np.arange(hours)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "venue": venue,
            "open_at": opened,
            "published_at": opened + pd.Timedelta(hours=1),
            "open": price,
            "high": price + 2,
            "low": price - 2,
            "close": price + 1,
            "volume": 10.0,
        }
    )


def values(hours: list[float], **columns: object) -> pd.DataFrame:
    """Rows published at these hours; a symbol and a venue unless they are given."""
    known_at = "settled_at" if "funding_rate" in columns else "published_at"
    rows = {"symbol": BTC, "venue": "binance", known_at: [at(hour) for hour in hours]}
    return pd.DataFrame(rows | columns)


def totals(
    hours: list[float], longs: list[float], *, opened: list[float] | None = None
) -> pd.DataFrame:
    """Liquidations of the 4 hours before each of these hours."""
    open_at = [at(hour) for hour in opened or [hour - 4 for hour in hours]]
    return values(hours, open_at=open_at, long_liquidations_usd=longs, short_liquidations_usd=8.0)


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording of one day of BTCUSDT with these tables."""

    def make(**tables: pd.DataFrame) -> Path:
        write(tmp_path / "recording", {"candles_1h": candles()} | tables)
        return tmp_path / "recording"

    return make


def shown(path: Path, column: str, symbol: str = BTC) -> list[float | None]:
    """A column's values at 01:00, 02:00, ... of the first day; None where unknown."""
    series = load(path).loc[symbol, column]
    return [None if np.isnan(value) else value for value in series]


# What a bar shows


def test_a_row_stands_at_the_close_of_its_bar(record: Callable[..., Path]) -> None:
    frame = load(record())
    assert frame.index[0] == (BTC, at(1))
    assert frame.iloc[0].to_dict() == {
        "open": 100,
        "high": 102,
        "low": 98,
        "close": 101,
        "volume_usd": 10 * 100.25,
    }
    validate(frame)


def test_turnover_is_the_venues_own_where_it_is_published(record: Callable[..., Path]) -> None:
    own = np.where(np.arange(24) == 1, np.nan, 1_234.0)
    path = record(candles_1h=candles().assign(quote_volume=own))
    assert shown(path, "volume_usd")[:3] == [1_234, 10 * 101.25, 1_234]


def test_a_candle_that_came_after_its_close_is_unknown_in_its_row(
    record: Callable[..., Path],
) -> None:
    late = candles()
    late.loc[2, "published_at"] += pd.Timedelta(minutes=1)
    recording = read(record(candles_1h=late))
    assert recording.frame.iloc[2].isna().all()
    assert recording.frame.drop((BTC, at(3))).notna().all(axis=None)
    assert recording.ages["candles"].isna().tolist() == [n == 2 for n in range(24)]


def test_a_value_is_shown_from_the_first_bar_that_closes_after_it_was_published(
    record: Callable[..., Path],
) -> None:
    path = record(open_interest=values([3, 6.5], open_interest_usd=[5.0, 6.0]))
    assert shown(path, "open_interest_usd")[:8] == [None, None, 5, 5, 5, 5, 6, 6]


def test_a_nanosecond_after_the_close_is_after_the_close(record: Callable[..., Path]) -> None:
    known_at = pd.DatetimeIndex([at(3) + pd.Timedelta(nanoseconds=1)]).as_unit("ns")
    path = record(social=values([3], social_score=50.0).assign(published_at=known_at))
    assert shown(path, "social_score")[:4] == [None, None, None, 50]


def test_a_value_older_than_twice_its_step_is_unknown(record: Callable[..., Path]) -> None:
    path = record(open_interest=values([4], open_interest_usd=[5.0]))
    assert shown(path, "open_interest_usd")[3:13] == [5] * 9 + [None]


def test_a_series_that_comes_more_often_is_stale_sooner(record: Callable[..., Path]) -> None:
    path = record(open_interest=values([1, 2, 3, 4], open_interest_usd=[1.0, 2.0, 3.0, 4.0]))
    assert shown(path, "open_interest_usd")[:8] == [1, 2, 3, 4, 4, 4, None, None]


def test_an_outage_does_not_stretch_the_step(record: Callable[..., Path]) -> None:
    path = record(social=values([1, 2, 3, 14], social_score=[1.0, 2.0, 3.0, 4.0]))
    assert shown(path, "social_score")[12:18] == [None, 4, 4, 4, None, None]


def test_a_null_is_unknown_and_not_the_value_before(record: Callable[..., Path]) -> None:
    recording = read(record(open_interest=values([1, 2], open_interest_usd=[5.0, np.nan])))
    assert recording.frame["open_interest_usd"].isna().tolist()[:3] == [False, True, True]
    assert recording.ages["open_interest"].isna().tolist()[:3] == [False, True, True]


def test_funding_of_other_intervals_is_converted_to_8_hours(record: Callable[..., Path]) -> None:
    settled = values([8, 12, 13], funding_rate=[1e-4, 1e-4, 1e-4], interval_hours=[8, 4, 1])
    rates = shown(record(funding=settled), "funding_rate_8h")
    assert rates[7:13] == [1e-4] * 4 + [2e-4, 8e-4]
    assert rates[13:16] == [8e-4, 8e-4, None]


def test_top_traders_by_position_go_before_those_by_account(record: Callable[..., Path]) -> None:
    by_account = values([1, 5], long_account_share=0.5, top_account_long_share=0.6)
    by_both = by_account.assign(top_position_long_share=[0.7, np.nan])
    neither = by_account.drop(columns="top_account_long_share")
    assert shown(record(long_short=by_account), "top_long_share")[:5] == [0.6] * 5
    assert shown(record(long_short=by_both), "top_long_share")[:5] == [0.7] * 4 + [0.6]
    assert shown(record(long_short=neither), "top_long_share") == [None] * 24


def test_open_interest_in_base_units_is_unknown_unless_published(
    record: Callable[..., Path],
) -> None:
    in_usd = values([1], open_interest_usd=5.0)
    assert shown(record(open_interest=in_usd), "open_interest") == [None] * 24
    in_both = in_usd.assign(open_interest=3)
    assert shown(record(open_interest=in_both), "open_interest")[0] == 3


def test_fear_and_greed_stands_for_every_symbol_from_its_publication(
    record: Callable[..., Path],
) -> None:
    path = record(
        candles_1h=pd.concat([candles("AUSDT"), candles("BUSDT")]),
        fear_greed=pd.DataFrame({"published_at": [at(2.1)], "fear_greed": [64.0]}),
    )
    for symbol in ("AUSDT", "BUSDT"):
        assert shown(path, "fear_greed", symbol)[:4] == [None, None, 64, 64]


def test_one_symbols_values_do_not_reach_another(record: Callable[..., Path]) -> None:
    path = record(
        candles_1h=pd.concat([candles("AUSDT"), candles("BUSDT"), candles("CUSDT")]),
        open_interest=values([1], open_interest_usd=5.0, symbol="BUSDT"),
        liquidations_4h=totals([4], [8.0]).assign(symbol="BUSDT"),
    )
    known = load(path)[["open_interest_usd", "long_liquidations_usd"]].notna()
    assert known.groupby("symbol").any().all(axis=1).to_dict() == {
        "AUSDT": False,
        "BUSDT": True,
        "CUSDT": False,
    }


# Totals


def test_a_total_over_4_hours_is_spread_over_the_4_bars_from_its_publication(
    record: Callable[..., Path],
) -> None:
    path = record(liquidations_4h=totals([4, 8], [100.0, 0.0]))
    longs = shown(path, "long_liquidations_usd")
    assert longs == [None] * 3 + [25] * 4 + [0] * 4 + [None] * 13


def test_a_total_that_came_late_is_added_to_the_next(record: Callable[..., Path]) -> None:
    late = totals([4, 14, 14], [4.0, 40.0, 400.0], opened=[0, 4, 8])
    longs = shown(record(liquidations_4h=late), "long_liquidations_usd")
    assert longs[3:18] == [1] * 4 + [None] * 6 + [110] * 4 + [None]


def test_a_total_published_again_counts_once(record: Callable[..., Path]) -> None:
    again = totals([4, 6], [100.0, 120.0], opened=[0, 0])
    longs = shown(record(liquidations_4h=again), "long_liquidations_usd")
    assert longs[3:8] == [25] * 4 + [None]


# Ages


def test_ages_are_hours_since_the_value_shown_was_published(record: Callable[..., Path]) -> None:
    path = record(
        funding=values([2.5], funding_rate=1e-4, interval_hours=8),
        liquidations_4h=totals([4], [100.0]),
    )
    ages = read(path).ages
    assert tuple(ages.columns) == SOURCES
    assert ages["candles"].eq(0).all()
    assert ages["funding"].tolist()[2:5] == [0.5, 1.5, 2.5]
    assert ages["liquidations"].tolist()[3:7] == [0, 1, 2, 3]
    assert ages["liquidations"].notna().sum() == 4
    assert ages[["social", "open_interest"]].isna().all(axis=None)


# Venues


def test_the_first_venue_of_the_list_is_taken_and_silence_stays_silence(
    record: Callable[..., Path],
) -> None:
    binance = values([8], funding_rate=1e-4, interval_hours=1)
    bybit = values(list(range(24)), funding_rate=9e-4, interval_hours=8, venue="bybit")
    rates = shown(record(funding=pd.concat([bybit, binance])), "funding_rate_8h")
    assert rates == [9e-4] * 7 + [8e-4] * 3 + [None] * 14


def test_candles_of_two_venues_give_one_row_a_bar(record: Callable[..., Path]) -> None:
    both = pd.concat([candles(venue="okx", hours=9), candles(venue="bybit", first=5, hours=3)])
    frame = load(record(candles_1h=both))
    assert frame["open"].tolist() == [100, 101, 102, 103, 104, 100, 101, 102, 108]


def test_another_venue_stands_in_for_a_candle_that_was_not_there_at_its_close(
    record: Callable[..., Path],
) -> None:
    own, other = candles(venue="bybit", hours=6), candles(venue="okx", hours=6)
    own = own.assign(open=own["open"] + 0.5)
    missing, late = own["open_at"] == own["open_at"][2], own["open_at"] == own["open_at"][4]
    own.loc[late, "published_at"] += pd.Timedelta(minutes=5)
    frame = load(record(candles_1h=pd.concat([own[~missing], other])))
    assert frame["open"].tolist() == [100.5, 101.5, 102, 103.5, 104, 105.5]


# What is asked for


def test_a_missing_file_means_missing_columns(record: Callable[..., Path]) -> None:
    path = record(social=values([1], social_score=50.0))
    assert list(load(path).columns) == [
        *("open", "high", "low", "close", "volume_usd", "social_score")
    ]


def test_the_universe_serves_only_symbols_that_are_named(record: Callable[..., Path]) -> None:
    universe = pd.concat([candles("NEWUSDT"), candles(first=100)])
    path = record(candles_1h_universe=universe.assign(quote_volume=1.0))
    assert load(path).index.unique("symbol").tolist() == [BTC]
    named = load(path, symbols=["NEWUSDT", BTC])
    assert named.index.unique("symbol").tolist() == [BTC, "NEWUSDT"]
    assert named.loc[BTC].index[0] == at(1)
    (path / "candles_1h.parquet").unlink()
    assert load(path).index.unique("symbol").tolist() == [BTC, "NEWUSDT"]


def test_one_symbol_may_be_asked_for_without_a_list(record: Callable[..., Path]) -> None:
    path = record(candles_1h=pd.concat([candles("AUSDT"), candles("BUSDT")]))
    pd.testing.assert_frame_equal(load(path, "BUSDT"), load(path, ["BUSDT"]))


def test_an_unknown_symbol_is_refused_with_some_that_exist(record: Callable[..., Path]) -> None:
    with pytest.raises(RecordingError, match=r"BTCUSD is not in this recording.*BTCUSDT"):
        load(record(), symbols=["BTCUSD"])
    with pytest.raises(RecordingError, match="name one"):
        load(record(), symbols=[])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-10-01T05:00Z", "2025-10-01T09:00Z"),
        ("2025-10-01T05:00", "2025-10-01T11:00+02:00"),
        (at(5), at(9).to_pydatetime()),
    ],
)
def test_start_and_end_are_included_and_text_without_a_zone_is_utc(
    record: Callable[..., Path], start: str | datetime, end: str | datetime
) -> None:
    frame = load(record(), start=start, end=end)
    assert frame.index.get_level_values("time").tolist() == [at(hour) for hour in range(5, 10)]


def test_a_range_without_bars_is_an_empty_frame(record: Callable[..., Path]) -> None:
    recording = read(record(social=values([1], social_score=50.0)), start="2030-01-01")
    assert recording.frame.empty
    assert recording.ages.empty
    validate(recording.frame)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("soon", None, "is no time"),
        ("", None, "is no time"),
        (None, datetime(2025, 10, 1), "no zone"),  # noqa: DTZ001
        (at(2), at(1), "after end"),
    ],
)
def test_a_time_that_means_nothing_is_refused(
    record: Callable[..., Path], start: str, end: datetime, reason: str
) -> None:
    with pytest.raises(RecordingError, match=reason):
        load(record(), start=start, end=end)


# Laws


def any_tables(seed: int) -> Tables:
    """Two symbols over three days with every file irregular: gaps, late rows, two venues."""
    random = np.random.default_rng(seed)

    def some(rows: pd.DataFrame, known_at: str) -> pd.DataFrame:
        late = pd.to_timedelta(random.choice([0, 0, 0, 25, 400], len(rows)), unit="min")
        rows = rows.assign(**{known_at: rows[known_at] + late})[random.random(len(rows)) > 0.2]
        if "open_at" in rows:
            return rows
        return rows.drop_duplicates([c for c in ("symbol", "venue", known_at) if c in rows])

    hours = list(range(0, 72, 4))
    both = [("AUSDT", "bybit"), ("BUSDT", "binance"), ("AUSDT", "binance")]
    first = {("AUSDT", "binance"): 30}

    def every_4h(**columns: object) -> pd.DataFrame:
        rows = [
            values([h for h in hours if h >= first.get(key, 0)], **columns).assign(
                symbol=key[0], venue=key[1]
            )
            for key in both
        ]
        made = pd.concat(rows, ignore_index=True)
        return made.assign(
            **{name: made[name] * random.uniform(0.5, 1, len(made)) for name in columns}
        )

    liquidations = every_4h(long_liquidations_usd=100.0, short_liquidations_usd=50.0)
    liquidations["open_at"] = liquidations["published_at"] - pd.Timedelta(hours=4)
    funding = every_4h(funding_rate=1e-4)
    return {
        "candles_1h": some(pd.concat([candles("AUSDT", 72), candles("BUSDT", 72)]), "published_at"),
        "funding": some(funding.assign(interval_hours=random.choice([4, 8])), "settled_at"),
        "open_interest": some(every_4h(open_interest_usd=5.0), "published_at"),
        "long_short": some(every_4h(long_account_share=0.5), "published_at"),
        "liquidations_4h": some(liquidations, "published_at"),
        "social": some(every_4h(social_score=50.0), "published_at"),
        "fear_greed": some(
            pd.DataFrame({"published_at": [at(h) for h in hours], "fear_greed": 50.0}),
            "published_at",
        ),
    }


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 72))
def test_what_is_published_later_changes_nothing_before(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("law")
    tables = any_tables(seed)
    write(folder / "all", tables)
    known = {
        name: rows[rows["settled_at" if name == "funding" else "published_at"] <= at(cut)]
        for name, rows in tables.items()
    }
    on_time = tables["candles_1h"]["open_at"] < at(cut)
    known["candles_1h"] = tables["candles_1h"][on_time]
    if known["candles_1h"].empty:
        return
    write(folder / "known", known)
    everything, early = read(folder / "all"), read(folder / "known")
    upto = everything.frame.index.get_level_values("time") <= at(cut)
    pd.testing.assert_frame_equal(everything.frame[upto], early.frame)
    pd.testing.assert_frame_equal(everything.ages[upto], early.ages)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), start=st.integers(0, 73), hours=st.integers(0, 40))
def test_a_window_holds_the_same_values_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, seed: int, start: int, hours: int
) -> None:
    path = tmp_path_factory.mktemp("law") / "recording"
    write(path, any_tables(seed))
    whole = read(path)
    window = read(path, start=at(start), end=at(start + hours))
    times = whole.frame.index.get_level_values("time")
    inside = (times >= at(start)) & (times <= at(start + hours))
    pd.testing.assert_frame_equal(window.frame, whole.frame[inside])
    pd.testing.assert_frame_equal(window.ages, whole.ages[inside])
    alone = read(path, symbols=["BUSDT"])
    pd.testing.assert_frame_equal(alone.frame, whole.frame.loc[["BUSDT"]])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_reading_the_files_gives_the_tables_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = tmp_path_factory.mktemp("law") / "recording"
    tables = {name: rows.reset_index(drop=True) for name, rows in any_tables(seed).items()}
    write(path, tables)
    assert {file.stem for file in path.iterdir()} == set(tables)
    for name, rows in tables.items():
        pd.testing.assert_frame_equal(pd.read_parquet(path / f"{name}.parquet"), rows)


# Damage


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def text(file: Path) -> None:
    file.write_text("symbol,close\n")


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [truncated, text, flipped])
@pytest.mark.parametrize("name", ["candles_1h", "open_interest"])
def test_a_broken_file_is_named(
    record: Callable[..., Path], damage: Callable[[Path], None], name: str
) -> None:
    path = record(open_interest=values(list(range(900)), open_interest_usd=np.arange(900.0)))
    damage(path / f"{name}.parquet")
    with pytest.raises(RecordingError, match=rf"{name}\.parquet .*(copy|again)"):
        load(path)


OPEN_INTEREST = values([1, 2], open_interest_usd=5.0)
FUNDING = values([1, 2], funding_rate=1e-4, interval_hours=8)
WRONG = [
    ("open_interest", OPEN_INTEREST.drop(columns="symbol"), "no column symbol"),
    ("open_interest", OPEN_INTEREST.drop(columns="open_interest_usd"), "open_interest_usd"),
    ("open_interest", OPEN_INTEREST.assign(open_interest_usd="5"), "must be a number"),
    ("open_interest", OPEN_INTEREST.assign(open_interest_usd=-5.0), "cannot be negative"),
    ("open_interest", OPEN_INTEREST.assign(open_interest_usd=np.inf), "must be finite"),
    ("open_interest", OPEN_INTEREST.assign(symbol=1), "must be text"),
    ("open_interest", OPEN_INTEREST.assign(symbol=None, venue="x"), "symbol"),
    ("open_interest", OPEN_INTEREST.assign(published_at="2025-10-01"), "must be a timestamp"),
    ("open_interest", OPEN_INTEREST.assign(published_at=at(1)), "BTCUSDT binance .* twice"),
    (
        "open_interest",
        OPEN_INTEREST.assign(published_at=OPEN_INTEREST["published_at"].dt.tz_localize(None)),
        "without a zone",
    ),
    (
        "open_interest",
        OPEN_INTEREST.assign(published_at=pd.to_datetime([1_759_276_800, 1_759_280_400], utc=True)),
        "outside the years",
    ),
    ("funding", FUNDING.assign(interval_hours=[8, 0]), "interval"),
    ("funding", FUNDING.drop(columns="settled_at"), "settled_at"),
    ("long_short", values([1], long_account_share=55.0), "between 0 and 1"),
    ("liquidations_4h", totals([4], [1.0], opened=[4]), "before it began"),
    ("candles_1h", candles().assign(open=-1.0), "above 0"),
    ("candles_1h", candles().assign(low=1e9), "low"),
    ("candles_1h", pd.concat([candles(), candles()]), "twice"),
    (
        "candles_1h",
        candles().assign(open_at=candles()["open_at"] + pd.Timedelta(minutes=1)),
        "on the hour",
    ),
]


@pytest.mark.parametrize(("name", "table", "reason"), WRONG)
def test_a_file_that_does_not_hold_what_it_must_is_named(
    record: Callable[..., Path], name: str, table: pd.DataFrame, reason: str
) -> None:
    path = record()
    pq.write_table(pa.Table.from_pandas(table), path / f"{name}.parquet")
    with pytest.raises(RecordingError, match=rf"(?s){name}\.parquet .*{reason}"):
        load(path)


def test_a_folder_without_candles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match="no candles"):
        load(tmp_path)
    write(tmp_path / "empty", {"candles_1h": candles(hours=1).iloc[:0]})
    with pytest.raises(RecordingError, match="no candles"):
        load(tmp_path / "empty")


# The digest


def test_the_digest_names_the_content_and_not_the_part_asked_for(
    record: Callable[..., Path],
) -> None:
    social = values([1], social_score=50.0)
    path = record(social=social)
    digest = read(path).digest
    assert read(path, symbols=BTC, start=at(5)).digest == digest
    assert read(record(social=social)).digest == digest
    assert read(record(social=social.assign(social_score=51.0))).digest != digest
    assert read(record(social=social, open_interest=OPEN_INTEREST)).digest != digest


# Writing


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RecordingError, match=r"notes\.txt"):
        write(tmp_path, {"candles_1h": candles()})
    with pytest.raises(RecordingError, match="is a file"):
        write(tmp_path / "notes.txt", {"candles_1h": candles()})
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_recording_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    write(path, {"candles_1h": candles(), "open_interest": OPEN_INTEREST})
    before = read(path).digest
    with pytest.raises(RecordingError, match="without a zone"):
        write(path, {"candles_1h": candles(), "open_interest": WRONG[9][1]})
    assert read(path).digest == before
    write(path, {"candles_1h": candles("ETHUSDT")})
    assert [file.name for file in path.iterdir()] == ["candles_1h.parquet"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["recording"]


def test_a_table_cannot_be_named_out_of_its_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot name a file"):
        write(tmp_path / "recording", {"../candles_1h": candles()})


def test_a_table_of_another_kind_is_kept_as_it_is(tmp_path: Path) -> None:
    orders = pd.DataFrame({"side": ["SELL"], "ts_ms": [1]})
    write(tmp_path / "r", {"candles_1h": candles(), "liquidation_orders_binance": orders})
    again = pd.read_parquet(tmp_path / "r" / "liquidation_orders_binance.parquet")
    pd.testing.assert_frame_equal(again, orders)
    assert len(load(tmp_path / "r")) == 24


# A real market


def test_a_real_recording_loads_fast_and_holds_what_it_says(shared_recording: Path) -> None:
    began = time.perf_counter()
    recording = read(shared_recording)
    assert time.perf_counter() - began < 2
    frame, ages = recording.frame, recording.ages
    assert frame.shape == (60_192, 13)
    assert len(frame.index.unique("symbol")) == 33
    assert "social_score" not in frame
    known = frame.notna().groupby("symbol").any()
    assert known.sum()[["long_account_share", "open_interest_usd", "open_interest"]].tolist() == [
        *(1, 4, 0)
    ]
    assert ages["funding"].max() < 8
    assert ages["fear_greed"].max() < 24
    validate(frame)


def test_liquidations_of_a_real_recording_sum_to_what_was_published(
    shared_recording: Path,
) -> None:
    published = pd.read_parquet(shared_recording / "liquidations_4h.parquet")
    frame = load(shared_recording, symbols=[BTC])
    day = frame.loc[BTC, "long_liquidations_usd"].loc["2025-10-10T04:00Z":"2025-10-11T03:00Z"]
    first, last = pd.Timestamp("2025-10-10T04:00Z"), pd.Timestamp("2025-10-11T00:00Z")
    known_at = published["published_at"]
    chosen = (published["symbol"] == BTC) & (known_at >= first) & (known_at <= last)
    assert len(day) == 24
    assert day.sum() == pytest.approx(published.loc[chosen, "long_liquidations_usd"].sum())


def test_a_window_of_a_real_recording_holds_the_same_values(shared_recording: Path) -> None:
    symbols = [BTC, "SOLUSDT", "HYPEUSDT"]
    start = datetime(2025, 10, 10, 13, tzinfo=UTC)
    whole = load(shared_recording, symbols)
    window = load(shared_recording, symbols, start=start)
    later = whole.index.get_level_values("time") >= pd.Timestamp(start)
    pd.testing.assert_frame_equal(window, whole[later])


def test_a_real_recording_has_enough_for_four_markets(shared_recording: Path) -> None:
    scored = score(load(shared_recording), load_profile())
    newest = scored.groupby("symbol").tail(1).droplevel("time")
    heard = newest.loc[newest["direction"].notna(), "coverage"].round(2)
    assert heard.to_dict() == {BTC: 0.94, "ETHUSDT": 0.72, "SOLUSDT": 0.72, "XRPUSDT": 0.72}
    assert newest.loc[newest["direction"].isna(), "no_signal"].str.contains("not enough data").all()


def test_every_file_of_the_format_feeds_a_source_of_the_frame() -> None:
    assert {source.name for source in FILES.values()} == set(SOURCES)
