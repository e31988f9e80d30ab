"""An expression as it is being written: what is wrong, where, and what would be right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from core.alerts.expression import Rule, compile_rule
from core.errors import RuleError

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|[0-9.]+|\"[^\"\n]*\"?|'[^'\n]*'?|[^\w\s\"'(),]+|.")
_MEANT = re.compile(r"^Did you mean (.+)\?$")
_WRITE = re.compile(
    r"^(?:Write|Type) (==|!=|<=|>=|and|or|not|in|if|else)(?: to compare| instead)?\.$"
)
_LOUD = {"AND", "OR", "NOT", "IN", "IF", "ELSE"}


@dataclass(frozen=True)
class Check:
    """What the language says to a text. Without a ``rule`` there is a ``reason``; the fault stands from
    ``start`` to ``end``, in characters, and each of ``fixes`` may be put in its place."""

    text: str
    rule: Rule | None
    reason: str = ""
    hint: str = ""
    start: int = 0
    end: int = 0
    fixes: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def check_text(text: str) -> Check:
    """Check an expression.

    >>> found = check_text("scor > 60")
    >>> found.reason, found.start, found.end, found.fixes
    ('There is no scor.', 0, 4, ('score', 'zscore'))
    >>> check_text("score = 60").fixes, check_text("score >").start
    (('==',), 7)
    """
    try:
        return Check(text, compile_rule(text))
    except RuleError as error:
        start = min(error.position or 0, len(text))
        found = _TOKEN.match(text, start)
        token = found.group() if found else ""
        fixes = _fixes(error.hint, token)
        return Check(text, None, error.reason, error.hint, start, start + len(token), fixes)


def _fixes(hint: str, token: str) -> tuple[str, ...]:
    meant = _MEANT.match(hint)
    if meant:
        return tuple(one.strip() for one in meant[1].split(" or "))
    write = _WRITE.match(hint)
    if write and (token in _LOUD or not re.match(r"[\w\"']", token)):
        return (write[1],)
    return ()
