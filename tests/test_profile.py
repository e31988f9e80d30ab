from __future__ import annotations

import pytest

from core.errors import ProfileError
from core.signals import PROFILE_NAMES, load_profile, parse_profile


def test_modes_stand_in_the_order_of_caution() -> None:
    thresholds = [load_profile(name).long_threshold for name in PROFILE_NAMES]
    assert thresholds == sorted(thresholds, reverse=True)
    assert all(
        load_profile(n).long_threshold + load_profile(n).short_threshold == 100
        for n in PROFILE_NAMES
    )


def test_a_profile_survives_storage_with_its_version() -> None:
    profile = load_profile("aggressive")
    again = parse_profile(profile.model_dump(mode="json"))
    assert again == profile
    assert again.version == profile.version


def test_any_number_changes_the_version_and_the_name_does_not() -> None:
    body = load_profile().model_dump(mode="json")
    version = load_profile().version
    assert parse_profile({**body, "name": "mine"}).version == version
    assert parse_profile({**body, "threshold": 58.5}).version != version
    changed = {**body, "rules": {**body["rules"], "low_coverage": 0.71}}
    assert parse_profile(changed).version != version


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"threshold": 45}, "threshold"),
        ({"weights": {"liquidations": -1}}, "weights.liquidations"),
        ({"weights": dict.fromkeys(load_profile().weights.shares(), 0)}, "at least one weight"),
        ({"windows": {"history": 100}}, "cannot be longer than history"),
        ({"rules": {"extreme_volatility": 1.0}}, "extreme_volatility"),
        ({"wieghts": {}}, "wieghts"),
        ({"min_coverage": float("nan")}, "min_coverage"),
    ],
)
def test_a_wrong_number_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        parse_profile({**load_profile().model_dump(mode="json"), **change})
