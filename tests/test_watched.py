"""What a browser asks to know whether a part of its page is out of date, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from streamlit.testing.v1 import AppTest

from core.accounts import people, sessions
from core.instance import Instance
from core.store.vitals import Vitals
from core.ui import header, pulse, watched
from core.ui import session as guard
from core.ui.browser import SESSION_COOKIE
from core.ui.pulse import Reading
from tests.dashboard import Client, add, client, here, open_session  # noqa: F401 - fixtures

NAMES = "round,head,amiss"
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The databases are asked at every look, and a mark is made for each."""
    monkeypatch.setattr(watched, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(pulse, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(pulse, "_pulses", {})


def marks(client: Client, token: str | None = None, of: str = NAMES) -> Mapping[str, Any]:
    client.cookies.clear()
    if token is not None:
        client.cookies.set(SESSION_COOKIE, token)
    answer = client.get(f"/session/marks?of={of}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    found: Mapping[str, Any] = answer.json()
    return found


def test_a_stranger_is_told_of_what_strangers_are_shown(here: Instance, client: Client) -> None:
    token = open_session(here, add(here).id)
    assert set(marks(client)) == {"reader", "amiss"}
    assert set(marks(client, "a guess")) == {"reader", "amiss"}
    assert set(marks(client, token)) == {"reader", "round", "head", "amiss"}
    assert set(marks(client, token, of="password,../x,")) == {"reader"}


def test_the_mark_of_the_reader_changes_with_whatever_their_page_depends_on(
    here: Instance, client: Client
) -> None:
    ada = add(here)
    token, other = open_session(here, ada.id), open_session(here, add(here, "bob").id)
    stranger, mine = marks(client)["reader"], marks(client, token)["reader"]
    assert len({stranger, mine, marks(client, other)["reader"]}) == 3
    with here.accounts.begin() as conn:
        people.set_role(conn, "ada", "analyst", now=datetime.now(UTC))
    promoted = marks(client, token)["reader"]
    assert promoted not in (stranger, mine)
    with here.accounts.begin() as conn:
        sessions.end(conn, token)
    assert marks(client, token)["reader"] == stranger


def test_who_looks_is_not_known_while_the_database_of_people_is_away(
    here: Instance, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = open_session(here, add(here).id)

    def away(*_: object, **__: object) -> None:
        raise OperationalError("select", {}, Exception("gone"))

    monkeypatch.setattr(guard, "read_session", away)
    assert marks(client, token)["reader"] is None


class At:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self, _: object) -> datetime:
        return self._now


def test_a_part_is_drawn_again_when_what_it_says_would_be_other_words(
    here: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = replace(here, market=replace(here.market, kind="live"))
    fresh = Vitals(newest_bar=NOON, done_bar=NOON, workers=1)
    seen = Reading(fresh, NOON)
    for module in (header, pulse):
        monkeypatch.setattr(module, "instance", lambda: live)
    for module in (header, pulse):
        monkeypatch.setattr(module, "read_pulse", lambda: seen)

    def told(minutes: float) -> list[str | None]:
        monkeypatch.setattr(watched, "datetime", At(NOON + timedelta(minutes=minutes)))
        return [watched.mark_now(name) for name in ("round", "head", "amiss")]

    assert told(10) == told(10.2)
    before, later, late = told(10), told(12), told(150)
    assert before[0] == later[0] == late[0]
    assert before[1] != later[1]
    assert before[2] == later[2] != late[2]
    seen = Reading(replace(fresh, done_bar=NOON + timedelta(hours=1)), NOON)
    assert told(10)[0] != before[0]


def test_the_page_s_marks_are_those_that_the_address_tells(
    here: Instance, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = open_session(here, add(here).id)
    monkeypatch.setattr(guard, "_browser_token", lambda: token)
    at = AppTest.from_function(_page).run()
    assert not at.exception
    assert at.session_state["drawn"] == marks(client, token, of="amiss")


def _page() -> None:
    import streamlit as st

    from core.ui import watched
    from core.ui.session import require_user

    require_user("trader")
    st.session_state["drawn"] = watched.marks_of(["amiss"])


def test_a_mark_is_made_once_for_all_who_ask_at_the_same_time(
    here: Instance, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[datetime] = []
    monkeypatch.setattr(watched, "KEPT_SECONDS", 60.0)
    monkeypatch.setitem(watched._states, "amiss", made.append)
    monkeypatch.setattr(watched, "_marks", {})
    for _ in range(3):
        assert marks(client, of="amiss")["amiss"] is None
    assert len(made) == 1
