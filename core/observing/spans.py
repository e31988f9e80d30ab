"""Traces, where a collector is named; elsewhere a span is nothing and costs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

_NOTHING: AbstractContextManager[Any] = nullcontext()
_tracer: Tracer | None = None


def trace_by(tracer: Tracer | None) -> None:
    """Make spans with this tracer from now on; None: make none."""
    global _tracer
    _tracer = tracer


def is_tracing() -> bool:
    return _tracer is not None


def span(
    name: str, *, parent: Context | None = None, **attributes: str | int | float
) -> AbstractContextManager[Any]:
    """A span for as long as the block runs."""
    if _tracer is None:
        return _NOTHING
    return _tracer.start_as_current_span(name, context=parent, attributes=attributes)


def parent_in(headers: Mapping[str, str]) -> Context | None:
    """What a request says it is part of, which only somebody who is believed is to be asked; None where
    it says nothing."""
    if _tracer is None or "traceparent" not in headers:
        return None
    from opentelemetry.propagate import extract

    return extract(headers)


def shared_parent(what: str) -> Context | None:
    """The same parent in every process, so that all that is done for ``what`` is one trace."""
    if _tracer is None:
        return None
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    bits = hashlib.sha256(what.encode()).digest()
    trace, first = int.from_bytes(bits[:16], "big"), int.from_bytes(bits[16:24], "big")
    flags = TraceFlags(TraceFlags.SAMPLED)
    return set_span_in_context(NonRecordingSpan(SpanContext(trace, first, True, flags)))
