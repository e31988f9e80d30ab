"""The guard of a page: who sees it, and what becomes of everybody else. Pages run without a browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from core.accounts import people, sessions
from core.errors import AccessDenied
from core.instance import instance
from core.store import tables
from core.ui import session as guard
from tests.dashboard import add, here, open_session  # noqa: F401 - here is a fixture


def visit(
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    script: Callable[[], None],
    page: str = "signals",
) -> AppTest:
    monkeypatch.setattr(guard, "_browser_token", lambda: token)
    at = AppTest.from_function(script)
    at.context = {"url": f"http://dashboard/{page}"}
    return at.run()


def analyst_page() -> None:
    import streamlit as st

    from core.ui.session import require_user

    st.write(f"Secret of {require_user('analyst').name}")


def writing_page() -> None:
    import streamlit as st

    from core.ui.session import require_user

    st.write(f"Changed by {require_user('trader', write=True).name}")


def shown(at: AppTest) -> str:
    assert not at.exception
    elements = [*at.markdown, *at.subheader, *at.title, *at.caption, *at.error]
    return "\n".join(element.value for element in elements)


def test_who_has_the_role_sees_the_page(here, monkeypatch):
    for role in ("analyst", "admin"):
        token = open_session(here, add(here, f"user-{role}", role).id)
        assert f"Secret of User-{role.title()}" in shown(visit(monkeypatch, token, analyst_page))


@pytest.mark.parametrize("token", [None, "", "guess"])
def test_a_stranger_sees_the_sign_in_and_nothing_else(here, monkeypatch, token):
    add(here)
    at = visit(monkeypatch, token, analyst_page)
    assert "Secret" not in shown(at)
    assert [field.label for field in at.text_input] == ["Username", "Password"]


def test_who_lacks_the_role_reads_why_and_nothing_else(here, monkeypatch):
    token = open_session(here, add(here, role="trader").id)
    at = visit(monkeypatch, token, analyst_page)
    assert "needs the role analyst, and ada is signed in as trader" in shown(at)
    assert "Secret" not in shown(at)
    assert not at.text_input


def test_nobody_gets_past_a_refusal_where_no_page_runs_either(here, monkeypatch):
    monkeypatch.setattr(guard, "draw_entrance", lambda path: None)
    for token in (None, open_session(here, add(here, role="trader").id)):
        monkeypatch.setattr(guard, "_browser_token", lambda token=token: token)
        with pytest.raises(AccessDenied):
            guard.require_user("analyst")


def test_a_session_that_ends_counts_at_the_next_run(here, monkeypatch):
    token = open_session(here, add(here, role="analyst").id)
    at = visit(monkeypatch, token, analyst_page)
    with here.accounts.begin() as conn:
        sessions.end(conn, token)
    assert "Secret" not in shown(at.run())


def test_a_person_who_is_disabled_or_demoted_is_out_at_the_next_run(here, monkeypatch):
    for change in (
        lambda conn, now: people.set_role(conn, "ada", "trader", now=now),
        lambda conn, now: people.disable(conn, "ada", now=now),
    ):
        with here.accounts.begin() as conn:
            conn.execute(tables.users.delete())
        token = open_session(here, add(here, role="analyst").id)
        at = visit(monkeypatch, token, analyst_page)
        assert "Secret" in shown(at)
        with here.accounts.begin() as conn:
            change(conn, datetime.now(UTC))
        assert "Secret" not in shown(at.run())


def test_a_guest_reads_on_the_demo_in_development(here, monkeypatch):
    at = visit(monkeypatch, open_session(here, None), analyst_page)
    assert "Secret of Guest" in shown(at)


def test_a_guest_writes_nothing(here, monkeypatch):
    at = visit(monkeypatch, open_session(here, None), writing_page)
    assert "A guest looks around and changes nothing" in shown(at)
    assert "Changed" not in shown(at)


def test_a_guest_s_session_is_worth_nothing_in_production(here, monkeypatch):
    token = open_session(here, None)
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    assert "Secret" not in shown(visit(monkeypatch, token, analyst_page))


def test_a_guest_s_session_is_worth_nothing_on_a_real_market(
    here, monkeypatch, tmp_path, new_sqlite
):
    monkeypatch.setenv("CRYPTOSATX_MARKET", f"recording:{tmp_path}")
    monkeypatch.setenv("DATABASE_URL", new_sqlite())
    token = open_session(instance(), None)
    at = visit(monkeypatch, token, analyst_page)
    assert "Secret" not in shown(at)
    assert "Look around" not in [button.label for button in at.button]


def test_reading_a_page_marks_the_session_as_used_but_not_every_time(here, monkeypatch):
    ada, long_ago = add(here, role="analyst"), datetime.now(UTC) - timedelta(hours=3)
    token = open_session(here, ada.id, long_ago)

    def seen_at() -> datetime:
        with here.accounts.connect() as conn:
            return conn.execute(select(tables.sessions.c.seen_at)).scalar_one()

    visit(monkeypatch, token, analyst_page)
    first = seen_at()
    assert first - long_ago > timedelta(hours=2)
    visit(monkeypatch, token, analyst_page)
    assert seen_at() == first


def test_a_page_that_is_drawn_anew_by_itself_keeps_no_session_from_going_idle(here, monkeypatch):
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    token = open_session(here, add(here, role="analyst").id, long_ago)

    def seen_at() -> datetime:
        with here.accounts.connect() as conn:
            return conn.execute(select(tables.sessions.c.seen_at)).scalar_one()

    at = visit(monkeypatch, token, page_with_a_new_round)
    assert "Secret of Ada" in shown(at)
    assert seen_at() == long_ago
    monkeypatch.setattr(guard, "_REDRAWING_SECONDS", 0.0)
    at.run()
    assert seen_at() > long_ago


def page_with_a_new_round() -> None:
    import streamlit as st

    from core.ui.session import redraw, require_user

    if "drawn" not in st.session_state:
        st.session_state.drawn = True
        redraw()
    st.write(f"Secret of {require_user('analyst').name}")


# A page that breaks


def broken_page() -> None:
    from sqlalchemy.exc import OperationalError

    from core.ui.failures import show_failure

    show_failure(OperationalError("SELECT secret", {}, Exception("inside")))


def test_a_page_that_breaks_says_what_to_do_and_nothing_of_the_inside(here, monkeypatch, caplog):
    at = visit(monkeypatch, None, broken_page)
    assert "The database does not answer as it should." in shown(at)
    assert "secret" not in shown(at)
    assert "SELECT secret" in caplog.text
