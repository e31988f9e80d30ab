from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from core.errors import FrameError
from core.market.frame import COLUMNS, NAMES, label_codes, labels, validate
from tests.builders import make_frame

Change = Callable[[pd.DataFrame], pd.DataFrame]


def test_an_ordinary_frame_passes() -> None:
    validate(make_frame(2, 30))


def test_a_frame_may_lack_columns_and_have_more() -> None:
    validate(make_frame(1, 3)[["close"]].assign(score=50.0))


def put(column: str, value: float) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.iloc[4, frame.columns.get_loc(column)] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.iloc[::-1], "sorted"),
        (lambda f: pd.concat([f.iloc[:1], f]), "appear twice"),
        (
            lambda f: f.set_axis(f.index.set_levels(f.index.levels[1].tz_localize(None), level=1)),
            "no zone",
        ),
        (
            lambda f: f.set_axis(
                f.index.set_levels(f.index.levels[1].tz_convert("Asia/Tokyo"), level=1)
            ),
            "Asia/Tokyo",
        ),
        (lambda f: f.reset_index(drop=True), "index must be"),
        (lambda f: f.astype({"close": "float32"}), "float32"),
        (put("close", -1.0), "above 0"),
        (put("close", 0.0), "above 0"),
        (put("open_interest_usd", np.inf), "finite"),
        (put("funding_rate_8h", -np.inf), "finite"),
        (put("long_account_share", 1.2), "between 0 and 1"),
        (put("top_long_share", 55.0), "between 0 and 1"),
        (put("fear_greed", 101.0), "between 0 and 100"),
        (put("volume_usd", -5.0), "negative"),
        (put("high", 1e-6), "outside its high and low"),
    ],
)
def test_what_breaks_the_contract_is_named(change: Change, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        validate(change(make_frame(2, 10)))


def test_the_error_names_row_and_column() -> None:
    with pytest.raises(FrameError) as caught:
        validate(put("long_account_share", -0.1)(make_frame(["BTCUSDT"], 10)))
    assert caught.value.column == "long_account_share"
    assert caught.value.row == ("BTCUSDT", "2025-09-01T05:00:00+00:00")
    assert "BTCUSDT" in str(caught.value)
    assert "-0.1" in str(caught.value)


def test_unknown_values_are_allowed_everywhere() -> None:
    frame = make_frame(1, 5)
    frame.iloc[2] = np.nan
    validate(frame)


def test_every_column_states_its_unit_and_source() -> None:
    assert len(set(NAMES)) == len(COLUMNS) == 14
    assert all(column.unit and column.meaning and column.source for column in COLUMNS)


def test_labels_are_texts_again_and_missing_stays_missing() -> None:
    column = labels([1, -1, 0], ["SKIP", "WAIT"], pd.RangeIndex(3))
    assert column.tolist() == ["WAIT", None, "SKIP"]
    assert label_codes(column, ["SKIP", "WAIT"]).tolist() == [1, -1, 0]
