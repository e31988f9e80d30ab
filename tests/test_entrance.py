"""The way in, through the router. Pages run without a browser."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from core.accounts import setup
from core.instance import Instance
from core.store import tables
from core.ui import browser
from core.ui import session as guard
from core.ui.navigation import ENTRIES
from tests.dashboard import PASSWORD, ROOT, add, count_sessions, here, open_session  # noqa: F401 - here is a fixture

ROUTER = ROOT / "pages" / "router.py"
PAGES = [entry for entry in ENTRIES if entry.role is not None]


def open_router(monkeypatch: pytest.MonkeyPatch, token: str | None, entry: str = "") -> AppTest:
    monkeypatch.setattr(guard, "_browser_token", lambda: token)
    monkeypatch.setattr(browser, "cookie", lambda _: "mine")
    monkeypatch.setattr(browser, "address", lambda: "192.0.2.1")
    at = AppTest.from_file(str(ROUTER), default_timeout=30)
    at.context = {"url": f"http://dashboard/{entry.removesuffix('.py')}"}
    at.run()
    return at.switch_page(entry).run() if entry else at


def button(at: AppTest, label: str):
    return next(each for each in at.button if each.label == label)


def field(at: AppTest, label: str):
    return next(each for each in at.text_input if each.label == label)


def issued(here: Instance) -> list[tuple[int | None, str]]:
    with here.accounts.connect() as conn:
        rows = conn.execute(select(tables.tickets.c.user_id, tables.tickets.c.next_path))
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("entry", [entry.file for entry in PAGES])
def test_a_stranger_sees_the_sign_in_on_every_page(here, monkeypatch, entry):
    add(here)
    at = open_router(monkeypatch, None, entry)
    assert [each.label for each in at.text_input] == ["Username", "Password"]
    assert not at.sidebar.children


def test_the_right_password_gives_a_ticket_to_the_page_that_was_asked_for(here, monkeypatch):
    ada = add(here)
    at = open_router(monkeypatch, None, "symbol.py")
    at.query_params["symbol"] = "ETHUSDT"
    field(at, "Username").set_value("Ada")
    field(at, "Password").set_value(PASSWORD)
    button(at, "Sign in").click().run()
    assert not at.exception
    assert issued(here) == [(ada.id, "/symbol?symbol=ETHUSDT")]


def test_a_wrong_password_gives_a_sentence(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None)
    field(at, "Username").set_value("ada")
    field(at, "Password").set_value("not the password")
    button(at, "Sign in").click().run()
    assert [each.value for each in at.error] == ["The username or the password is not right."]
    assert issued(here) == []


def test_a_sign_in_that_took_too_long_is_explained(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None, "sign_in.py")
    assert not at.info
    at.query_params["late"] = "1"
    assert "took too long" in at.run().info[0].value


@pytest.mark.parametrize("entry", ["sign_in.py", "setup.py"])
def test_who_is_signed_in_already_is_not_asked_again(here, monkeypatch, entry):
    token = open_session(here, add(here).id)
    at = open_router(monkeypatch, token, entry)
    assert not at.exception
    assert "Password" not in [each.label for each in at.text_input]


def test_a_browser_without_cookies_is_told_so(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None)
    monkeypatch.setattr(browser, "cookie", lambda _: None)
    field(at, "Username").set_value("ada")
    field(at, "Password").set_value(PASSWORD)
    button(at, "Sign in").click().run()
    assert "keeps no cookies" in at.error[0].value


def test_looking_around_gives_a_guest_s_ticket(here, monkeypatch):
    add(here)
    at = open_router(monkeypatch, None, "accuracy.py")
    button(at, "Look around").click().run()
    assert issued(here) == [(None, "/accuracy")]


def test_production_does_not_offer_to_look_around(here, monkeypatch):
    add(here)
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    assert [each.label for each in open_router(monkeypatch, None).button] == ["Sign in"]


def fill_setup(at: AppTest, token: str, again: str = PASSWORD) -> AppTest:
    for label, text in {
        "One-time token": token,
        "Username": "root",
        "Your name": "Root",
        "Password": PASSWORD,
        "Password again": again,
    }.items():
        field(at, label).set_value(text)
    return button(at, "Create the administrator").click().run()


def test_the_first_start_asks_for_the_first_administrator_and_signs_them_in(here, monkeypatch):
    with here.accounts.begin() as conn:
        token = setup.new_setup_token(conn, now=datetime.now(UTC))
    at = open_router(monkeypatch, None, "accuracy.py")
    assert "One-time token" in [each.label for each in at.text_input]
    assert "not a token" in fill_setup(at, "guess").error[0].value
    assert "passwords differ" in fill_setup(at, token, again="another").error[0].value
    assert not fill_setup(at, token).error
    ((user_id, next_path),) = issued(here)
    assert user_id is not None
    assert next_path == "/accuracy"


def test_the_account_page_changes_the_password_and_opens_a_new_session(here, monkeypatch):
    ada = add(here)
    at = open_router(monkeypatch, open_session(here, ada.id), "account.py")
    field(at, "Present password").set_value(PASSWORD)
    field(at, "New password").set_value("another good one")
    field(at, "New password again").set_value("another good one")
    button(at, "Change the password").click().run()
    assert not at.exception
    assert not at.error
    assert issued(here) == [(ada.id, "/account")]
    assert count_sessions(here) == 0


def test_the_account_page_asks_for_the_present_password(here, monkeypatch):
    at = open_router(monkeypatch, open_session(here, add(here).id), "account.py")
    field(at, "Present password").set_value("not the password")
    field(at, "New password").set_value("another good one")
    field(at, "New password again").set_value("another good one")
    button(at, "Change the password").click().run()
    assert "present password was not accepted" in at.error[0].value
    assert count_sessions(here) == 1


def test_signing_out_ends_the_session_in_the_database(here, monkeypatch):
    ada = add(here)
    at = open_router(monkeypatch, open_session(here, ada.id), "account.py")
    button(at, "Sign out").click().run()
    assert not at.exception
    assert count_sessions(here) == 0
