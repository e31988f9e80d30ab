"""An expression as it is being written: what is wrong, where, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from core.alerts.checking import doubts_before
from core.alerts.doubts import Doubt
from core.alerts.expression import Rule, compile_rule
from core.alerts.markets import doubt_markets
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
    ``start`` to ``end``, in characters, and each of ``fixes`` may be put in its place. ``doubts`` are
    what is odd about it and forbids nothing."""

    text: str
    rule: Rule | None
    reason: str = ""
    hint: str = ""
    start: int = 0
    end: int = 0
    fixes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()


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
        rule = compile_rule(text)
        return Check(text, rule, doubts=rule.doubts)
    except RuleError as error:
        start = min(error.position or 0, len(text))
        found = _TOKEN.match(text, start)
        token = found.group() if found else ""
        fixes = _fixes(error.hint, token)
        end = start + len(token)
        doubts = doubts_before(text)
        return Check(text, None, error.reason, error.hint, start, end, fixes, doubts)


def with_markets(check: Check, known: Collection[str]) -> Check:
    """The same with a doubt for every market that it names and that is not ``known``.

    >>> [doubt.start for doubt in with_markets(check_text('symbol != "BTC"'), ["BTCUSDT"]).doubts]
    [10]
    """
    if check.rule is None:
        return check
    doubts = check.doubts + doubt_markets(check.text, known)
    return replace(check, doubts=tuple(sorted(doubts, key=lambda doubt: doubt.start)))


def _fixes(hint: str, token: str) -> tuple[str, ...]:
    meant = _MEANT.match(hint)
    if meant:
        return tuple(one.strip() for one in meant[1].split(" or "))
    write = _WRITE.match(hint)
    if write and (token in _LOUD or not re.match(r"[\w\"']", token)):
        return (write[1],)
    return ()
