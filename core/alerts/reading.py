"""What stands in quotes, and where: the words of a rule, each refused at its place."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from core.alerts.functions import MOST_DAYS, MOST_DIGITS, MOST_HOURS
from core.alerts.names import Statistic
from core.alerts.tree import Piece
from core.errors import RuleError
from core.outcomes import HORIZONS
from core.verdicts import VERDICTS

_WINDOW = re.compile(r"([1-9][0-9]{0,4})([hd])")
_SHOWN = 40
_WANTING = ("and", "or", "not", "in", "if", "else")


class Reader:
    """The text of a rule, where its nodes stand in it, and what its words mean."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._blanks = len(text) - len(text.lstrip(" "))
        self._coded = text[self._blanks :].encode()

    def span(self, node: Any) -> tuple[int, int]:
        """Where a node begins and ends, in characters; the parser counts bytes after blanks."""
        ends = (node.col_offset, node.end_col_offset)
        start, end = (len(self._coded[:at].decode()) for at in ends)
        return self._blanks + start, self._blanks + end

    def refuse(self, reason: str, source: ast.AST, hint: str) -> NoReturn:
        raise RuleError(reason, position=self.span(source)[0], hint=hint)

    def parse(self) -> ast.expr:
        """The text as the parser reads it."""
        text = self.text.strip(" ")
        try:
            return ast.parse(text, mode="eval").body
        except SyntaxError as error:
            at_end = not error.offset or (error.lineno or 1) > 1
            place = len(text) if at_end else min(error.offset or 0, len(text) + 1) - 1
            raise RuleError(
                "The rule is not complete, or a sign is out of place here.",
                position=self._blanks + place,
                hint=_after_syntax_error(text),
            ) from None
        except (ValueError, MemoryError, RecursionError):
            raise RuleError(
                "The rule is nested too deeply to be read.", position=0, hint="Make it simpler."
            ) from None

    def code(self, piece: Piece, text: str, source: ast.expr) -> float:
        """The number that stands for a text of this name."""
        if piece.values is None:
            self.refuse(f'"{cut(text)}" is compared with a number.', source, "Write a number.")
        return piece.values[self._one_of(text, tuple(piece.values), source)]

    def symbol(self, text: str, source: ast.expr) -> str:
        if not text or len(text) > _SHOWN or not all(c.isalnum() or c in "-_" for c in text):
            self.refuse(f'"{cut(text)}" is no symbol.', source, 'Write one such as "BTCUSDT".')
        if text != text.upper():
            self.refuse(
                f'"{text}" is no symbol: they are written in capitals.',
                source,
                f'Did you mean "{text.upper()}"?',
            )
        return text

    def statistic(self, measure: Any, args: list[ast.expr]) -> Statistic:
        """What verdict, days and horizon ask for."""
        verdict = self._quoted(args[0], 'Write a verdict such as "CONFIRM".')
        self._one_of(verdict, VERDICTS, args[0])
        hint = f'Write "1d" to "{MOST_DAYS}d".'
        found = _WINDOW.fullmatch(self._quoted(args[1], hint))
        if not found or found[2] != "d" or int(found[1]) > MOST_DAYS:
            self.refuse("Outcomes are counted over whole days.", args[1], hint)
        horizon = self._quoted(args[2], 'Write a horizon such as "4h".')
        self._one_of(horizon, HORIZONS, args[2])
        return Statistic(measure, verdict, int(found[1]), horizon)

    def hours(self, source: ast.expr, least: int) -> int:
        """A window."""
        hint = f'Write whole hours or days in quotes, "{least}h" to "{MOST_HOURS // 24}d".'
        if not is_quoted(source):
            self.refuse("A duration belongs here.", source, hint)
        text = self._quoted(source, hint)
        found = _WINDOW.fullmatch(text)
        if not found:
            self.refuse(f'"{cut(text)}" is no duration.', source, hint)
        hours = int(found[1]) * (24 if found[2] == "d" else 1)
        if hours > MOST_HOURS:
            self.refuse(f'"{text}" is longer than {MOST_HOURS // 24} days.', source, hint)
        if hours < least:
            self.refuse("One bar has no deviation.", source, hint)
        return hours

    def digits(self, source: ast.expr) -> int:
        value = source.value if isinstance(source, ast.Constant) else None
        if type(value) is not int or not 0 <= value <= MOST_DIGITS:
            self.refuse("Decimals are a whole number.", source, f"Write 0 to {MOST_DIGITS}.")
        return value

    def _one_of(self, text: str, allowed: Sequence[str], source: ast.expr) -> str:
        if text in allowed:
            return text
        alike = [one for one in allowed if one.lower() == text.strip().lower()]
        alike = alike or get_close_matches(text.upper(), allowed, n=1, cutoff=0.5)
        hint = f'Did you mean "{alike[0]}"?' if alike else f"There are {', '.join(allowed)}."
        return self.refuse(f'"{cut(text)}" is not one of its values.', source, hint)

    def _quoted(self, source: ast.expr, hint: str) -> str:
        if not (isinstance(source, ast.Constant) and isinstance(source.value, str)):
            self.refuse("A text in quotes belongs here.", source, hint)
        return source.value


def is_quoted(source: ast.expr) -> bool:
    return isinstance(source, ast.Constant) and isinstance(source.value, str)


def cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _after_syntax_error(text: str) -> str:
    """What is most often missing, told from the end of the text."""
    last = re.findall(r"[A-Za-z_]+|[^\sA-Za-z_]", text)[-1:]
    if last and last[0] in (*_WANTING, *"<>=+-*/"):
        return f"Something must follow {last[0]}."
    if re.search(r"\bif\b", text) and not re.search(r"\belse\b", text):
        return "A choice needs both sides: a if condition else b."
    return "Write a condition such as: score > 60 and coverage >= 0.8."
