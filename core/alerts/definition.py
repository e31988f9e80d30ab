"""What an admin writes about an alert rule: its condition, its times and its messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from core.alerts.durations import format_duration, parse_duration, parse_moment
from core.alerts.expression import compile_rule
from core.alerts.hours import Window
from core.alerts.texts import writable
from core.errors import RuleError

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
Group = Literal["rule", "symbol"]
LONGEST_EXPRESSION = 1000

Duration = Annotated[
    timedelta | None,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda value: None if value is None else format_duration(value)),
]
Moment = Annotated[
    datetime,
    BeforeValidator(parse_moment),
    PlainSerializer(lambda value: value.isoformat().replace("+00:00", "Z")),
]
Line = Annotated[str, Field(max_length=200)]


class RuleDefinition(BaseModel):
    """One version of an alert rule.

    ``for_`` is how long the condition must have held before it fires, ``keep_firing`` how long it
    must have been over before a firing ends, ``cooldown`` how long after the end of a firing
    nothing new fires, ``rearm`` how long the condition must have been false in between, ``repeat``
    how often a firing is told again. ``active_hours`` are UTC: outside of them nothing fires, and of
    what fired before only the end is told. ``group`` is "rule" for one message per bar or "symbol" for
    one per symbol; ``symbols`` empty means all. Channels are the ids of channels; templates left out
    are the built-in ones.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )

    name: Annotated[str, Field(min_length=1, max_length=100)]
    expression: Annotated[str, Field(min_length=1, max_length=LONGEST_EXPRESSION)]
    severity: Severity = "warning"
    description: Annotated[str, Field(max_length=2000)] = ""
    for_: Duration = Field(default=None, alias="for")
    keep_firing: Duration = None
    cooldown: Duration = None
    rearm: Duration = None
    repeat: Duration = None
    expires_at: Moment | None = None
    active_hours: Window | None = None
    group: Group = "rule"
    symbols: tuple[str, ...] = ()
    profile_name: Annotated[str, Field(min_length=1, max_length=64)] = "balanced"
    channels: tuple[Annotated[int, Field(ge=1)], ...] = ()
    title: Line | None = None
    body: Annotated[str, Field(max_length=4000)] | None = None
    muted: bool = False
    enabled: bool = True

    @field_validator("name", "expression", mode="before")
    @classmethod
    def _stripped(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value

    @field_validator("description", "title", "body", mode="before")
    @classmethod
    def _writable(cls, value: Any) -> Any:
        return writable(value) if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one line of printable characters")
        return value

    @field_validator("symbols", mode="before")
    @classmethod
    def _sorted_symbols(cls, value: Any) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
            raise ValueError("must be a list of symbols such as [BTCUSDT, ETHUSDT]")
        for symbol in value:
            if not isinstance(symbol, str):
                raise ValueError(f'{symbol} is no symbol but a value: write a symbol as "BTCUSDT"')
        names = {symbol.strip().upper() for symbol in value}
        if wrong := sorted(name for name in names if not (name.isalnum() and len(name) <= 40)):
            raise ValueError(f"{wrong[0][:40]!r} is no symbol: write it as BTCUSDT")
        return tuple(sorted(names))

    @field_validator("channels", mode="after")
    @classmethod
    def _each_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _repeats_sensibly(self) -> Self:
        if self.repeat is not None and self.repeat < timedelta(minutes=1):
            raise ValueError("repeat must be 1m or longer")
        return self

    def body_without(self, *fields: str) -> dict[str, Any]:
        """`to_body` without these fields."""
        return {key: value for key, value in to_body(self).items() if key not in fields}

    def covers(self, symbol: str) -> bool:
        """Whether the rule is about this symbol."""
        return not self.symbols or symbol in self.symbols


def to_body(definition: RuleDefinition) -> dict[str, Any]:
    """Every field as plain JSON data in its canonical form; `parse_definition` is its inverse."""
    return definition.model_dump(mode="json", by_alias=True)


def parse_definition(body: Mapping[str, object]) -> RuleDefinition:
    """A definition from data, as stored. Raises `RuleError` naming each wrong field.

    The expression is not compiled: a stored version stays readable when the language changes.

    >>> parse_definition({"name": "Calm", "expression": "score > 60", "for": "90m"}).for_
    datetime.timedelta(seconds=5400)
    """
    try:
        return RuleDefinition.model_validate(dict(body))
    except ValidationError as error:
        said = "; ".join(f"{field}: {fault}" for field, fault in _faults(error).items())
        raise RuleError(said) from error


def read_stored(body: Mapping[str, object]) -> tuple[RuleDefinition, str]:
    """The definition of a rule from data as stored, and what of it cannot be used by now.

    What could be saved once is left out where it is refused by now, so that the rule can be seen and
    mended; as long as anything is, nobody may judge by it.

    >>> kept, said = read_stored({"name": "Calm", "expression": "score > 60", "for": "soon"})
    >>> kept.for_, said
    (None, "for: 'soon' is no duration: write it as 30m, 4h, 2d or 1h30m")
    """
    try:
        return RuleDefinition.model_validate(dict(body)), ""
    except ValidationError as error:
        faults = _faults(error)
    left_out = {field.partition(".")[0] for field in faults}
    kept = {field: value for field, value in body.items() if field not in left_out}
    needed = {"name": "A rule without a name", "expression": "unknown"}
    said = "; ".join(f"{field}: {fault}" for field, fault in faults.items())
    return RuleDefinition.model_validate({**needed, **kept}), said


def definition_faults(body: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with data that is to be saved: by field what to do. Empty: nothing.

    >>> definition_faults({"name": "", "expression": "score > 60", "for": 4, "severty": "info"})
    {'name': 'must not be empty', 'for': '4 has no unit: write it as 30m, 4h, 2d or 1h30m', 'severty': 'is no field of a rule; did you mean severity?'}
    """
    faults: dict[str, str] = {}
    try:
        RuleDefinition.model_validate(dict(body))
    except ValidationError as error:
        faults = _faults(error)
    text = body.get("expression")
    if isinstance(text, str) and "expression" not in faults:
        try:
            compile_rule(text.strip())
        except RuleError as refused:
            where = "" if refused.position is None else f"at character {refused.position + 1}: "
            faults["expression"] = f"{where}{refused}"
    return faults


def new_definition(body: Mapping[str, object]) -> RuleDefinition:
    """A definition that is to be saved. Raises `RuleError` naming each wrong field."""
    if faults := definition_faults(body):
        raise RuleError("; ".join(f"{field}: {said}" for field, said in faults.items()))
    return parse_definition(body)


def taken_name(name: str, others: Collection[str]) -> str:
    """Why a rule cannot be called so beside ``others``; empty where it can.

    >>> taken_name("warm", ["Hot", "Warm"])
    'There is a rule called Warm already, and upper and lower case make no other name. Choose another one.'
    >>> taken_name("Warm", ["Hot"])
    ''
    """
    if name in others:
        return f"There is a rule called {name} already. Choose another name."
    # Silences and subscriptions do not tell such names apart.
    alike = next((one for one in others if one.casefold() == name.casefold()), None)
    if alike is None:
        return ""
    return (
        f"There is a rule called {alike} already, and upper and lower case make no other name. "
        "Choose another one."
    )


def fields_changed(old: RuleDefinition, new: RuleDefinition) -> tuple[str, ...]:
    """The names of the fields that differ, as they are written."""
    before, after = to_body(old), to_body(new)
    return tuple(field for field in after if before[field] != after[field])


def _faults(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for fault in error.errors():
        field = ".".join(map(str, fault["loc"])) or "rule"
        said = str(fault["msg"]).removeprefix("Value error, ")
        if fault["type"] in _WORDS:
            said = _WORDS[fault["type"]].format(*fault.get("ctx", {}).values())
        elif fault["type"] == "extra_forbidden":
            said = _no_field(field)
        elif fault["type"] == "value_error" and said.startswith("repeat "):
            field, said = "repeat", said.removeprefix("repeat ")
        found.setdefault(field, said)
    return found


def _no_field(field: str) -> str:
    owner, dot, name = field.rpartition(".")
    model: type[BaseModel] = Window if owner else RuleDefinition
    known = [spec.alias or key for key, spec in model.model_fields.items()]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {owner}{dot}{near[0]}?" if near else f"there are {', '.join(known)}"
    return f"is no field of a rule; {hint}"


_WORDS = {
    "missing": "must be given",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have {} characters at most",
    "literal_error": "must be {}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be {} or more",
    "tuple_type": "must be a list",
    "model_type": "must have the fields weekdays, start and end",
    "model_attributes_type": "must have the fields weekdays, start and end",
}
