"""The documented table of every name and function, made from the registries."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from core.alerts.functions import FUNCTIONS
from core.alerts.names import NAMES, Name
from core.alerts.ranges import ANYTHING

BEGIN = "<!-- begin: names and functions of alert rules -->"
END = "<!-- end: names and functions of alert rules -->"


def reference() -> str:
    """Markdown of all names and functions: what README holds between `BEGIN` and `END`."""
    parts = []
    for group, members in groupby(NAMES, key=lambda name: name.group):
        # Names that mean the same of different things share a row.
        alike = (list(names) for _, names in groupby(members, key=lambda name: name.meaning))
        rows = (_row(names) for names in alike)
        parts.append(_table((group, "unit", "meaning", "range", "usually", "example"), rows))
    functions = (
        (
            f"`{one.signature}`",
            one.unit_in_words,
            one.meaning,
            one.unknown,
            f"`{one.example}`",
        )
        for one in FUNCTIONS
    )
    parts.append(_table(("Functions", "gives", "meaning", "unknown", "example"), functions))
    return "\n\n".join(parts) + "\n"


def _row(names: list[Name]) -> tuple[str, ...]:
    called = ", ".join(
        " or ".join(f"`{one}`" for one in (name.name, *name.aliases)) for name in names
    )
    first, units = names[0], dict.fromkeys(name.unit for name in names)
    usual = ", ".join(f"`{text}`" for text in first.values) or first.typical
    unit = first.unit if len(units) == 1 else "its own"
    alike = all(name.range == first.range for name in names)
    between = _between(first) if alike else "its own"
    return called, unit, first.meaning, between, usual, f"`{first.example}`"


def _between(name: Name) -> str:
    """Outside of what no known value lies; empty where that is not known, or where there are texts."""
    if name.range == ANYTHING or name.kind != "number":
        return ""
    return name.range.words


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n{body}"
