"""How a page speaks of a language model: what its reasons rest on, and how asking it ended."""

from __future__ import annotations

from collections.abc import Mapping

from core.signals.factors import BY_NAME

# How a question ended, as the model's own doing: "gpt did not answer in time."
ENDED: Mapping[str, str] = {
    "timed_out": "did not answer in time",
    "refused": "refused to answer",
    "cut_off": "did not come to the end of its answer",
    "invalid": "gave an answer that cannot be used",
    "failed": "could not be reached",
    "unavailable": "was left alone after failures in a row",
    "over_budget": "was not asked: the day's budget was used up",
    "lost": "was asked, and its answer was lost with the worker",
}
# The same as the name of a row.
KINDS: Mapping[str, str] = {
    "answered": "Answered",
    "timed_out": "No answer in time",
    "refused": "Refused",
    "cut_off": "Answer cut off",
    "invalid": "Answer not usable",
    "failed": "Endpoint failed",
    "unavailable": "Not asked: endpoint left alone",
    "over_budget": "Not asked: over budget",
    "lost": "Lost with its worker",
}
MEANINGS: Mapping[str, str] = {
    "answered": "kept to the schema and to what the rules allow",
    "timed_out": "CRYPTOSATX_MODEL_TIMEOUT passed",
    "refused": "the model or a filter of its provider would not answer",
    "cut_off": "the answer was longer than a reply may be",
    "invalid": "not the JSON asked for, against the schema, or above the rules' multiplier",
    "failed": "HTTP errors or no connection, retries included",
    "unavailable": "after five failures in a row nothing is asked for a minute and longer",
    "over_budget": "calls or money of the UTC day were used up",
    "lost": "the worker that asked ended before the answer was stored; never asked again",
}
_NAMED = {
    "volatility": "Volatility",
    "coverage": "Coverage",
    "agreement": "Agreement",
    "crowding": "Crowding",
    "price": "Price",
}


def basis_title(name: str) -> str:
    """What a reason rests on, in words.

    >>> basis_title("oi_trend"), basis_title("crowding")
    ('Open interest trend', 'Crowding')
    """
    return BY_NAME[name].title if name in BY_NAME else _NAMED.get(name, name)
