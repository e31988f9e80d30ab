"""Errors to Sentry, where SENTRY_DSN is set: what is logged as an error, without secrets."""

from __future__ import annotations

import logging
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration

from core.observing.masking import Mask, mask_of
from core.settings import Settings

# What Sentry would show of a request beside the error: none of it says what went wrong.
_LEFT_OUT = ("request", "user", "server_name", "modules")


def start_errors(settings: Settings, service: str) -> None:
    """Send from now on every error that is logged."""
    assert settings.sentry_dsn is not None
    mask = mask_of(settings)
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.env,
        before_send=lambda event, _hint: _without(event, mask),
        before_breadcrumb=lambda crumb, _hint: _without(crumb, mask),
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=logging.WARNING, event_level=logging.ERROR),
            DedupeIntegration(),
        ],
        data_collection={
            "user_info": False,
            "http_bodies": [],
            "database_query_data": False,
            "stack_frame_variables": False,
        },
        traces_sample_rate=None,
        shutdown_timeout=2,
    )
    sentry_sdk.set_tag("service", service)


def _without(event: Any, mask: Mask) -> Any:
    kept = {name: value for name, value in event.items() if name not in _LEFT_OUT}
    return mask.value(kept)
