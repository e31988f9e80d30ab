"""Statements that are composed once and kept as text: to compose them takes longer than to run them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ClauseElement, TextClause, bindparam, text
from sqlalchemy.dialects import postgresql, sqlite

from core.store.database import UtcDateTime

DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
# Which signals are meant. Ids go to the database in one piece, :asked.
ASKED = {
    "sqlite": "signals.id IN (SELECT value FROM json_each(:asked))",
    "postgresql": "signals.id IN (SELECT CAST(value AS bigint) "
    "FROM json_array_elements_text(CAST(:asked AS json)))",
}


def written(dialect: str, statement: ClauseElement) -> str:
    """A statement as text, what it was given but for :names in it."""
    compiled = statement.compile(
        dialect=DIALECTS[dialect].dialect(), compile_kwargs={"literal_binds": True}
    )
    return str(compiled)


def typed(statement: str, given: Mapping[str, Any]) -> TextClause:
    """A written statement, with the :names that stand for times told."""
    times = [name for name, value in given.items() if isinstance(value, datetime)]
    return text(statement).bindparams(*(bindparam(name, type_=UtcDateTime()) for name in times))
