"""What sources published, kept as it was first seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from core.errors import RecordingError, StoreError
from core.market.demo import END, demo_tables
from core.market.recording import Recording, assemble, read, write
from core.store.observations import drop_observations, load_observations, save_observations

SEEN = datetime(2025, 11, 2, tzinfo=UTC)
LATER = SEEN + timedelta(hours=1)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return demo_tables(days=6)


def assert_same(one: Recording, other: Recording) -> None:
    pd.testing.assert_frame_equal(one.frame, other.frame, check_index_type=False)
    pd.testing.assert_frame_equal(one.ages, other.ages, check_index_type=False)


def test_tables_are_assembled_as_the_files_written_of_them(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    write(tmp_path / "demo", tables)
    start = END - timedelta(hours=30)
    assert_same(assemble(tables), read(tmp_path / "demo"))
    assert_same(assemble(tables, start, END), read(tmp_path / "demo", start=start, end=END))


def test_tables_without_candles_are_refused(tables: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(RecordingError, match="no candles in the table candles_1h"):
        assemble({"funding": tables["funding"]})


def test_a_table_that_is_not_what_its_file_holds_is_named(tables: dict[str, pd.DataFrame]) -> None:
    wrong = tables | {"funding": tables["funding"].drop(columns="interval_hours")}
    with pytest.raises(RecordingError, match=r"funding\.parquet has no column interval_hours"):
        assemble(wrong)


def test_what_was_observed_makes_the_same_market(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    with engine.begin() as conn:
        new = save_observations(conn, tables, SEEN)
        found = load_observations(conn)
    assert new == sum(len(table) for table in tables.values())
    assert found.keys() == tables.keys()
    assert_same(assemble(found), assemble(tables))


def test_what_was_seen_first_stays(engine: Engine, tables: dict[str, pd.DataFrame]) -> None:
    first = {"social": tables["social"].head(3)}
    restated = {"social": tables["social"].head(5).assign(social_score=1.0)}
    with engine.begin() as conn:
        assert save_observations(conn, first, SEEN) == 3
        assert save_observations(conn, restated, LATER) == 2
        found = load_observations(conn)["social"]
    assert found["social_score"].tolist() == [*first["social"]["social_score"], 1.0, 1.0]
    assert found["seen_at"].tolist() == [SEEN] * 3 + [LATER] * 2


def test_a_number_that_was_missing_is_filled_in_and_no_other_changed(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    whole = tables["long_short"].head(3).assign(top_account_long_share=0.6)
    without = whole.assign(top_account_long_share=np.nan)
    with engine.begin() as conn:
        assert save_observations(conn, {"long_short": without}, SEEN) == 3
        later = {"long_short": whole.assign(long_account_share=0.5)}
        assert save_observations(conn, later, LATER) == 3
        assert save_observations(conn, later, LATER) == 0
        found = load_observations(conn)["long_short"]
    assert found["top_account_long_share"].tolist() == [0.6] * 3
    assert found["long_account_share"].tolist() == whole["long_account_share"].tolist()
    assert found["seen_at"].tolist() == [SEEN] * 3


def test_an_unknown_number_stays_unknown(engine: Engine, tables: dict[str, pd.DataFrame]) -> None:
    unknown = {"funding": tables["funding"].head(1).assign(funding_rate=np.nan)}
    with engine.begin() as conn:
        save_observations(conn, unknown, SEEN)
        assert load_observations(conn)["funding"]["funding_rate"].isna().all()


def test_a_part_can_be_loaded_and_the_old_dropped(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    start = END - timedelta(hours=10)
    known_at = tables["social"]["published_at"]
    with engine.begin() as conn:
        save_observations(conn, {"social": tables["social"]}, SEEN)
        part = load_observations(conn, start, END)["social"]
        assert len(part) == ((known_at >= start) & (known_at <= END)).sum() > 0
        assert drop_observations(conn, start) == (known_at < start).sum()
        assert len(load_observations(conn)["social"]) == (known_at >= start).sum()


def test_a_file_without_a_table_is_refused(sqlite_engine: Engine) -> None:
    with (
        sqlite_engine.begin() as conn,
        pytest.raises(StoreError, match="no table for candles_1h_universe"),
    ):
        save_observations(conn, {"candles_1h_universe": pd.DataFrame()}, SEEN)
