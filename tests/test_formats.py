"""Numbers and times on the screen, and the colours that have to be told apart."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ui import formats
from core.ui.formats import DASH, MINUS, UTC_CLOCK, Clock
from core.ui.palette import DARK, DIRECTIONS, LIGHT, VERDICTS, Palette, template
from core.ui.signal_list import COLUMNS

ONE_NUMBER = [
    formats.number,
    formats.percent,
    formats.compact,
    formats.usd,
    formats.usd_exact,
    formats.price,
    formats.r_multiple,
    formats.times,
    formats.quantity,
    formats.duration,
]
amounts = st.floats(-1e15, 1e15)


@pytest.mark.parametrize("show", ONE_NUMBER)
@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, -math.inf])
def test_what_is_unknown_is_a_dash(show, unknown):
    assert show(unknown) == DASH


@given(amounts)
def test_no_number_has_a_hyphen_or_a_negative_zero(value):
    for show in ONE_NUMBER:
        text = show(value)
        assert "-" not in text
        assert any(digit in text for digit in "123456789") or MINUS not in text


@given(amounts, st.integers(0, 6))
def test_a_number_reads_back_within_half_of_its_last_digit(value, digits):
    text = formats.number(value, digits).replace(",", "").replace(MINUS, "-")
    assert float(text) == pytest.approx(value, rel=1e-12, abs=0.5001 * 10**-digits)


@given(st.floats(1e-6, 1e6), st.floats(1, 100))
def test_prices_beside_each_other_have_the_same_decimals(price, factor):
    ends = [formats.price(value, like=price).split(".") for value in (price, price * factor)]
    assert {len(parts[1]) if len(parts) > 1 else 0 for parts in ends} == {
        formats.price_decimals(price)
    }


@given(st.floats(1e-6, 1e6))
def test_a_price_is_shown_to_less_than_a_hundredth_of_a_percent(price):
    assert float(formats.price(price).replace(",", "")) == pytest.approx(price, rel=1e-4)


@given(st.lists(st.floats(0, 1e6), min_size=2))
def test_the_longer_time_never_reads_shorter(hours):
    sizes = {"s": 1, "min": 60, "h": 3600, "d": 86400}

    def seconds(text: str) -> float:
        amount, unit = text.split("\u00a0")
        return float(amount) * sizes[unit]

    shown = [seconds(formats.duration(span)) for span in sorted(hours)]
    assert all(one <= other for one, other in pairwise(shown))


def test_fractions_become_percent_and_signs_are_shown_where_they_matter():
    assert formats.percent(0.1234) == "12.3\u00a0%"
    assert formats.percent(0.0, sign=True) == "0.0\u00a0%"
    assert formats.percent(-0.0004, sign=True) == "0.0\u00a0%"


@pytest.mark.parametrize(
    ("amount", "text"),
    [(999.4, "999"), (999.9, "1.0\u00a0k"), (999_950, "1.0\u00a0M"), (123_456_789, "123\u00a0M")],
)
def test_a_short_amount_never_has_four_digits(amount, text):
    assert formats.compact(amount) == text


# Times


def test_a_time_is_shown_in_the_reader_s_zone_over_the_change_of_the_clocks():
    berlin = Clock.named("Europe/Berlin")
    before = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert berlin.minute(before) == berlin.minute(before + timedelta(hours=1)) == "02:30"
    assert UTC_CLOCK.minute(before + timedelta(hours=1)) == "01:30"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        UTC_CLOCK.stamp(datetime(2025, 10, 1))  # noqa: DTZ001


def test_an_unknown_time_is_a_dash():
    for show in (UTC_CLOCK.minute, UTC_CLOCK.stamp, UTC_CLOCK.day):
        assert show(None) == show(pd.NaT) == DASH


@pytest.mark.parametrize("name", ["", "Nowhere/Land", "../etc/passwd", "UTC\0", None])
def test_a_zone_that_does_not_exist_is_utc(name):
    assert Clock.named(name) == UTC_CLOCK


def test_a_chart_s_axis_has_the_reader_s_wall_clock():
    times = pd.DatetimeIndex(["2025-10-01T00:00Z"])
    assert str(Clock.named("Asia/Tokyo").axis(times)[0]) == "2025-10-01 09:00:00"


# Colours


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of the Web Content Accessibility Guidelines."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda palette: palette.mode)
@pytest.mark.parametrize("name", ["ink", "muted", "long_ink", "short_ink", "live_ink", "failing"])
def test_words_can_be_read_on_every_ground(colours, name):
    for ground in (colours.ground, colours.panel):
        assert contrast(getattr(colours, name), ground) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda palette: palette.mode)
@pytest.mark.parametrize("name", ["long", "short", "neutral", "live"])
def test_marks_stand_out_from_every_ground(colours, name):
    for ground in (colours.ground, colours.panel):
        assert contrast(getattr(colours, name), ground) >= 3


# What the eye keeps of red, green and blue light with each deficiency (Machado and others, 2009).
DEFICIENCIES = {
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_long_and_short_stay_apart_for_every_reader(deficiency):
    def seen(colour: str) -> list[float]:
        parts = [(int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
        return [
            max(sum(weight * part for weight, part in zip(row, parts, strict=True)), 0) ** (1 / 2.2)
            for row in DEFICIENCIES[deficiency]
        ]

    assert math.dist(seen(LIGHT.long), seen(LIGHT.short)) > 0.4


def test_no_state_is_told_by_colour_alone():
    for signs in (DIRECTIONS, VERDICTS):
        assert len({sign.word for sign in signs.values()}) == len(signs)
        assert len({sign.glyph for sign in signs.values()}) == len(signs)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda palette: palette.mode)
def test_charts_have_the_ground_and_the_ink_of_the_page(colours: Palette):
    layout = template(colours.mode)["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == colours.ground
    assert layout["font"]["color"] == colours.ink


@pytest.mark.parametrize(
    ("size", "said"), [(1.0, "1×"), (0.5, "0.5×"), (0.25, "0.25×"), (0.126, "0.13×"), (1.5, "1.5×")]
)
def test_a_size_has_the_digits_that_it_needs_in_a_list_too(size, said):
    assert formats.times(size) == said
    row = {"verdict": "DOWNSIZE", "multiplier": size}
    assert str(COLUMNS["verdict"].fill(row, UTC_CLOCK)).endswith(f" {said}")
