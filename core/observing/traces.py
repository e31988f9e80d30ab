"""Where spans go: to the collector of OTEL_EXPORTER_OTLP_ENDPOINT, without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.util.types import AttributeValue
from typing_extensions import override

from core.observing.masking import Mask, mask_of
from core.observing.spans import trace_by
from core.observing.traced_sql import TracedSql
from core.settings import Settings

_TIMEOUT_SECONDS = 5


def start_traces(settings: Settings, service: str) -> Callable[[], None]:
    """Trace from now on what requests, pages, rounds, databases and HTTP clients do; gives its end."""
    assert settings.traces_to is not None
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.traces_to.rstrip('/')}/v1/traces",
        headers=_headers(settings),
        timeout=_TIMEOUT_SECONDS,
    )
    resource = Resource.create({"service.name": f"cryptosatx-{service}"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(_Masked(exporter, mask_of(settings))))
    HTTPXClientInstrumentor().instrument(tracer_provider=provider)
    tracer = provider.get_tracer("cryptosatx")
    databases = TracedSql(tracer)
    databases.begin()
    trace_by(tracer)

    def end() -> None:
        trace_by(None)
        HTTPXClientInstrumentor().uninstrument()
        databases.end()
        provider.shutdown()

    return end


def _headers(settings: Settings) -> dict[str, str]:
    told = settings.traces_headers.get_secret_value() if settings.traces_headers else ""
    pairs = [pair.partition("=") for pair in told.split(",") if "=" in pair]
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


class _Masked(SpanExporter):
    """Hands spans on without what the mask hides, in attributes as in errors."""

    def __init__(self, exporter: SpanExporter, mask: Mask) -> None:
        self._exporter, self._mask = exporter, mask

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([self._without(one) for one in spans])

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _without(self, one: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=self._mask.text(one.name),
            context=one.context,
            parent=one.parent,
            resource=one.resource,
            attributes=self._values(one.attributes),
            events=[
                Event(event.name, self._values(event.attributes), event.timestamp)
                for event in one.events
            ],
            links=one.links,
            kind=one.kind,
            status=trace.Status(
                one.status.status_code,
                None if one.status.description is None else self._mask.text(one.status.description),
            ),
            start_time=one.start_time,
            end_time=one.end_time,
            instrumentation_scope=one.instrumentation_scope,
        )

    def _values(self, told: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = self._mask.value(dict(told or {}))
        return found
