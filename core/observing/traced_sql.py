"""Spans of what databases are asked, by the events of SQLAlchemy; the library for it knows no 2.1.

Of a statement its text is told, never the values it is asked with.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

_OPEN = "_cryptosatx_span"
_LONGEST = 2_000


class TracedSql:
    """Makes spans of every engine of this process, from `begin` to `end`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._listeners = (
            ("before_cursor_execute", self._before),
            ("after_cursor_execute", self._after),
            ("handle_error", self._failed),
        )

    def begin(self) -> None:
        for name, listener in self._listeners:
            event.listen(Engine, name, listener)

    def end(self) -> None:
        for name, listener in self._listeners:
            event.remove(Engine, name, listener)

    def _before(
        self,
        conn: Connection,
        _cursor: Any,
        statement: str,
        _values: Any,
        context: Any,
        _many: bool,
    ) -> None:
        if not trace.get_current_span().get_span_context().is_valid:
            return  # What belongs to no request, page or part would be a trace for each statement.
        words = statement.split(None, 1)
        opened = self._tracer.start_span(
            words[0].upper() if words else "SQL",
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": conn.dialect.name,
                "db.namespace": str(conn.engine.url.database or ""),
                "db.query.text": statement[:_LONGEST],
            },
        )
        setattr(context, _OPEN, opened)

    def _after(
        self,
        _conn: Connection,
        _cursor: Any,
        _statement: str,
        _values: Any,
        context: Any,
        _many: bool,
    ) -> None:
        if (opened := getattr(context, _OPEN, None)) is not None:
            opened.end()

    def _failed(self, failure: ExceptionContext) -> None:
        opened = getattr(failure.execution_context, _OPEN, None)
        if opened is not None:
            kind = type(failure.original_exception).__name__
            opened.set_status(Status(StatusCode.ERROR, kind))
            opened.end()
