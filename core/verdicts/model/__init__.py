"""The verdict of a language model: what it is asked, what counts as an answer, and the asking.

`question` and `answer` are pure; `asking` speaks to an endpoint and needs the openai package, which
takes a second to import, so it is imported by name where it is used.
"""

from core.verdicts.model.answer import (
    Answer,
    Bounds,
    Judged,
    Reason,
    UnusableAnswer,
    allowed,
    read_answer,
)
from core.verdicts.model.question import PROMPT_VERSION, Question, ask_about, price_summary

__all__ = [
    "PROMPT_VERSION",
    "Answer",
    "Bounds",
    "Judged",
    "Question",
    "Reason",
    "UnusableAnswer",
    "allowed",
    "ask_about",
    "price_summary",
    "read_answer",
]
