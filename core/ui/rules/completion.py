"""What the editor can complete: every name, function and text of the language, as its registries say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from core.alerts.functions import FUNCTIONS
from core.alerts.names import NAMES
from core.outcomes import HORIZONS
from core.verdicts import VERDICTS

_WINDOWS = ("1h", "4h", "12h", "24h", "3d", "7d", "30d")
_DAYS = ("7d", "30d", "90d", "365d")
_WORDS = (
    ("and", "both must hold"),
    ("or", "one of them must hold"),
    ("not", "the condition after it must not hold"),
    ("in", "is one of a list of texts"),
    ("if", "a if condition else b: chooses between two values"),
    ("else", "a if condition else b: chooses between two values"),
)


@cache
def words() -> list[dict[str, Any]]:
    """Every word with its title, unit and meaning; ``texts`` are what a name may be compared with."""
    found: list[dict[str, Any]] = [
        {
            "word": called,
            "kind": "name",
            "title": name.title,
            "unit": name.unit,
            "meaning": name.meaning,
            "texts": list(name.values or ()),
        }
        for name in NAMES
        for called in (name.name, *name.aliases)
    ]
    found += [
        {
            "word": one.name,
            "kind": "function",
            "title": one.signature,
            "unit": one.unit_in_words,
            "meaning": one.meaning,
            "takes": list(one.takes),
        }
        for one in FUNCTIONS
    ]
    found += [
        {"word": word, "kind": "word", "title": "", "unit": "", "meaning": meaning}
        for word, meaning in _WORDS
    ]
    return found


def texts(symbols: Sequence[str]) -> dict[str, list[str]]:
    """The texts that may stand in each kind of place of a function, and the markets there are."""
    return {
        "window": list(_WINDOWS),
        "days": list(_DAYS),
        "verdict": list(VERDICTS),
        "horizon": list(HORIZONS),
        "symbol": list(symbols),
    }
