"""Lists of the Alerts page as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

# A spreadsheet would take a text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    r"""Rows as CSV: times in ISO 8601 and UTC, what is nested as JSON, texts never as formulas.

    >>> to_csv(["rule", "n"], [{"rule": "=1+1", "n": -2}])
    "rule,n\r\n'=1+1,-2\r\n"
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_field(row.get(name)) for name in columns])
    return text.getvalue()


def _field(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"'{said}" if said.startswith(_FORMULA) else said
