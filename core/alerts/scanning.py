"""The first look at the text of a rule: only what the language is made of gets to the parser.

What is refused here is refused before anything is parsed, with the place and what to write instead.
"""

from __future__ import annotations

import re
import unicodedata
from difflib import get_close_matches

from core.alerts import functions, names
from core.alerts.lookalikes import plain_letters, word_around
from core.errors import RuleError

MOST_CHARACTERS = 1_000
MOST_BRACKETS = 40

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<word>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<text>"[^"\n\r]*"|'[^'\n\r]*')
    |(?P<foreign>:=|\*\*|//|<<|>>|->|&&|\|\||===|!==|=>|=<|<>|=(?!=)|!(?!=))
    |(?P<sign><=|>=|!=|==|[-+*/<>(),])""",
    re.VERBOSE,
)
_OPERATORS = {"and", "or", "not", "in", "if", "else"}
_WORDS: dict[str, tuple[str, str]] = {
    "is": ("A rule cannot ask whether something is something.", "Write ==, or known(x)."),
    "None": ("None is no value of a rule.", "Use known(x) to ask whether x is known."),
    "True": ("A rule has no fixed True.", "Write the condition alone."),
    "False": ("A rule has no fixed False.", "Write not and the condition."),
    "lambda": ("A rule cannot define functions.", ""),
    "def": ("A rule cannot define functions.", ""),
    "class": ("A rule cannot define classes.", ""),
    "for": ("A rule cannot loop.", "It holds for every symbol and every bar by itself."),
    "while": ("A rule cannot loop.", "It holds for every symbol and every bar by itself."),
    "await": ("A rule cannot wait.", ""),
    "async": ("A rule cannot wait.", ""),
    "yield": ("A rule cannot yield.", ""),
    "import": ("A rule cannot import anything.", ""),
    "from": ("A rule cannot import anything.", ""),
    "del": ("A rule cannot delete anything.", ""),
    "then": ("There is no then.", "Write a if condition else b."),
    "elif": ("There is no elif.", "Write a if condition else (b if other else c)."),
}
_WORDS |= {
    word: (f"{word} is a statement; a rule is one condition.", "")
    for word in (
        *("as", "assert", "break", "continue", "except", "finally", "global", "nonlocal"),
        *("pass", "raise", "return", "try", "with"),
    )
}
_SAID_OTHERWISE = {"AND": "and", "OR": "or", "NOT": "not", "IN": "in", "IF": "if", "ELSE": "else"}
_FOREIGN: dict[str, tuple[str, str]] = {
    "=": ("A rule cannot assign.", "Write == to compare."),
    ":=": ("A rule cannot assign.", "Write == to compare."),
    "**": ("There is no power.", "Multiply instead."),
    "//": ("There is no division to whole numbers.", "Write round(x / y)."),
    "<<": ("There are no shifts.", "Write < to compare."),
    ">>": ("There are no shifts.", "Write > to compare."),
    "&&": ("&& is not of this language.", "Write and."),
    "||": ("|| is not of this language.", "Write or."),
    "===": ("=== is not of this language.", "Write ==."),
    "!==": ("!== is not of this language.", "Write !=."),
    "=>": ("=> is not of this language.", "Write >=."),
    "=<": ("=< is not of this language.", "Write <=."),
    "<>": ("<> is not of this language.", "Write !=."),
    "!": ("! is not of this language.", "Write not."),
    "->": ("-> is not of this language.", "Write >= or <= to compare."),
    "&": ("& is not of this language.", "Write and."),
    "|": ("| is not of this language.", "Write or."),
    "^": ("There is no power and no ^.", "Multiply instead."),
    "~": ("~ is not of this language.", "Write not."),
    "%": ("There is no %.", 'Write a percentage as a fraction, or change_percent(x, "4h").'),
    "@": ("@ is not of this language.", "Write * to multiply."),
    ".": ("A rule cannot reach into anything with a dot.", "Names have no parts."),
    "[": ("There are no brackets [ ].", 'Write change(x, "4h") to look back, ( ) for lists.'),
    "]": ("There are no brackets [ ].", 'Write change(x, "4h") to look back, ( ) for lists.'),
    "{": ("There are no braces { }.", "Write ( ) for lists."),
    "}": ("There are no braces { }.", "Write ( ) for lists."),
    ";": ("A rule is one condition.", "Join two with and, or or."),
    ":": ("There is no colon.", "Write a if condition else b to choose."),
    "?": ("There is no question mark.", "Write a if condition else b to choose."),
    "#": ("A rule has no remarks.", "Put them into its description."),
    "\\": ("There is no backslash.", "A rule may go on in the next line by itself."),
    "`": ("There is no backquote.", "Put texts into double quotes."),
    "$": ("$ is not of this language.", "Write the number alone."),
    '"': ("This quote is not closed.", 'Texts stand in one line between two ".'),
    "'": ("This quote is not closed.", 'Texts stand in one line between two ".'),
}


def scan(text: object) -> str:
    """The text with every line break as a space, so that places stay the same.

    Raises `RuleError` for what cannot be of the language, whatever the parser would make of it.
    """
    if not isinstance(text, str):
        raise RuleError("A rule is a text.", hint='Write a condition such as "score > 60".')
    if not text.strip():
        raise RuleError(
            "The rule is empty.", position=0, hint='Write a condition such as "score > 60".'
        )
    if len(text) > MOST_CHARACTERS:
        raise RuleError(
            f"The rule has {len(text):,} characters; at most {MOST_CHARACTERS:,} are allowed.",
            position=MOST_CHARACTERS,
            hint="Make two rules of it.",
        )
    _refuse_hidden(text)
    _scan_tokens(text)
    return re.sub(r"[\t\r\n]", " ", text)


def _refuse_hidden(text: str) -> None:
    """Control characters, marks of writing direction and the like stand nowhere, quoted or not."""
    for place, character in enumerate(text):
        if character in "\t\r\n":
            continue
        if unicodedata.category(character)[0] == "C" or character in "\u2028\u2029":
            raise RuleError(
                f"There is an invisible character here ({_called(character)}).",
                position=place,
                hint="Delete it, or type the rule anew.",
            )


def _scan_tokens(text: str) -> None:
    place, open_brackets = 0, 0
    touching, before = "", ""
    while place < len(text):
        found = _TOKEN.match(text, place)
        kind = found.lastgroup if found else None
        token = found.group() if found else text[place]
        if kind in (None, "foreign"):
            _refuse_foreign(token, place, text)
        if kind == "word":
            _check_word(token, touching, place)
        elif kind == "text":
            _check_text(token, touching, before, place)
        elif token in "()":
            open_brackets = _counted(token, open_brackets, place)
        touching = kind or ""
        before = before if kind == "space" else touching
        place += len(token)
    if open_brackets:
        raise RuleError(
            "A parenthesis is not closed.", position=len(text), hint="Write ) where it ends."
        )


def _counted(bracket: str, already_open: int, place: int) -> int:
    """How many parentheses are open after this one."""
    now = already_open + (1 if bracket == "(" else -1)
    if now > MOST_BRACKETS:
        raise RuleError(
            f"More than {MOST_BRACKETS} parentheses are open here.",
            position=place,
            hint="Leave out those that change nothing, or make two rules of it.",
        )
    if now < 0:
        raise RuleError("This parenthesis closes nothing.", position=place, hint="Delete it.")
    return now


def _refuse_foreign(token: str, place: int, text: str) -> None:
    reason, hint = _FOREIGN.get(token, ("", ""))
    if not reason and not token.isascii():
        reason = f"Outside of quotes a rule is plain letters; this is {_called(token)}."
        hint = _plain_hint(token, place, text)
        hint = "Type a plain space instead." if token.isspace() else hint
        if token in "“”„«»‘’":
            hint = 'Type the plain quote " instead.'
        elif token in "≤≥≠":
            hint = f"Type {'<=' if token == '≤' else '>=' if token == '≥' else '!='} instead."
    raise RuleError(
        reason or f"{token} is not of this language.", position=place, hint=hint or "Delete it."
    )


def _plain_hint(token: str, place: int, text: str) -> str:
    """What a letter looks like, and the word that it makes where the language has that one."""
    plain = plain_letters(token).strip()
    if not plain or not plain.isascii():
        return ""
    start, end = word_around(text, place)
    word = plain_letters(text[start:end])
    if word in names.BY_NAME or word in functions.BY_NAME or word in _OPERATORS:
        return f"It looks like {plain}: type {word} in plain letters."
    return f"Type {plain} instead."


def _check_word(word: str, touching: str, place: int) -> None:
    if touching == "number":
        raise RuleError(
            f"A number is followed by {word[:20]}.",
            position=place,
            hint='Write durations in quotes, such as "4h", and numbers without units.',
        )
    if word in _WORDS:
        reason, hint = _WORDS[word]
        raise RuleError(reason, position=place, hint=hint or "Write one condition.")
    if word in _SAID_OTHERWISE:
        raise RuleError(
            f"{word} is written in small letters.",
            position=place,
            hint=f"Write {_SAID_OTHERWISE[word]}.",
        )


def _check_text(token: str, touching: str, before: str, place: int) -> None:
    if touching == "word" or before == "text":
        raise RuleError(
            "A text has no letters before it and no second text after it.",
            position=place,
            hint='Write it once, in plain quotes: "BTCUSDT".',
        )
    for offset, character in enumerate(token):
        if character in "\\{}":
            raise RuleError(
                f"A text cannot hold {character}.", position=place + offset, hint="Delete it."
            )
        if not character.isascii() and not unicodedata.name(character, "").startswith("CJK "):
            raise RuleError(
                f"A text cannot hold {_called(character)}.",
                position=place + offset,
                hint=_plain_hint(character, offset, token) or "Type the letter it looks like.",
            )


def _called(character: str) -> str:
    name = unicodedata.name(character[0], "")
    return name.lower() or f"U+{ord(character[0]):04X}"


def did_you_mean(word: str) -> str:
    """Names and functions that look like a word, as a hint; empty when none does."""
    known = [*names.BY_NAME, *functions.BY_NAME]
    small = word.lower()
    if small in known:
        return f"Did you mean {small}?"
    alike = get_close_matches(small, known, n=3, cutoff=0.7)
    return f"Did you mean {' or '.join(alike)}?" if alike else ""
