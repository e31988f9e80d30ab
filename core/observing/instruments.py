"""What this process counts and measures; `core.observing.stored` reads the rest from the database.

Every label has few values: routes and pages by their names, never an address as it was asked for.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

# When a series began is of no use to anybody here, and doubles them.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry(auto_describe=True)
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=REGISTRY)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter(
    "cryptosatx_requests",
    "Requests that were answered.",
    ("route", "method", "status"),
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "cryptosatx_request_seconds",
    "From a request to the end of its answer.",
    ("route",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
REFUSED = Counter(
    "cryptosatx_refused_requests",
    "Requests that were turned away before anything was done for them.",
    ("reason",),
    registry=REGISTRY,
)
WEBSOCKETS = Gauge(
    "cryptosatx_websockets", "Pages that are open, by their connections.", registry=REGISTRY
)
PAGE_RUNS = Counter(
    "cryptosatx_page_runs",
    "Runs of pages; failed are those that ended in an error.",
    ("page", "outcome"),
    registry=REGISTRY,
)
PAGE_SECONDS = Histogram(
    "cryptosatx_page_run_seconds",
    "From the beginning of a page's run to its end.",
    ("page",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
PART_SECONDS = Histogram(
    "cryptosatx_round_part_seconds",
    "Parts of a round as this worker did them.",
    ("part",),
    buckets=(*_SECONDS, 60.0, 120.0, 300.0),
    registry=REGISTRY,
)
PART_FAILURES = Counter(
    "cryptosatx_round_part_failures",
    "Parts of a round that ended in an error here.",
    ("part",),
    registry=REGISTRY,
)
