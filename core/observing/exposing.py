"""`/metrics`, for those who may read it: on the dashboard, and at a port of a worker's own."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from typing_extensions import override

from core.observing.instruments import REGISTRY
from core.settings import Settings

CONTENT_TYPE = CONTENT_TYPE_LATEST
_THIS_MACHINE = ("127.0.0.0/8", "::1")
_logger = logging.getLogger(__name__)


def may_read(settings: Settings, address: str | None, authorization: str | None) -> bool:
    """Whether an address, or the bearer of a token, may read the metrics.

    In production nobody may who is not named.
    """
    token = settings.metrics_token
    told = (authorization or "").partition(" ")
    if token is not None and told[0].lower() == "bearer":
        given, wanted = told[2].strip().encode(), token.get_secret_value().encode()
        return hmac.compare_digest(given, wanted)
    readers = settings.metrics_from
    if not readers and token is None and settings.env == "development":
        readers = _THIS_MACHINE
    try:
        asks = ip_address(address or "")
    except ValueError:
        return False
    return any(asks in ip_network(one) for one in readers)


def metrics_text(registry: CollectorRegistry = REGISTRY) -> bytes:
    """Every metric, as Prometheus reads them."""
    return generate_latest(registry)


Answer = tuple[int, str, bytes]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what is asked of it is not worth a line."""


@contextmanager
def exposed(settings: Settings, healthy: Callable[[], bool]) -> Iterator[int | None]:
    """A worker's `/metrics` and `/health` inside the block, at CRYPTOSATX_WORKER_METRICS; its port."""
    if settings.worker_metrics is None:
        yield None
        return
    host, _, port = settings.worker_metrics.rpartition(":")

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        status, kind, body = _answer(settings, environ, healthy)
        words = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
        start(f"{status} {words}", [("Content-Type", kind), ("Cache-Control", "no-store")])
        return [body]

    try:
        server = make_server(host.strip("[]"), int(port), application, _Server, _Quiet)
    except OSError as error:
        # As where another worker of this machine is there: the work is more than to be seen.
        told = "CRYPTOSATX_WORKER_METRICS=%s cannot be used: %s. This worker shows no metrics."
        _logger.error(told, settings.worker_metrics, error.strerror)
        yield None
        return
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(settings: Settings, environ: dict[str, Any], healthy: Callable[[], bool]) -> Answer:
    path = environ.get("PATH_INFO", "")
    if path == "/health":
        good = healthy()
        return (200 if good else 503), "text/plain", b"ok" if good else b"failing"
    address, token = environ.get("REMOTE_ADDR"), environ.get("HTTP_AUTHORIZATION")
    if path == "/metrics" and may_read(settings, address, token):
        return 200, CONTENT_TYPE, metrics_text()
    return 404, "text/plain", b"Not found"
