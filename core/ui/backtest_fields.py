"""The numbers of a profile as the editor asks for them: in groups, in words, each with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.signals import Profile
from core.signals.factors import BY_NAME
from core.ui.formats import number

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A number of a profile: its place in the data, a label, its unit and what it does.

    ``scale`` is what it is shown in: 100 for a share in percent. One with ``ends`` is a slider.
    """

    path: str
    label: str
    unit: str
    meaning: str
    step: float = 1.0
    scale: float = 1.0
    ends: tuple[float, float] | None = None
    many: bool = False

    def of(self, body: Body) -> Any:
        """Its value in the data of a profile, as it is shown."""
        value: Any = body
        for part in self.path.split("."):
            value = value[part]
        if self.many:
            return ", ".join(f"{each:g}" for each in value)
        return float(value) * self.scale

    def read(self, shown: Any) -> Any:
        """The value for the data of a profile; what cannot be read stays as it is, and is refused."""
        if not self.many:
            return None if shown is None else float(shown) / self.scale
        parts = [part.strip() for part in str(shown or "").split(",") if part.strip()]
        try:
            return [float(part) for part in parts]
        except ValueError:
            return parts

    def words(self, shown: Any) -> str:
        """A shown value with its unit."""
        if shown is None:
            return "nothing"
        if self.many:
            return f"{shown} {self.unit}"
        digits = 0 if float(shown) == round(float(shown)) else 2
        text = number(shown, digits)
        return f"{text}\u00a0{self.unit}" if self.unit else text


@dataclass(frozen=True)
class Group:
    """Fields that belong together, and what they do as a whole."""

    title: str
    meaning: str
    fields: tuple[Field, ...]


_WEIGHTS = tuple(
    Field(
        f"weights.{name}",
        factor.title,
        "",
        "Only the proportions of the weights matter. 0 leaves the factor out.",
        ends=(0.0, 50.0),
    )
    for name, factor in BY_NAME.items()
)

GROUPS: tuple[Group, ...] = (
    Group(
        "When it speaks",
        "A market has a signal where enough is known, and a direction where its score is far from 50.",
        (
            Field(
                "threshold",
                "Score from which it is long",
                "points",
                "SHORT is its mirror: at 58 a score of 42 or less is SHORT.",
                step=0.5,
                ends=(50.5, 80.0),
            ),
            Field(
                "min_coverage",
                "Least coverage",
                "%",
                "The share of the weight that must be known for a signal.",
                step=1.0,
                scale=100,
                ends=(1.0, 100.0),
            ),
        ),
    ),
    Group("Weights", "How much each factor counts in the score.", _WEIGHTS),
    Group(
        "Windows",
        "How far back each number looks.",
        (
            Field(
                "windows.history", "History a factor is measured against", "h", "720 h are 30 days."
            ),
            Field(
                "windows.least_history",
                "Least history",
                "h",
                "With less known, the factor is missing.",
            ),
            Field("windows.liquidations", "Liquidations", "h", "Sums of longs and of shorts."),
            Field(
                "windows.momentum",
                "Price momentum",
                "h",
                "Several windows by commas; the mean of their returns.",
                many=True,
            ),
            Field("windows.funding", "Funding", "h", "Mean of the rate."),
            Field("windows.open_interest", "Open interest", "h", "Its change."),
            Field(
                "windows.social_mean", "Social mean", "h", "What the social score is compared with."
            ),
            Field(
                "windows.fast_volatility",
                "Recent volatility",
                "h",
                "Compared with that of the whole history.",
            ),
            Field(
                "windows.least_known",
                "Least known of a window",
                "%",
                "With less, its value is missing.",
                scale=100,
                ends=(0.0, 100.0),
            ),
            Field(
                "windows.clip_sigma",
                "Furthest from normal",
                "σ",
                "Beyond so many standard deviations a factor is 0 or 100.",
                step=0.5,
            ),
        ),
    ),
    Group(
        "Verdict",
        "What counts against a trade, and how convinced a signal must be. Each point against it makes "
        "the verdict more cautious.",
        (
            Field("rules.funding_against", "Funding against the trade", "points", "Of its factor."),
            Field("rules.crowd_against", "Crowd against the trade", "points", "Of its factor."),
            Field(
                "rules.low_coverage",
                "Low coverage under",
                "%",
                "Costs a point.",
                scale=100,
                ends=(0.0, 100.0),
            ),
            Field(
                "rules.low_agreement",
                "Low agreement under",
                "%",
                "Costs a point.",
                scale=100,
                ends=(0.0, 100.0),
            ),
            Field(
                "rules.high_volatility",
                "High volatility over",
                "× usual",
                "Costs a point.",
                step=0.1,
            ),
            Field(
                "rules.extreme_volatility",
                "Extreme volatility over",
                "× usual",
                "Costs a second one.",
                step=0.1,
            ),
            Field(
                "rules.aggressive_conviction",
                "AGGRESSIVE from a conviction of",
                "points",
                "With nothing against it.",
            ),
            Field(
                "rules.aggressive_agreement",
                "AGGRESSIVE from an agreement of",
                "%",
                "With nothing against it.",
                scale=100,
                ends=(0.0, 100.0),
            ),
            Field(
                "rules.confirm_conviction",
                "CONFIRM from a conviction of",
                "points",
                "With at most one point against it; else DOWNSIZE.",
            ),
            Field(
                "rules.reduced_conviction",
                "DOWNSIZE from a conviction of",
                "points",
                "With two points against it; else WAIT.",
            ),
        ),
    ),
)
FIELDS: tuple[Field, ...] = tuple(field for group in GROUPS for field in group.fields)


def shown_values(profile: Profile) -> dict[str, Any]:
    """Every number of a profile as the editor shows it, by path."""
    body = profile.model_dump(mode="json")
    return {field.path: field.of(body) for field in FIELDS}


def body_of(mode: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a profile from what the editor shows; it may be none that is valid."""
    body: dict[str, Any] = {"name": mode, "weights": {}, "windows": {}, "rules": {}}
    for field in FIELDS:
        part, _, name = field.path.rpartition(".")
        (body[part] if part else body)[name or field.path] = field.read(shown[field.path])
    return body


def differences(one: Profile, other: Profile) -> list[str]:
    """Every number that differs, in words: what it is in ``one`` and, after an arrow, in ``other``."""
    before, after = shown_values(one), shown_values(other)
    return [
        f"{field.label}: {field.words(before[field.path])} → {field.words(after[field.path])}"
        for field in FIELDS
        if before[field.path] != after[field.path]
    ]
