"""What counts as an answer: a schema, and the consistency that a schema cannot express.

An answer that breaks either is invalid as a whole. Nothing of it is repaired, clipped or guessed from
its words, because a repaired answer is no longer what the model said.

The rules of consistency, where *cap* is the rules' multiplier of the signal:

- SKIP and WAIT have multiplier 0, CONFIRM and DOWNSIZE at least 0.05;
- the multiplier is at most the cap, and at most what its own risk mode allows (0, 0.5, 1, 1.5);
- a verdict is no milder than the rules': CONFIRM only where the rules CONFIRM; where the cap is 0
  (WAIT, SKIP) only WAIT and SKIP are left. Where the rules say SKIP, WAIT is allowed: neither trades;
- DOWNSIZE where the rules CONFIRM is less than the cap, else it would lower nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.signals import FACTORS
from core.verdicts.model.plain import plain
from core.verdicts.rules import MULTIPLIER_CAPS, VERDICTS

LONGEST_REASON, LONGEST_CHANGE, MOST_REASONS = 200, 400, 5
# A trade of less than this is none, whatever it is called.
LEAST_MULTIPLIER = 0.05
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


class UnusableAnswer(ValueError):
    """A reply is no answer; the text says why, for the record."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Reason(_Part):
    """One reason, and the factor or input that it rests on."""

    factor: Basis
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]


class Answer(_Part):
    """What a model has to reply with. The descriptions are part of the prompt."""

    verdict: Verdict
    risk_mode: RiskMode
    multiplier: Annotated[
        float,
        Field(ge=0, le=1.5, description="part of the trade's size, at most multiplier_max"),
    ]
    reasons: Annotated[list[Reason], Field(min_length=1, max_length=MOST_REASONS)]
    change_of_mind: Annotated[str, Field(min_length=1, max_length=LONGEST_CHANGE)]


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


def read_answer(content: str, *, rules_verdict: str, cap: float) -> Judged:
    """The answer in the text of a reply. Raises `UnusableAnswer` with the reason.

    ``cap`` is the rules' multiplier of the signal, ``rules_verdict`` their word.

    >>> read_answer("I CONFIRM this trade.", rules_verdict="CONFIRM", cap=1.0)
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
    _check(answer, rules_verdict, cap)
    reasons = tuple((one.factor, plain(one.text, LONGEST_REASON)) for one in answer.reasons)
    change = plain(answer.change_of_mind, LONGEST_CHANGE)
    if not change or not all(text for _, text in reasons):
        raise UnusableAnswer("A text of it is empty.")
    # Minus zero and zero are one number to the record.
    return Judged(answer.verdict, answer.risk_mode, answer.multiplier + 0.0, reasons, change)


def _check(answer: Answer, rules_verdict: str, cap: float) -> None:
    verdict, multiplier = answer.verdict, answer.multiplier
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
    if verdict not in allowed(rules_verdict, cap):
        raise UnusableAnswer(f"{verdict} is milder than the rules' {rules_verdict}.")
    if verdict == "DOWNSIZE" and rules_verdict == "CONFIRM" and multiplier >= cap:
        raise UnusableAnswer(f"DOWNSIZE at {multiplier:g} lowers nothing.")


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
