"""Pages run without a browser, over a market that is stored for the test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from sqlalchemy import Engine
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from core import instance as instances
from core.accounts import people, sessions
from core.backtest import decide
from core.instance import Instance, instance
from core.market.frame import SOURCES
from core.outcomes import resolve
from core.signals import PROFILE_NAMES, load_profile
from core.store.database import open_database
from core.store.signals import save_bars, save_outcomes, save_profile, save_signals
from core.ui import session

ROUTER = Path(__file__).resolve().parents[1] / "pages" / "router.py"
RECORDED = datetime(2025, 10, 1, tzinfo=UTC)

# Every new `AppTest` reads the metadata of all that is installed, which does not change meanwhile.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


def serve(monkeypatch: pytest.MonkeyPatch, url: str, folder: Path) -> Instance:
    """The demo market in development over the database at ``url``, with a guest looking at it."""
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("CRYPTOSATX_DATA", str(folder))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    monkeypatch.setenv("CRYPTOSATX_ENV", "development")
    here = instance()
    with here.accounts.begin() as conn:
        token = sessions.start(conn, None, now=datetime.now(UTC))
    monkeypatch.setattr(session, "_browser_token", lambda: token)
    return here


def store(here: Instance, frame: pd.DataFrame, newest: int = 1) -> None:
    """Store the bars of a frame, and of each profile the ``newest`` signals of every symbol."""
    ages = pd.DataFrame(0.0, index=frame.index, columns=list(SOURCES))
    with here.engine.begin() as conn:
        save_bars(conn, frame)
        for name in PROFILE_NAMES:
            profile = load_profile(name)
            save_profile(conn, profile, RECORDED)
            planned = decide(frame, profile).groupby(level="symbol").tail(newest)
            save_signals(conn, planned, ages.loc[planned.index], profile, RECORDED)


def open_app(query: Mapping[str, str] | None = None, **context: str) -> AppTest:
    """The app at its first page, with its header; the query is for what the header draws."""
    return _open(ROUTER, query, context)


def open_page(file: str, query: Mapping[str, str] | None = None, **context: str) -> AppTest:
    """A page by itself, without the header, with that query in the address."""
    return _open(ROUTER.with_name(file), query, context)


def _open(script: Path, query: Mapping[str, str] | None, context: Mapping[str, str]) -> AppTest:
    at = AppTest.from_file(str(script), default_timeout=60)
    at.context = {"timezone": "UTC", **context}
    for name, value in (query or {}).items():
        at.query_params[name] = value
    return run(at)


def run(at: AppTest) -> AppTest:
    """Run the app once more; an error in it is an error of the test."""
    at.run()
    assert not at.exception, at.exception[0].message
    for chart in charts(at):
        # What the browser is sent is not checked on the way: Plotly has to know all of it.
        go.Figure(json.loads(chart["spec"]))
    return at


def table(at: AppTest) -> dict[str, Any] | None:
    """What the table of markets was given, if there is one."""
    for element in at.get("bidi_component"):
        if element.proto.component_name == "cryptosatx_markets":
            given: dict[str, Any] = json.loads(json.loads(element.proto.json)["text"])
            return given
    return None


def charts(at: AppTest) -> list[dict[str, Any]]:
    """What every chart on the page was given."""
    return [
        json.loads(element.proto.json)
        for element in at.get("bidi_component")
        if element.proto.component_name == "cryptosatx_chart"
    ]


def words(at: AppTest) -> str:
    """Every text on the page, in one line."""
    found: Sequence[Any] = [*at.html, *at.markdown, *at.subheader, *at.caption, *at.error]
    return " ".join(str(element.value) for element in found)


def store_past(engine: Engine, frame: pd.DataFrame, profile_name: str = "balanced") -> None:
    """Store every bar, signal and outcome of a frame under one profile."""
    profile = load_profile(profile_name)
    planned = decide(frame, profile)
    ages = pd.DataFrame(0.0, index=frame.index, columns=list(SOURCES))
    with engine.begin() as conn:
        save_bars(conn, frame)
        save_profile(conn, profile, RECORDED)
        save_signals(conn, planned, ages, profile, RECORDED)
        save_outcomes(conn, resolve(planned, frame), profile, RECORDED)


def copy_of_past(template: Path, frame: pd.DataFrame, folder: Path) -> Path:
    """A migrated SQLite file with the past of a frame, for tests to copy and serve."""
    path = folder / "past.sqlite"
    shutil.copyfile(template, path)
    engine = open_database(f"sqlite:///{path}")
    store_past(engine, frame)
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


def serve_copy(monkeypatch: pytest.MonkeyPatch, past: Path, folder: Path) -> Instance:
    """`serve` over a copy of a stored past, so that no test sees what another did."""
    path = folder / "copy.sqlite"
    shutil.copyfile(past, path)
    return serve(monkeypatch, f"sqlite:///{path}", folder)


def sign_in_as(here: Instance, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    """Have somebody new of a role sit in front of the page."""
    now = datetime.now(UTC)
    with here.accounts.begin() as conn:
        person = people.create_user(
            conn,
            username=f"an_{role}",
            name=role,
            role=role,
            password="four unrelated words",
            now=now,
        )
        token = sessions.start(conn, person.id, now=now)
    monkeypatch.setattr(session, "_browser_token", lambda: token)
