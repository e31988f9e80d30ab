"""What counts as an answer: a schema, and the consistency that a schema cannot express.

An answer that breaks either is invalid as a whole. Nothing of it is repaired, clipped or guessed from
its words, because a repaired answer is no longer what the model said.

The rules of consistency, where *cap* is the rules' multiplier of the signal:

- CONFIRM has the whole cap, so that two who say it mean the same; SKIP and WAIT have 0;
- DOWNSIZE has at least 0.05, and where the rules CONFIRM at least a hundredth less than the cap;
- the multiplier is at most the cap, and at most what its own risk mode allows (0, 0.5, 1, 1.5);
- a verdict is no milder than the rules': CONFIRM only where the rules CONFIRM; where the cap is 0
  (WAIT, SKIP) only WAIT and SKIP are left. Where the rules say SKIP, WAIT is allowed: neither trades;
- a risk mode is no milder than the rules', and with SKIP and WAIT no milder than REDUCED;
- no two reasons rest on the same factor, and none on one that the question does not know;
- a text has a letter that can be seen.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.signals import FACTORS
from core.verdicts.model.plain import plain
from core.verdicts.rules import MULTIPLIER_CAPS, RISK_MODES, VERDICTS

LONGEST_REASON, LONGEST_CHANGE, MOST_REASONS = 200, 400, 5
# A trade of less than this is none, whatever it is called.
LEAST_MULTIPLIER = 0.05
# Of what the rules allow; a smaller cut is a CONFIRM by another name.
LEAST_CUT = 0.01
NAMED_INPUTS = ("volatility", "coverage", "agreement", "crowding", "price")

Verdict = Literal["CONFIRM", "DOWNSIZE", "WAIT", "SKIP"]
RiskMode = Literal["AVOID", "REDUCED", "NORMAL", "AGGRESSIVE"]
Basis = Literal[
    "liquidations",
    "price_momentum",
    "funding_rate",
    "long_short_ratio",
    "smart_money",
    "oi_trend",
    "social_sentiment",
    "fear_greed",
    "volatility",
    "coverage",
    "agreement",
    "crowding",
    "price",
]
BASES: tuple[str, ...] = get_args(Basis)
assert (*FACTORS, *NAMED_INPUTS) == BASES


# Letters by Unicode's categories that show nothing.
_FILLERS = "\u115f\u1160\u3164\uffa0"


class UnusableAnswer(ValueError):
    """A reply is no answer; the text says why, for the record."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Reason(_Part):
    """One reason, and the factor or input that it rests on."""

    factor: Annotated[
        Basis, Field(description="what no other reason rests on, and what is not unknown")
    ]
    text: Annotated[
        str,
        Field(min_length=1, max_length=LONGEST_REASON, description="one plain sentence, in words"),
    ]


class Answer(_Part):
    """What a model has to reply with. The descriptions are part of the prompt."""

    verdict: Annotated[Verdict, Field(description="one of verdicts_allowed")]
    risk_mode: Annotated[
        RiskMode,
        Field(description="one of risk_modes_allowed; for WAIT and SKIP only AVOID or REDUCED"),
    ]
    multiplier: Annotated[
        float,
        Field(
            ge=0,
            le=1.5,
            description="part of the trade's size: for CONFIRM exactly multiplier_max, for DOWNSIZE "
            "at most downsize_multiplier_max, for WAIT and SKIP 0",
        ),
    ]
    reasons: Annotated[list[Reason], Field(min_length=1, max_length=MOST_REASONS)]
    change_of_mind: Annotated[str, Field(min_length=1, max_length=LONGEST_CHANGE)]


@dataclass(frozen=True)
class Bounds:
    """What an answer is held against: what the rules said, and what the question does not know.

    ``cap`` is the rules' multiplier, ``unknown`` are names of `BASES`.
    """

    verdict: str
    risk_mode: str
    cap: float
    unknown: Set[str] = frozenset()

    @property
    def verdicts(self) -> tuple[str, ...]:
        return allowed(self.verdict, self.cap)

    @property
    def risk_modes(self) -> tuple[str, ...]:
        """Those no milder than the rules'.

        >>> Bounds("CONFIRM", "NORMAL", 1.0).risk_modes
        ('AVOID', 'REDUCED', 'NORMAL')
        """
        return RISK_MODES[: RISK_MODES.index(self.risk_mode) + 1]

    @property
    def most_downsized(self) -> float:
        """The largest multiplier of a DOWNSIZE.

        >>> [Bounds(*each).most_downsized for each in [("CONFIRM", "NORMAL", 1.0),
        ... ("CONFIRM", "AGGRESSIVE", 1.5), ("DOWNSIZE", "REDUCED", 0.5)]]
        [0.99, 1.485, 0.5]
        """
        return round((1 - LEAST_CUT) * self.cap, 9) if self.verdict == "CONFIRM" else self.cap


@dataclass(frozen=True)
class Judged:
    """An answer that was read and is consistent; texts are plain (see `plain`)."""

    verdict: str
    risk_mode: str
    multiplier: float
    reasons: tuple[tuple[str, str], ...]
    change_of_mind: str


def schema() -> dict[str, Any]:
    """The JSON schema that is sent: of `Answer`, without what strict mode does not know."""
    whole = Answer.model_json_schema()
    kept: dict[str, Any] = _supported(whole)
    return kept


