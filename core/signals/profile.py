"""A profile: weights, windows and thresholds as validated data with a version.

The version is a hash over every number, so two profiles with the same version decide alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import ProfileError

FACTORS: tuple[str, ...] = (
    "liquidations",
    "price_momentum",
    "funding_rate",
    "long_short_ratio",
    "smart_money",
    "oi_trend",
    "social_sentiment",
    "fear_greed",
)

Hours = Annotated[float, Field(gt=0, le=24 * 365)]
Share = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[float, Field(ge=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Weights(_Part):
    """Relative weight of each factor; only their proportions matter."""

    liquidations: Annotated[float, Field(ge=0)] = 24
    price_momentum: Annotated[float, Field(ge=0)] = 20
    funding_rate: Annotated[float, Field(ge=0)] = 18
    long_short_ratio: Annotated[float, Field(ge=0)] = 11
    smart_money: Annotated[float, Field(ge=0)] = 11
    oi_trend: Annotated[float, Field(ge=0)] = 6
    social_sentiment: Annotated[float, Field(ge=0)] = 6
    fear_greed: Annotated[float, Field(ge=0)] = 4

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not sum(self.shares().values(), 0.0) > 0:
            raise ValueError("at least one weight must be above 0")
        return self

    def shares(self) -> dict[str, float]:
        """Each factor's part of the total weight, summing to 1."""
        raw: dict[str, float] = {name: getattr(self, name) for name in FACTORS}
        total = sum(raw.values())
        return {name: weight / total for name, weight in raw.items()} if total else raw


class Windows(_Part):
    """Look-back windows in hours, and how much of one must be known."""

    liquidations: Hours = 24
    momentum: tuple[Hours, ...] = Field(default=(4, 24, 72), min_length=1)
    funding: Hours = 24
    open_interest: Hours = 24
    social_mean: Hours = 168
    history: Hours = 720
    least_history: Hours = 168
    fast_volatility: Hours = 24
    least_known: Share = 0.75
    clip_sigma: Annotated[float, Field(gt=0, le=10)] = 3

    @property
    def reach_hours(self) -> float:
        """How far back a bar's numbers look: against a history, on inputs with a history themselves.

        >>> Windows().reach_hours / 24
        70.0
        """
        inputs = (self.liquidations, *self.momentum, self.funding, self.open_interest)
        return 2 * self.history + max(*inputs, self.social_mean, self.fast_volatility) + 72

    @model_validator(mode="after")
    def _history_is_longest(self) -> Self:
        if self.least_history > self.history:
            raise ValueError("least_history cannot be longer than history")
        return self


class Rules(_Part):
    """Thresholds of the verdict by rules. Points are of a factor (0..100) or of conviction."""

    funding_against: Points = 25
    crowd_against: Points = 25
    low_coverage: Share = 0.7
    low_agreement: Share = 0.5
    high_volatility: Annotated[float, Field(gt=0)] = 1.3
    extreme_volatility: Annotated[float, Field(gt=0)] = 1.8
    aggressive_conviction: Points = 30
    aggressive_agreement: Share = 0.7
    confirm_conviction: Points = 22
    reduced_conviction: Points = 24

    @model_validator(mode="after")
    def _volatility_is_ordered(self) -> Self:
        if self.extreme_volatility < self.high_volatility:
            raise ValueError("extreme_volatility cannot be under high_volatility")
        return self


