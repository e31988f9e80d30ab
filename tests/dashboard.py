"""The dashboard's routes over a database of their own, and people and sessions in it; no browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from core import instance as instances
from core.accounts import Person, passwords, people, sessions, tickets
from core.instance import Instance, instance
from core.store import tables
from core.ui.routes import ROUTES
from core.ui.security import Addresses, Protection

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "four unrelated words"


class Client:
    """A browser without pages: it keeps its cookies and follows no redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self.transport = httpx.ASGITransport(app)
        self.cookies = httpx.Cookies()
        self.site = "http://dashboard"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._send("GET", path, headers))

    def post(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._send("POST", path, headers))

    async def _send(self, *request: Any) -> httpx.Response:
        method, path, headers = request
        async with httpx.AsyncClient(
            transport=self.transport, base_url=self.site, cookies=self.cookies
        ) as client:
            answer = await client.request(method, path, headers=headers)
            self.cookies = client.cookies
        return answer


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    """The demo market in development, over an empty database; nobody has an account."""
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setenv("DATABASE_URL", new_sqlite())
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    monkeypatch.setenv("CRYPTOSATX_WORKER", "off")
    monkeypatch.setenv("CRYPTOSATX_ENV", "development")
    yield instance()
    for engine in instances._engines.values():
        engine.dispose()


@pytest.fixture
def client(here: Instance) -> Client:
    return Client(
        Starlette(routes=ROUTES, middleware=[Middleware(Protection), Middleware(Addresses)])
    )


def add(here: Instance, username: str = "ada", role: str = "trader") -> Person:
    with here.accounts.begin() as conn:
        return people.create_user(
            conn,
            username=username,
            name=username.title(),
            role=role,
            password=PASSWORD,
            now=datetime.now(UTC),
        )


def open_session(here: Instance, user_id: int | None, now: datetime | None = None) -> str:
    with here.accounts.begin() as conn:
        return sessions.start(conn, user_id, now=now or datetime.now(UTC))


def make_ticket(here: Instance, user_id: int | None = None, next_path: str = "/signals") -> str:
    with here.accounts.begin() as conn:
        return tickets.issue(
            conn, user_id=user_id, browser="mine", next_path=next_path, now=datetime.now(UTC)
        )


def count_sessions(here: Instance) -> int:
    with here.accounts.connect() as conn:
        return len(conn.execute(select(tables.sessions)).all())