def allowed(rules_verdict: str, cap: float) -> tuple[str, ...]:
    """The verdicts that are left to the model.

    >>> allowed("CONFIRM", 1.0), allowed("DOWNSIZE", 0.5), allowed("SKIP", 0.0)
    (('CONFIRM', 'DOWNSIZE', 'WAIT', 'SKIP'), ('DOWNSIZE', 'WAIT', 'SKIP'), ('WAIT', 'SKIP'))
    """
    if cap <= 0:
        return ("WAIT", "SKIP")
    return VERDICTS if rules_verdict == "CONFIRM" else VERDICTS[1:]


def read_answer(content: str, bounds: Bounds) -> Judged:
    """The answer in the text of a reply. Raises `UnusableAnswer` with the reason.

    >>> read_answer("I CONFIRM this trade.", Bounds("CONFIRM", "NORMAL", 1.0))
    Traceback (most recent call last):
    core.verdicts.model.answer.UnusableAnswer: It is not the JSON that was asked for: Invalid JSON.
    """
    try:
        answer = Answer.model_validate_json(content)
    except ValidationError as error:
        raise UnusableAnswer(_schema_words(error)) from None
    except ValueError:  # text that cannot be UTF-8 at all
        raise UnusableAnswer("It is not the JSON that was asked for: invalid text.") from None
    _refuse_repeated_names(content)
    _check_size(answer, bounds)
    _check_words(answer, bounds)
    _check_factors(answer, bounds)
    reasons = tuple((one.factor, plain(one.text, LONGEST_REASON)) for one in answer.reasons)
    change = plain(answer.change_of_mind, LONGEST_CHANGE)
    if not all(_has_letter(text) for text in (change, *(text for _, text in reasons))):
        raise UnusableAnswer("A text of it has no letter that can be seen.")
    # Minus zero and zero are one number to the record.
    return Judged(answer.verdict, answer.risk_mode, answer.multiplier + 0.0, reasons, change)


def _check_size(answer: Answer, bounds: Bounds) -> None:
    """The multiplier: within the rules' and its own risk mode, and none where nothing is traded."""
    verdict, multiplier, cap = answer.verdict, answer.multiplier, bounds.cap
    trades = verdict in ("CONFIRM", "DOWNSIZE")
    if trades and multiplier <= 0:
        raise UnusableAnswer(f"{verdict} has multiplier 0.")
    if trades and multiplier < LEAST_MULTIPLIER:
        raise UnusableAnswer(
            f"{verdict} has multiplier {multiplier:g}, less than {LEAST_MULTIPLIER:g}."
        )
    if not trades and multiplier != 0:
        raise UnusableAnswer(f"{verdict} has multiplier {multiplier:g} instead of 0.")
    if not math.isfinite(cap) or multiplier > cap:
        raise UnusableAnswer(f"Multiplier {multiplier:g} is above the rules' {cap:g}.")
    most = MULTIPLIER_CAPS[answer.risk_mode]
    if multiplier > most:
        raise UnusableAnswer(
            f"Multiplier {multiplier:g} is above the {most:g} of risk mode {answer.risk_mode}."
        )


def _check_words(answer: Answer, bounds: Bounds) -> None:
    """Verdict and risk mode: no milder than the rules', and what they say is what is done."""
    verdict, mode, multiplier = answer.verdict, answer.risk_mode, answer.multiplier
    if verdict not in bounds.verdicts:
        raise UnusableAnswer(f"{verdict} is milder than the rules' {bounds.verdict}.")
    if mode not in bounds.risk_modes:
        raise UnusableAnswer(f"Risk mode {mode} is milder than the rules' {bounds.risk_mode}.")
    if verdict in ("WAIT", "SKIP") and mode not in ("AVOID", "REDUCED"):
        raise UnusableAnswer(f"{verdict} does not go with risk mode {mode}.")
    if verdict == "CONFIRM" and multiplier < bounds.cap:
        raise UnusableAnswer(
            f"CONFIRM at {multiplier:g} is not the whole {bounds.cap:g} of the rules."
        )
    if verdict == "DOWNSIZE" and multiplier > bounds.most_downsized:
        raise UnusableAnswer(
            f"DOWNSIZE at {multiplier:g} lowers the rules' {bounds.cap:g} by less than a hundredth."
        )


def _check_factors(answer: Answer, bounds: Bounds) -> None:
    """What the reasons rest on."""
    named = [one.factor for one in answer.reasons]
    for name in named:
        if named.count(name) > 1:
            raise UnusableAnswer(f"Two reasons rest on {name}.")
        if name in bounds.unknown:
            raise UnusableAnswer(f"A reason rests on {name}, which is unknown.")


def _has_letter(text: str) -> bool:
    return any(unicodedata.category(one)[0] == "L" and one not in _FILLERS for one in text)


def _refuse_repeated_names(content: str) -> None:
    """A name that stands twice in an object says two things, and parsers differ in which counts."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise UnusableAnswer("A name stands twice in one object.")
        return dict(pairs)

    json.loads(content, object_pairs_hook=once)


def _schema_words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "It is not the JSON that was asked for: Invalid JSON."
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    # Not cut off here: a secret of which only a part is left would not be found.
    return f"It breaks the schema at {where}: {first['msg']}."


# Strict mode refuses keywords that it does not know; what these say is in the prompt, and checked.
_UNSUPPORTED = {"title", "minLength", "maxLength"}


def _supported(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            name: {key: _supported(value) for key, value in inner.items()}
            if name in ("properties", "$defs")
            else _supported(inner)
            for name, inner in part.items()
            if name not in _UNSUPPORTED and not (name == "description" and "properties" in part)
        }
    return [_supported(one) for one in part] if isinstance(part, list) else part