class Profile(_Part):
    """Everything a signal depends on besides the market.

    ``threshold`` is the score from which a signal is LONG; SHORT is its mirror, 100 - threshold.
    """

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9 _-]*$")]
    threshold: Annotated[float, Field(gt=50, le=100)] = 58
    min_coverage: Annotated[float, Field(gt=0, le=1)] = 0.5
    weights: Weights = Weights()
    windows: Windows = Windows()
    rules: Rules = Rules()

    @property
    def long_threshold(self) -> float:
        """Score at and above which the direction is LONG."""
        return self.threshold

    @property
    def short_threshold(self) -> float:
        """Score at and below which the direction is SHORT."""
        return 100 - self.threshold

    @cached_property
    def version(self) -> str:
        """16 hexadecimal digits over every number of the profile; the name does not count."""
        return _digest(self.model_dump(mode="json", exclude={"name"}))

    @cached_property
    def windows_version(self) -> str:
        """16 hexadecimal digits over the windows: with the same ones, a bar measures the same."""
        return _digest(self.windows.model_dump(mode="json"))


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


# From the most to the least cautious.
_THRESHOLDS: Mapping[str, float] = {"conservative": 62, "balanced": 58, "aggressive": 54}
PROFILE_NAMES: tuple[str, ...] = tuple(_THRESHOLDS)


@cache
def load_profile(name: str = "balanced") -> Profile:
    """The built-in profile of that name. Raises `ProfileError` naming those that exist.

    >>> load_profile().long_threshold, load_profile().short_threshold
    (58.0, 42.0)
    >>> load_profile("bold")
    Traceback (most recent call last):
    core.errors.ProfileError: there is no profile 'bold'; choose conservative, balanced or aggressive
    """
    if name not in _THRESHOLDS:
        known = " or ".join(", ".join(PROFILE_NAMES).rsplit(", ", 1))
        raise ProfileError(f"there is no profile {name!r}; choose {known}")
    return Profile(name=name, threshold=_THRESHOLDS[name])


def parse_profile(body: Mapping[str, object]) -> Profile:
    """A profile from data, as stored. Raises `ProfileError` naming each wrong field."""
    try:
        return Profile.model_validate(body)
    except ValidationError as error:
        faults = "; ".join(f"{name}: {said}" for name, said in _faults(error).items())
        raise ProfileError(faults) from error


def profile_faults(body: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with data that is to be a profile: by field what it must be. Empty: nothing.

    >>> profile_faults({"name": "balanced", "threshold": 40, "rules": {"low_coverage": 2}})
    {'threshold': 'must be above 50', 'rules.low_coverage': 'must be 1 or less'}
    >>> profile_faults({"name": "balanced", "windows": {"history": 24}})
    {'windows.least_history': 'cannot be longer than history'}
    >>> profile_faults({"name": "balanced", "windows": {"momentum": [24, 4, 24]}})
    {'windows.momentum': 'has 24 more than once'}
    """
    try:
        profile = Profile.model_validate(body)
    except ValidationError as error:
        return _faults(error)
    return _repeats(profile)


def _repeats(profile: Profile) -> dict[str, str]:
    """Windows given twice. No fault of a stored version, which must stay readable, but of a new one."""
    hours = profile.windows.momentum
    twice = sorted({each for each in hours if hours.count(each) > 1})
    said = f"has {', '.join(f'{each:g}' for each in twice)} more than once"
    return {"windows.momentum": said} if twice else {}


def _faults(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for fault in error.errors():
        said = str(fault["msg"]).removeprefix("Value error, ")
        field = ".".join(map(str, fault["loc"])) or "profile"
        if fault["type"] in _WORDS:
            context = fault.get("ctx", {})
            limit = next(iter(context.values()), "")
            said = _WORDS[fault["type"]].format(
                f"{limit:g}" if isinstance(limit, int | float) else limit
            )
        elif fault["type"] == "value_error" and said.split()[0] in _CHECKED:
            # A check over several fields names the one that it is about first.
            field, said = f"{field}.{said.split()[0]}", said.partition(" ")[2]
        found.setdefault(field, said)
    return found


_WORDS = {
    "greater_than": "must be above {}",
    "greater_than_equal": "must be {} or more",
    "less_than": "must be under {}",
    "less_than_equal": "must be {} or less",
    "finite_number": "must be a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "too_short": "needs at least one number",
}
_CHECKED = ("least_history", "extreme_volatility")
