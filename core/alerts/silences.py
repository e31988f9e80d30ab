"""Silences: for a while, nothing is sent of the rules, symbols and severities they match."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from core.alerts.definition import SEVERITIES, Moment
from core.alerts.texts import writable
from core.errors import RuleError

Field_ = Literal["rule", "symbol", "severity"]
FIELDS: tuple[str, ...] = ("rule", "symbol", "severity")
OPERATORS: tuple[str, ...] = ("!=", "!~", "=~", "=")
_MATCHER = re.compile(r"\s*([a-z_]+)\s*(!=|!~|=~|=)\s*(.+)", re.ASCII | re.DOTALL)


class About(Protocol):
    """Whatever a silence may match: an event with the name and severity of its rule."""

    @property
    def rule(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def severity(self) -> str: ...


@dataclass(frozen=True)
class Subject:
    """The three things that matchers look at."""

    rule: str
    symbol: str
    severity: str


Matched = TypeVar("Matched", bound=About)


class Matcher(BaseModel):
    """One condition of a silence, written ``symbol =~ BTC*, ETH*``.

    ``=`` and ``!=`` compare with a list of texts, ``=~`` and ``!~`` with a list of patterns in
    which ``*`` stands for anything and ``?`` for one character. Upper and lower case are one. A value
    with a comma stands in quotation marks: ``rule = "Hot, now"``.

    >>> parse_matcher("symbol=~BTC*,ETH*").matches(Subject("Hot", "ETHUSDT", "info"))
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Field_
    operator: Literal["=", "!=", "=~", "!~"]
    values: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
        Field(min_length=1, max_length=100),
    ]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return _split(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.operator in ("=", "!=") and self.field == "severity":
            for value in self.values:
                if value.lower() not in SEVERITIES:
                    raise ValueError(f"{value!r} is no severity: choose {', '.join(SEVERITIES)}")
        return self

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {join_values(self.values)}"

    def renamed(self, old: str, new: str) -> Matcher:
        """With the new name of a rule in the place of its old one, where that is written out."""
        if self.field != "rule" or self.operator.endswith("~"):
            return self
        values = tuple(new if one.lower() == old.lower() else one for one in self.values)
        return self.model_copy(update={"values": values})

    def matches(self, about: About) -> bool:
        """Whether this is about it."""
        text: str = getattr(about, self.field).lower()
        compare: Callable[[str, str], bool] = _fits if self.operator.endswith("~") else str.__eq__
        found = any(compare(text, value.lower()) for value in self.values)
        return found != self.operator.startswith("!")


def _fits(text: str, pattern: str) -> bool:
    """
    >>> _fits("hot [1] x", "hot [1]*"), _fits("b", "[ab]")
    (True, False)
    """
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _split(text: str) -> dict[str, object]:
    found = _MATCHER.fullmatch(text)
    if found is None or found[1] not in FIELDS:
        raise ValueError(
            f"{text[:60]!r} is no matcher: write rule, symbol or severity, then =, !=, =~ or !~, "
            "then values, as in symbol =~ BTC*, ETH*"
        )
    return {"field": found[1], "operator": found[2], "values": split_values(found[3])}


def split_values(text: str) -> tuple[str, ...]:
    """Values that are divided by commas, but for those in quotation marks.

    >>> split_values('BTC*, ETH*'), split_values('"Hot, now"')
    (('BTC*', 'ETH*'), ('Hot, now',))
    """
    try:
        values = next(csv.reader([re.sub(r"[\r\n]+", " ", text)], skipinitialspace=True), [])
    except csv.Error:
        raise ValueError("these values are too long: write 100 letters each at most") from None
    return tuple(value.strip() for value in values if value.strip())


def join_values(values: Iterable[str]) -> str:
    """The inverse of `split_values`.

    >>> join_values(["Hot, now", "Cold"])
    '"Hot, now", Cold'
    """
    return ", ".join(_quoted(value) for value in values)


def _quoted(value: str) -> str:
    if not set(value) & set(',"'):
        return value
    doubled = value.replace('"', '""')
    return f'"{doubled}"'


def parse_matcher(text: str) -> Matcher:
    """A matcher from its text. Raises `RuleError` with what to write.

    >>> str(parse_matcher("severity!=critical"))
    'severity != critical'
    """
    try:
        return Matcher.model_validate(text)
    except ValidationError as error:
        raise RuleError(_said(error)) from error


class Silence(BaseModel):
    """From ``starts_at`` up to ``ends_at`` nothing is sent of what all ``matchers`` match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matchers: Annotated[tuple[Matcher, ...], Field(min_length=1, max_length=20)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    starts_at: Moment
    ends_at: Moment
    author: Annotated[str, Field(min_length=1, max_length=200)]

    @field_validator("reason", "author", mode="before")
    @classmethod
    def _stripped(cls, value: Any) -> Any:
        return writable(value).strip() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self

    def matches(self, about: About) -> bool:
        """Whether it is about this, whenever."""
        return all(matcher.matches(about) for matcher in self.matchers)

    def renamed(self, old: str, new: str) -> Silence:
        """The same of a rule that is called otherwise now; patterns are left as they are."""
        matchers = [one.renamed(old, new) for one in self.matchers]
        return self.model_copy(update={"matchers": tuple(matchers)})

    def holds(self, about: About, at: datetime) -> bool:
        """Whether it silences this at that time."""
        return self.starts_at <= at < self.ends_at and self.matches(about)


def parse_silence(body: dict[str, Any]) -> Silence:
    """A silence from data; matchers may be texts. Raises `RuleError` naming each wrong field."""
    try:
        return Silence.model_validate(body)
    except ValidationError as error:
        raise RuleError(_said(error)) from error


def silenced_by(silences: Iterable[Silence], about: About, at: datetime) -> Silence | None:
    """The one of the silences that hold which ends last, or None."""
    holding = [silence for silence in silences if silence.holds(about, at)]
    return max(holding, key=lambda silence: silence.ends_at, default=None)


def would_suppress(silence: Silence, past: Iterable[Matched]) -> list[Matched]:
    """Which of these past events it would have kept from being sent, had it held then.

    Its own times are left aside: they lie in the future, the events in the past.
    """
    return [event for event in past if silence.matches(event)]


def _said(error: ValidationError) -> str:
    words = {
        "too_short": "must not be empty",
        "missing": "must be given",
        "string_too_short": "must not be empty",
    }
    said = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"])
        text = words.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
        said.append(f"{field}: {text}" if field else text)
    return "; ".join(said)
