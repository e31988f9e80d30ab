"""Which model was asked what: two that were asked differently, or elsewhere, have a record each."""

from __future__ import annotations

import hashlib
import json
import re

from core.verdicts.model.question import PROMPT_VERSION

_MONTH_DAY = r"(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])"
_DATED = re.compile(rf"-(20\d\d-?)?{_MONTH_DAY}")


def version_asked(endpoint: str, temperature: float | None) -> str:
    """A hash over all that is asked besides the numbers and the model's name: prompt and schema, the
    endpoint (without credentials), and the temperature (None: the endpoint's own).

    >>> version_asked("http://a/v1", None) == version_asked("http://a/v1", 0.0)
    False
    """
    degrees = None if temperature is None else float(temperature) + 0.0
    whole = json.dumps([PROMPT_VERSION, endpoint, degrees])
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def same_model(asked: str, replied: str | None) -> bool:
    """Whether a reply is of the model that was asked: it says so, says nothing, or adds a date.

    >>> [same_model("gpt-x", one) for one in ("gpt-x", None, "gpt-x-2026-01-01", "gpt-x-mini")]
    [True, True, True, False]
    """
    if not replied or replied == asked:
        return True
    return replied.startswith(asked) and _DATED.fullmatch(replied[len(asked) :]) is not None
