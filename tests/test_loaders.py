"""The cache: what it keeps, when it forgets, and what it never keeps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from streamlit.testing.v1 import AppTest

from core.errors import StoreError
from core.instance import Instance
from core.store import signals as queries
from core.store.tables import replays
from core.ui import loaders
from core.ui.loaders import kept
from tests.builders import make_frame
from tests.pages import run, serve, store


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    served = serve(monkeypatch, new_sqlite(), tmp_path)
    store(served, make_frame(["AUSDT", "BUSDT"], hours=48), newest=3)
    yield served
    served.engine.dispose()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that reach the store, by the name of the query."""
    seen: list[str] = []

    def counted(name: str, query: Callable[..., object]) -> Callable[..., object]:
        def ask(conn: Connection, *args: object) -> object:
            seen.append(name)
            return query(conn, *args)

        return ask

    for name in ("load_newest", "load_bars", "load_history"):
        monkeypatch.setattr(queries, name, counted(name, getattr(queries, name)))
    return seen


def replay_moves(here: Instance) -> None:
    now = datetime.now(UTC)
    with here.engine.begin() as conn:
        conn.execute(
            replays.insert().values(
                key="k",
                source="x",
                profile_name="balanced",
                profile_version="0",
                state="running",
                rows_done=1,
                rows_total=2,
                started_at=now,
                updated_at=now,
            )
        )
    kept._replays.clear()  # a second has passed


def test_what_was_read_is_not_read_again(here, asked):
    first, second = loaders.load_newest("balanced"), loaders.load_newest("balanced")
    assert asked == ["load_newest"]
    assert first.equals(second)


def test_each_question_has_its_own_answer(here, asked):
    assert set(loaders.load_newest("balanced").index.get_level_values("symbol")) == {
        "AUSDT",
        "BUSDT",
    }
    assert len(loaders.load_bars("AUSDT")) == 48
    assert len(loaders.load_bars("BUSDT", start=datetime(2025, 9, 2, 10, tzinfo=UTC))) == 15
    assert len(loaders.load_history("AUSDT", "balanced")) == 3
    assert loaders.load_newest("aggressive") is not None
    assert asked.count("load_bars") == 2
    assert asked.count("load_newest") == 2


def test_a_reader_who_changes_what_they_got_changes_nothing_for_others(here):
    mine = loaders.load_newest("balanced")
    mine.loc[:, "close"] = -1.0
    assert (loaders.load_newest("balanced")["close"] > 0).all()


def test_a_step_of_a_replay_is_seen_at_once(here, asked):
    loaders.load_newest("balanced")
    replay_moves(here)
    loaders.load_newest("balanced")
    assert asked == ["load_newest"] * 2


def test_a_new_round_of_a_live_market_is_seen_at_once(here, asked, monkeypatch):
    for hour in (1, 1, 2):
        monkeypatch.setattr(
            kept, "newest_round", lambda at=hour: datetime(2025, 10, 1, at, tzinfo=UTC)
        )
        loaders.load_newest("balanced")
    assert asked == ["load_newest"] * 2


def test_another_store_is_another_cache(here, monkeypatch, new_sqlite, tmp_path, asked):
    assert len(loaders.load_bars("AUSDT")) == 48
    elsewhere = serve(monkeypatch, new_sqlite(), tmp_path)
    assert len(loaders.load_bars("AUSDT")) == 0
    elsewhere.engine.dispose()


def test_a_failure_is_raised_as_a_sentence_and_not_kept(here, monkeypatch):
    def broken(*_: object) -> None:
        raise OperationalError("select", {}, Exception("disk I/O error"))

    with monkeypatch.context() as broken_store:
        broken_store.setattr(queries, "load_newest", broken)
        with pytest.raises(StoreError, match="does not answer"):
            loaders.load_newest("balanced")
    assert len(loaders.load_newest("balanced")) == 2


def test_nothing_about_a_person_can_be_asked_for():
    for name, load in inspect.getmembers(loaders, inspect.isfunction):
        if name.startswith("load_"):
            asked_for = set(inspect.signature(load).parameters)
            assert not asked_for & {"person", "user", "user_id", "session", "account"}, name


def test_every_cache_forgets_and_is_bounded():
    source = "".join(path.read_text() for path in Path(str(loaders.__file__)).parent.glob("*.py"))
    caches = [line for line in source.splitlines() if line.startswith("@st.cache")]
    assert len(caches) > 5
    for line in caches:
        assert "ttl=" in line
        assert "max_entries=" in line


_TABLES = """
import pandas as pd
import streamlit as st

from core.ui.loaders.drawn import drawn_once

drawn = st.session_state.setdefault("drawn", [])


@drawn_once
def draw(title):
    drawn.append(title)
    st.markdown(title)
    st.dataframe(pd.DataFrame({"r": [-0.5, 0.25]}).style.format("{:+.2f}"), key=title, alt=title)


st.session_state.setdefault("title", "Trades")
with st.container():
    draw(st.session_state.title)
st.caption("below")
"""


def test_what_is_drawn_once_is_put_on_the_page_again(here: Instance) -> None:
    def shown(at: AppTest) -> list[bytes]:
        children = at.main.children[0].children
        return [each.proto.SerializeToString() for each in children.values()]

    page = run(AppTest.from_string(_TABLES))
    whole = shown(page)
    assert len(whole) == 2
    again = run(AppTest.from_string(_TABLES))
    assert shown(again) == whole
    assert again.session_state["drawn"] == []
    assert shown(run(page)) == whole
    assert page.session_state["drawn"] == ["Trades"]
    page.session_state["title"] = "Not traded"
    assert shown(run(page)) != whole
    assert page.session_state["drawn"] == ["Trades", "Not traded"]
    replay_moves(here)
    run(page)
    assert page.session_state["drawn"] == ["Trades", "Not traded", "Not traded"]
