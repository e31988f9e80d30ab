"""The beginning of seeing, in the dashboard as in a worker."""

from __future__ import annotations

import atexit

from core.observing.logs import configure_logs
from core.settings import Settings


def start_observing(settings: Settings, service: str) -> None:
    """Logs, and where they are configured traces and errors.

    What is not configured is not even imported.
    """
    configure_logs(settings, service)
    if settings.sentry_dsn is not None:
        from core.observing.errors_out import start_errors

        start_errors(settings, service)
    if settings.traces_to is not None:
        from core.observing.traces import start_traces

        atexit.register(start_traces(settings, service))
