"""A live market with people and rules that fire, and its Alerts page run without a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine, select
from streamlit.testing.v1 import AppTest

from core import instance as instances
from core.accounts import people, sessions
from core.instance import Instance, instance
from core.store.database import open_database
from core.store.tables import audit_log, users
from core.ui import loaders, session
from tests.alerted import judge, rule, save, store_market
from tests.channelled import add_channel
from tests.pages import open_page, words

HOUR = timedelta(hours=1)
HOSTILE = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) https://evil.example"
PEOPLE = {"ada": "admin", "ann": "analyst", "tom": "trader"}


class Desk:
    """A live market with people; `sign_in` says who looks."""

    def __init__(self, here: Instance, patch: pytest.MonkeyPatch) -> None:
        self.here, self._patch = here, patch
        self.sign_in("ada")

    def sign_in(self, name: str) -> None:
        with self.here.accounts.begin() as conn:
            wanted = select(users.c.id).where(users.c.username == name)
            token = sessions.start(conn, conn.scalar(wanted), now=datetime.now(UTC))
        self._patch.setattr(session, "_browser_token", lambda: token)

    @property
    def engine(self) -> Engine:
        return self.here.engine


def add_people(engine: Engine) -> None:
    with engine.begin() as conn:
        for name, role in PEOPLE.items():
            people.create_user(
                conn, username=name, name=name.title(), role=role,
                password="four unrelated words", now=datetime.now(UTC),
            )  # fmt: skip


def fire(engine: Engine) -> None:
    """Two rules fire on three markets, one of them tells a shared channel; a third sees nothing."""
    bars = store_market(engine)
    channel = add_channel(engine, name="Desk")
    made = bars[0] - timedelta(minutes=1)
    save(engine, rule("Up", "close > 0", severity="critical", channels=[channel]), made)
    save(engine, rule(HOSTILE[:100], "score > 0", description=HOSTILE), made)
    save(engine, rule("Blind", 'model_verdict == "SKIP"'), made)
    judge(engine, bars[-3:])


@pytest.fixture(scope="module")
def templates(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """A database with people, and one in which rules fire besides; for tests to copy."""
    folder, found = tmp_path_factory.mktemp("alerts"), {}
    for name, fills in (("people", [add_people]), ("fired", [add_people, fire])):
        found[name] = folder / f"{name}.sqlite"
        shutil.copyfile(sqlite_template, found[name])
        engine = open_database(f"sqlite:///{found[name]}")
        for fill in fills:
            fill(engine)
        with engine.connect() as conn:
            conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
    return found


@pytest.fixture
def desk(
    monkeypatch: pytest.MonkeyPatch, templates: Mapping[str, Path], tmp_path: Path
) -> Iterator[Desk]:
    path = shutil.copyfile(templates["people"], tmp_path / "desk.sqlite")
    yield from serve(monkeypatch, f"sqlite:///{path}", tmp_path)


@pytest.fixture
def fired(
    monkeypatch: pytest.MonkeyPatch, templates: Mapping[str, Path], tmp_path: Path
) -> Iterator[Desk]:
    path = shutil.copyfile(templates["fired"], tmp_path / "fired.sqlite")
    yield from serve(monkeypatch, f"sqlite:///{path}", tmp_path)


def serve(
    patch: pytest.MonkeyPatch, url: str, folder: Path, market: str = "live"
) -> Iterator[Desk]:
    patch.setattr(instances, "_engines", {})
    for name, value in {
        "DATABASE_URL": url,
        "CRYPTOSATX_DATA": str(folder),
        "CRYPTOSATX_MARKET": market,
        "CRYPTOSATX_WORKER": "off",
        "CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1",
    }.items():
        patch.setenv(name, value)
    st.cache_data.clear()
    yield Desk(instance(), patch)
    for engine in instances._engines.values():
        engine.dispose()


def page(view: str = "Now", **query: str) -> AppTest:
    st.cache_data.clear()
    return open_page("alerts.py", {"view": view, **query})


def lists(at: AppTest) -> list[dict[str, Any]]:
    """What the lists on the page were given."""
    return [
        json.loads(element.proto.json)
        for element in at.get("bidi_component")
        if element.proto.component_name == "cryptosatx_alerts"
    ]


def rows(at: AppTest) -> list[dict[str, Any]]:
    return [row for given in lists(at) for group in given["groups"] for row in group["rows"]]


def text(value: Any) -> str:
    """Every text in what a list was given."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return " ".join(
            text(value[name])
            for name in ("text", "bits", "cells", "more", "head", "rows")
            if name in value
        )
    return " ".join(text(one) for one in value)


def shown(at: AppTest) -> str:
    return " ".join([words(at), *(text(given["groups"]) for given in lists(at))]).replace(
        "\u00a0", " "
    )


def all_firing() -> list[tuple[int, str]]:
    st.cache_data.clear()
    return [(one.rule_id, one.symbol) for one in loaders.load_standings()]


def entries(desk: Desk) -> list[tuple[str, str, str]]:
    with desk.engine.connect() as conn:
        query = select(audit_log.c.by, audit_log.c.action, audit_log.c.subject)
        return [tuple(row) for row in conn.execute(query.order_by(audit_log.c.id))]
