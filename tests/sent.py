"""Things for tests of sending: settings that allow this machine, a message, a name service."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from core.alerts.delivery import Allowed

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)
HERE = Allowed([ip_network("127.0.0.1")])
PUBLIC = Allowed()


@dataclass(frozen=True)
class Told:
    """A message as a channel gets it."""

    key: str = "key-1"
    severity: str = "warning"
    body: Mapping[str, Any] = field(
        default_factory=lambda: {
            "title": "Crowded longs",
            "text": "BTCUSDT fires.",
            "content": {"kind": "fired", "fired": [{"symbol": "BTCUSDT"}]},
        }
    )
    made_at: datetime = NOON


@contextmanager
def names(patch: pytest.MonkeyPatch, **answers: str | Iterable[str]) -> Iterator[list[str]]:
    """A name service: of each host the addresses that it gives one after another, the last for ever,
    or one for always; the list is who was asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo
    left = {
        host.replace("_", "."): [given] if isinstance(given, str) else list(given)
        for host, given in answers.items()
    }

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in left:
            return real(host, port, *args, **kwargs)
        asked.append(name)
        found = left[name].pop(0) if len(left[name]) > 1 else left[name][0]
        return [row for one in found.split() for row in real(one, port, *args, **kwargs)]

    with patch.context() as context:
        context.setattr(socket, "getaddrinfo", look_up)
        yield asked
