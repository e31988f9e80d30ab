"""The API over a market on which everything is stored, and people with keys."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import streamlit as st
from sqlalchemy import Connection, Engine
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core import instance as instances
from core.accounts import keys
from core.api import api_routes
from core.backtest.walk import CELL
from core.instance import Instance, instance
from core.market.stream.events import Event
from core.operations.own import own_operations
from core.signals import load_profile
from core.store import backtests
from core.store.database import open_database
from core.store.liquidations import save_liquidations
from core.store.record import Filters, load_tallies
from core.store.signals import save_profile
from core.store.tables import users
from tests.alert_desk import fire
from tests.alerted import silence
from tests.builders import make_frame
from tests.pages import store_past
from tests.test_accuracy_page import judge, sum_factors

NOW = datetime.now(UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
PEOPLE: Mapping[str, str] = {"tom": "trader", "ann": "analyst", "ada": "admin"}
MODEL = "gpt-a / 1"
PREFIX = "/api/v1"


@cache
def past() -> pd.DataFrame:
    """Two markets over 24 days, long ago; those of `tests.alerted` end now."""
    return make_frame(2, hours=24 * 24)


@dataclass
class Desk:
    """The API of a served market; whoever asks has a key of every scope unless told otherwise."""

    here: Instance
    client: TestClient

    def key(
        self, owner: str = "ada", scopes: Collection[str] | None = None, lasts: timedelta = DAY
    ) -> str:
        """A new key of a person."""
        return add_key(self.here.accounts, owner, scopes, lasts)

    def get(self, path: str, key: str | None = None, **parameters: Any) -> httpx.Response:
        return self.client.get(f"{PREFIX}{path}", params=parameters, headers=self._headers(key))

    def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        return self.client.post(f"{PREFIX}{path}", json=body, headers=self._headers(key))

    def invoke(self, operation: str, /, **parameters: Any) -> Any:
        """What an operation gives by its name; it must not be refused."""
        answer = self.post("/invoke", {"operation": operation, "parameters": parameters})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def refusal(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """The problem that an operation answers with."""
        answer = self.post("/invoke", {"operation": operation, "parameters": parameters})
        assert answer.status_code >= 400, answer.text
        problem: dict[str, Any] = answer.json()
        return problem

    def pages(self, path: str, limit: int, **parameters: Any) -> Iterator[list[dict[str, Any]]]:
        """Every page of a list."""
        cursor: dict[str, str] = {}
        while True:
            answer = self.get(path, limit=limit, **parameters, **cursor)
            assert answer.status_code == 200, answer.text
            yield answer.json()["items"]
            following = answer.json()["next_cursor"]
            if following is None:
                return
            cursor = {"cursor": following}

    def _headers(self, key: str | None) -> dict[str, str]:
        if key == "":
            return {}
        return {"Authorization": f"Bearer {self._own if key is None else key}"}

    def __post_init__(self) -> None:
        self._own = self.key()


def add_people(engine: Engine) -> None:
    """A person of each role; nobody signs in with these passwords."""
    with engine.begin() as conn:
        for name, role in PEOPLE.items():
            add_person(conn, name, role)


def add_person(conn: Connection, name: str, role: str) -> None:
    values = {"username": name, "name": name.title(), "role": role, "password_hash": "-"}
    values |= {"disabled": False, "created_at": NOW, "updated_at": NOW}
    conn.execute(users.insert().values(values))


def add_key(
    engine: Engine, owner: str, scopes: Collection[str] | None = None, lasts: timedelta = DAY
) -> str:
    asked = own_operations().scopes if scopes is None else scopes
    with engine.begin() as conn:
        _, text = keys.create(
            conn, owner, name="a program", scopes=asked, expires_at=NOW + lasts, by=owner, now=NOW
        )
    return text


def fill(engine: Engine) -> None:
    """A past with verdicts of a model and what became of it, a present with alerts, liquidations."""
    store_past(engine, past())
    with engine.begin() as conn:
        judge(conn)
        sum_factors(conn, past())
        for name in ("conservative", "aggressive"):
            save_profile(conn, load_profile(name), NOW)
        save_liquidations(conn, liquidations())
    fire(engine)
    silence(engine, "symbol = ETHUSDT", at=NOW)
    add_runs(engine)


def liquidations(count: int = 40, until: datetime = NOW) -> list[Event]:
    return [
        Event(
            venue=("binance", "okx")[at % 2],
            symbol=("BTCUSDT", "ETHUSDT")[at % 3 % 2],
            liquidated_side=("long", "short")[at % 5 % 2],
            price=100.0 + at,
            quantity=2.0,
            usd=200.0 + 2 * at,
            # Some at the same time, which the order has to tell apart.
            occurred_at=until - (at // 3) * MINUTE,
            received_at=until - (at // 3) * MINUTE + timedelta(seconds=1),
            identity=f"{10_000 - at}",
        )
        for at in range(count)
    ]


def add_runs(engine: Engine, count: int = 5) -> None:
    """Runs that wait, and one that is done."""
    with engine.begin() as conn:
        for number in range(count):
            asked = backtests.Asked(f"Run {number}", "live", load_profile())
            made = backtests.ask(conn, asked, "ann", NOW - number * MINUTE)
        backtests.begin(conn, made, "one", NOW)
        shown = load_tallies(conn, Filters("balanced"), CELL)
        backtests.finish(
            conn, made, "one", at=NOW, history_digest="0" * 64, held_back_from=NOW, held_back={},
            result={
                "headline": "Nothing is proven yet.",
                "tallies": backtests.dump_tallies(shown),
                "counts": {"bars": 10, "long": 1, "short": 2, "neutral": 3, "no_signal": 4},
            },
        )  # fmt: skip


def make_template(source: Path, folder: Path) -> Path:
    """A migrated SQLite file with all of it, for tests to copy."""
    path = shutil.copyfile(source, folder / "api.sqlite")
    engine = open_database(f"sqlite:///{path}")
    add_people(engine)
    fill(engine)
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


def serve(patch: pytest.MonkeyPatch, url: str, folder: Path, **settings: str) -> Iterator[Desk]:
    patch.setattr(instances, "_engines", {})
    for name, value in {
        "DATABASE_URL": url,
        "CRYPTOSATX_DATA": str(folder),
        "CRYPTOSATX_MARKET": "live",
        "CRYPTOSATX_WORKER": "off",
        "CRYPTOSATX_API_CALLS_PER_MINUTE": "100000",
        **settings,
    }.items():
        patch.setenv(name, value)
    st.cache_data.clear()
    yield Desk(instance(), TestClient(Starlette(routes=api_routes())))
    for engine in instances._engines.values():
        engine.dispose()
