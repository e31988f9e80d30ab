"""The page of people, invitations, and what administrators do, with more than one page open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from sqlalchemy import Engine, select
from streamlit.testing.v1 import AppTest

from core import instance as instances
from core.accounts import invitations, passwords, people, second_factor, sessions
from core.accounts.people import Person
from core.alerts.delivery.sealing import load_sealer
from core.errors import AccessDenied, AccountError
from core.instance import Instance, instance
from core.store import audit, tables
from core.ui import account, browser, session
from core.ui import people as actions

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
PASSWORD, OTHER = "four unrelated words", "another good password"
ROUTER = Path(__file__).resolve().parents[1] / "pages" / "router.py"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ROUNDS", 4)


def add(engine: Engine, username: str, role: str = "trader") -> Person:
    with engine.begin() as conn:
        return people.create_user(
            conn, username=username, name=username.title(), role=role, password=PASSWORD, now=NOW
        )


# The last administrator


def test_of_two_administrators_who_take_each_other_s_role_one_stays(engine):
    add(engine, "one", "admin")
    add(engine, "two", "admin")

    def take(username: str) -> None:
        with suppress(AccountError), engine.begin() as conn:
            people.set_role(conn, username, "trader", now=NOW)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(take, ["one", "two"]))
    with engine.connect() as conn:
        assert sorted(one.person.role for one in people.list_people(conn)) == ["admin", "trader"]


# Invitations


def invite(
    engine: Engine,
    role: str = "analyst",
    lasts: timedelta = invitations.LASTS,
    by: str = audit.COMMAND_LINE,
) -> str:
    with engine.begin() as conn:
        return invitations.invite(conn, role=role, by=by, now=NOW, note="Tim", lasts=lasts)


def accept(
    engine: Engine, token: str, username: str = "tim", password: str = PASSWORD, now: datetime = NOW
) -> Person:
    with engine.begin() as conn:
        return invitations.accept(
            conn, token, username=username, name="Tim", password=password, now=now
        )


def test_an_invitation_makes_one_person_with_its_role(engine):
    token = invite(engine)
    assert accept(engine, f" {token}\n").role == "analyst"
    with pytest.raises(AccessDenied, match="not good any more"):
        accept(engine, token, "second")
    with engine.connect() as conn:
        told = [(one.by, one.action, one.subject) for one in audit.list_changes(conn)][::-1]
    assert told == [
        (audit.COMMAND_LINE, "create", "invitation"),
        ("tim", "create", "person"),
        ("tim", "accept", "invitation"),
    ]


def test_of_many_who_accept_one_invitation_at_once_one_is_made(engine):
    token = invite(engine)

    def try_it(number: int) -> int:
        try:
            accept(engine, token, f"tim{number}")
        except AccessDenied:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(try_it, range(6))) == 1
    with engine.connect() as conn:
        assert len(people.list_people(conn)) == 1


def test_a_slip_in_the_form_does_not_use_an_invitation_up(engine):
    token = invite(engine)
    with pytest.raises(AccountError, match="at least 8"):
        accept(engine, token, password="short")
    assert accept(engine, token).username == "tim"


def test_an_invitation_ends_by_itself_or_is_withdrawn(engine):
    token, other = invite(engine), invite(engine)
    with engine.begin() as conn:
        first = invitations.list_invitations(conn, now=NOW)[-1]
        assert invitations.withdraw(conn, first.id, by="root", now=NOW)
        assert not invitations.withdraw(conn, first.id, by="root", now=NOW)
    for lost, now in ((token, NOW), (other, NOW + timedelta(hours=72)), ("guess", NOW)):
        with pytest.raises(AccessDenied):
            accept(engine, lost, now=now)
    with engine.connect() as conn:
        assert invitations.list_invitations(conn, now=NOW + timedelta(hours=72)) == []
        assert not people.any_people(conn)


@pytest.mark.parametrize(
    "lose",
    [
        lambda conn: people.disable(conn, "eve", now=NOW),
        lambda conn: people.set_role(conn, "eve", "analyst", now=NOW),
    ],
    ids=["disabled", "demoted"],
)
def test_an_invitation_is_worth_nothing_once_its_maker_is_no_administrator(engine, lose):
    add(engine, "root", "admin")
    add(engine, "eve", "admin")
    eves, roots = invite(engine, "admin", by="eve"), invite(engine, "admin", by="root")
    with engine.begin() as conn:
        lose(conn)
        listed = invitations.list_invitations(conn, now=NOW)
    assert {one.made_by: one.lapsed for one in listed} == {"eve": True, "root": False}
    with pytest.raises(AccessDenied, match="eve, who made it, is no administrator now"):
        accept(engine, eves, "back")
    assert accept(engine, roots).role == "admin"
    with engine.connect() as conn:
        assert {one.person.username for one in people.list_people(conn)} == {"root", "eve", "tim"}


def test_the_database_holds_no_invitation_that_could_be_used(engine):
    token = invite(engine)
    with engine.connect() as conn:
        stored = str([conn.execute(select(one)).all() for one in tables.metadata.sorted_tables])
    assert "Tim" in stored
    assert token not in stored


def test_an_invitation_says_what_is_wrong_with_it(engine):
    with engine.begin() as conn:
        for changes in ({"role": "owner"}, {"lasts": timedelta(days=15)}, {"note": "x" * 81}):
            asked = {"role": "trader", "by": "root", "now": NOW} | changes
            with pytest.raises(AccountError):
                invitations.invite(conn, **asked)


# Pages


@dataclass
class House:
    """A server's databases with ada (admin) and tom (trader), and browsers that look at it."""

    here: Instance
    patch: pytest.MonkeyPatch

    def sign_in(self, username: str, agent: str = "") -> str:
        with self.here.accounts.begin() as conn:
            person = people.find_account(conn, username).person
            return sessions.start(conn, person.id, now=datetime.now(UTC), user_agent=agent)

    def sit(self, token: str | None) -> None:
        """From here on whatever runs is in front of the browser that holds this token."""
        self.patch.setattr(session, "_browser_token", lambda: token)

    def open(self, held: str | None, page: str = "", /, **query: str) -> AppTest:
        self.sit(held)
        at = AppTest.from_file(str(ROUTER), default_timeout=60)
        at.context = {"timezone": "UTC", "url": f"http://dashboard/{page.removesuffix('.py')}"}
        at.run()
        if page:
            at.switch_page(page)
        for name, value in query.items():
            at.query_params[name] = value
        return ran(at.run())

    def again(self, at: AppTest, token: str | None) -> AppTest:
        self.sit(token)
        return ran(at.run())

    def tickets(self) -> list[str]:
        """Who was let in so far, by username."""
        with self.here.accounts.connect() as conn:
            joined = select(tables.users.c.username).join(tables.tickets)
            return list(conn.scalars(joined))


@pytest.fixture
def house(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[House]:
    monkeypatch.setattr(instances, "_engines", {})
    for name, value in {
        "DATABASE_URL": new_sqlite(),
        "CRYPTOSATX_DATA": str(tmp_path),
        "CRYPTOSATX_MARKET": "demo",
        "CRYPTOSATX_WORKER": "off",
        "CRYPTOSATX_ENV": "production",
        "CRYPTOSATX_URL": "https://signals.example",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(browser, "cookie", lambda _: "mine")
    monkeypatch.setattr(browser, "address", lambda: "192.0.2.1")
    here = instance()
    add(here.accounts, "ada", "admin")
    add(here.accounts, "tom")
    yield House(here, monkeypatch)
    for engine in instances._engines.values():
        engine.dispose()


def ran(at: AppTest) -> AppTest:
    assert not at.exception, at.exception[0].message
    return at


def said(at: AppTest) -> str:
    parts = [
        *at.html,
        *at.markdown,
        *at.subheader,
        *at.caption,
        *at.error,
        *at.success,
        *at.warning,
    ]
    return " ".join(str(one.value) for one in parts).replace("\u00a0", " ")


def field(at: AppTest, label: str):
    return next(one for one in at.text_input if one.label == label)


def press(at: AppTest, label: str) -> AppTest:
    return ran(next(one for one in at.button if one.label == label).click().run())


def asks_to_sign_in(at: AppTest) -> bool:
    return [one.label for one in at.text_input] == ["Username", "Password"]


def test_everyone_is_listed_with_how_they_sign_in_and_when_they_were_here(house):
    at = house.open(house.sign_in("ada"), "people.py")
    assert "2 people can sign in, 1 administrator among them; 2 with a password alone." in said(at)
    assert " s ago" in said(at)
    assert "never seen" in said(at)


def test_nobody_but_an_administrator_sees_or_does_any_of_it(house):
    at = house.open(house.sign_in("tom"), "people.py")
    assert "needs the role admin" in said(at)
    assert not [one for one in at.button if one.label in ("Manage", "Invite somebody")]
    before = len(changes(house))
    for act in (
        lambda: actions.set_role("tom", "admin"),
        lambda: actions.disable("ada"),
        lambda: actions.invite("admin", "", timedelta(days=1)),
        lambda: actions.end_sessions("ada"),
        lambda: actions.reset_factor("ada"),
        lambda: actions.load_everyone(NOW),
    ):
        with pytest.raises(AccessDenied):
            act()
    assert len(changes(house)) == before


def changes(house: House) -> list[audit.Change]:
    with house.here.accounts.connect() as conn:
        return audit.list_changes(conn)


def test_an_administrator_changes_a_role_on_the_page_of_a_person(house):
    ada = house.sign_in("ada")
    at = house.open(ada, "people.py")
    at = ran(next(one for one in at.button if one.key == "manage_2").click().run())
    assert dict(at.query_params) == {"who": "tom"}
    assert "Username **tom**, role **trader**" in said(at)
    next(one for one in at.segmented_control if one.label == "Role").set_value("analyst")
    at = press(at, "Change the role")
    assert "tom is now analyst" in said(at)
    with house.here.accounts.connect() as conn:
        assert people.find_account(conn, "tom").person.role == "analyst"


def test_an_open_page_follows_what_is_done_to_its_person_at_its_next_rerun(house):
    """Two browsers: the one of an administrator who acts, and the one of a person it happens to."""
    ada = house.sign_in("ada")
    for act, after in (
        (lambda: actions.set_role("tom", "analyst"), "role **analyst**"),
        (lambda: actions.set_role("tom", "trader"), "role **trader**"),
        (lambda: actions.end_sessions("tom"), None),
        (lambda: actions.disable("tom"), None),
    ):
        tom = house.sign_in("tom")
        his = house.open(tom, "account.py")
        assert "username **tom**" in said(his)
        house.sit(ada)
        act()
        his = house.again(his, tom)
        if after is None:
            assert asks_to_sign_in(his)
        else:
            assert after in said(his)
    house.sit(ada)
    actions.enable("tom")
    assert asks_to_sign_in(house.again(his, tom))


def test_a_new_password_ends_the_other_browser_at_its_next_rerun(house):
    here, there = house.sign_in("tom"), house.sign_in("tom")
    elsewhere = house.open(there, "account.py")
    house.sit(here)
    account.change_password(PASSWORD, OTHER, OTHER)
    assert asks_to_sign_in(house.again(elsewhere, there))


def test_a_person_ends_one_of_their_sessions_by_what_it_is(house):
    mine, other = house.sign_in("tom", "Firefox Linux"), house.sign_in("tom", "Chrome Android")
    at = house.open(mine, "account.py")
    assert "Firefox on Linux" in said(at)
    assert "Chrome on Android" in said(at)
    assert "A key stays good until it expires or is revoked" in said(at)
    assert len([one for one in at.button if one.label == "End"]) == 1
    at = press(at, "End")
    assert "Chrome on Android" not in said(at)
    assert asks_to_sign_in(house.open(other))


def test_no_page_says_the_token_of_a_session(house):
    token = house.sign_in("ada")
    for page in ("people.py", "account.py"):
        at = house.open(token, page)
        assert token not in str(at)
        assert sessions.digest(token) not in str(at)


def test_an_invitation_is_made_shown_once_and_accepted(house):
    ada = house.sign_in("ada")
    at = house.open(ada, "people.py")
    field(at, "Whom it is for").set_value("Tim")
    at = press(at, "Make a link")
    (link,) = [one.value for one in at.code]
    assert link.startswith("https://signals.example/join?token=")
    at = house.again(at, ada)
    assert not at.code
    assert "as trader, by ada, good for another" in said(at)

    token = parse_qs(urlsplit(link).query)["token"][0]
    at = house.open(None, "join.py", token=token)
    assert "By ada, with the role trader." in said(at)
    assert dict(at.query_params) == {}
    for label, text in {
        "Username": "tim", "Your name": "Tim", "Password": PASSWORD, "Password again": "x",
    }.items():  # fmt: skip
        field(at, label).set_value(text)
    at = press(at, "Create my account")
    assert "passwords differ" in said(at)
    field(at, "Password again").set_value(PASSWORD)
    press(at, "Create my account")
    assert house.tickets() == ["tim"]
    assert "not good any more" in said(house.open(None, "join.py", token=token))


def test_an_invitation_of_who_is_no_administrator_says_so_on_both_pages(house):
    add(house.here.accounts, "eve", "admin")
    house.sit(house.sign_in("eve"))
    link = actions.invite("admin", "Tim", timedelta(days=1))
    ada = house.sign_in("ada")
    assert "opens nothing" not in said(house.open(ada, "people.py"))
    actions.disable("eve")
    assert "opens nothing: who made it is no administrator" in said(house.open(ada, "people.py"))
    token = parse_qs(urlsplit(link).query)["token"][0]
    at = house.open(None, "join.py", token=token)
    assert "eve, who made it, is no administrator now" in said(at)
    assert not at.text_input


def test_a_withdrawn_invitation_is_off_the_list_and_worth_nothing(house):
    ada = house.sign_in("ada")
    house.sit(ada)
    link = actions.invite("admin", "Tim", timedelta(days=1))
    at = press(house.open(ada, "people.py"), "Withdraw")
    assert "The invitation is withdrawn." in said(at)
    assert not [one for one in at.button if one.label == "Withdraw"]
    assert "not good any more" in said(house.open(None, "join.py", token=link.split("=")[1]))


def test_an_administrator_does_not_lock_themself_out(house):
    house.sit(house.sign_in("ada"))
    with pytest.raises(AccountError, match="your own account"):
        actions.disable("ada")
    with pytest.raises(AccountError, match="your own account"):
        actions.reset_factor("ada")
    with pytest.raises(AccountError, match="last administrator"):
        actions.set_role("ada", "trader")


# The second factor on the pages


def give_factor(house: House, username: str) -> tuple[pyotp.TOTP, list[str]]:
    sealer, now = load_sealer(house.here.settings), datetime.now(UTC) - timedelta(minutes=2)
    with house.here.accounts.begin() as conn:
        person = people.find_account(conn, username).person
        secret = second_factor.begin(conn, person.id or 0, sealer, now=now)
        code = pyotp.TOTP(secret).at(now)
        return pyotp.TOTP(secret), second_factor.confirm(conn, person, code, sealer, now=now)


def test_the_account_page_sets_a_second_factor_up_and_turns_it_off(house):
    tom = house.sign_in("tom")
    at = house.open(tom, "account.py")
    field(at, "Password").set_value("not the password")
    at = press(at, "Set up a second factor")
    assert "present password was not accepted" in said(at)
    field(at, "Password").set_value(PASSWORD)
    at = press(at, "Set up a second factor")
    secret = at.code[0].value.replace(" ", "")
    assert [one for one in at.get("html") if "data:image/svg+xml" in one.proto.body]
    field(at, "Code").set_value("000000")
    assert "not right" in said(press(at, "Turn it on"))
    field(at, "Code").set_value(pyotp.TOTP(secret).now())
    at = press(at, "Turn it on")
    codes = at.code[0].value.split("\n")
    assert len(codes) == second_factor.RECOVERY_CODES
    at = press(at, "I have kept them")
    assert "10 of 10 recovery codes are left" in said(at)
    assert codes[0] not in said(house.open(tom, "account.py"))
    field(at, "Password, or a code of the device").set_value(PASSWORD)
    at = press(at, "Turn it off")
    assert "Off. With one" in said(at)


def test_the_sign_in_asks_for_a_code_in_a_second_step(house):
    totp, _ = give_factor(house, "tom")
    at = house.open(None)
    field(at, "Username").set_value("tom")
    field(at, "Password").set_value(PASSWORD)
    at = press(at, "Sign in")
    assert [one.label for one in at.text_input] == ["Code"]
    assert house.tickets() == []
    field(at, "Code").set_value("000000")
    at = press(at, "Continue")
    assert "code is not right" in said(at)
    assert house.tickets() == []
    field(at, "Code").set_value(totp.now())
    press(at, "Continue")
    assert house.tickets() == ["tom"]


def test_a_wrong_password_looks_the_same_with_and_without_a_second_factor(house):
    give_factor(house, "tom")
    answers = []
    for name in ("tom", "ada", "nobody"):
        at = house.open(None)
        field(at, "Username").set_value(name)
        field(at, "Password").set_value("not the password")
        at = press(at, "Sign in")
        answers.append((said(at), [one.label for one in at.text_input]))
    assert answers[0] == answers[1] == answers[2]


def test_who_gave_the_password_can_start_again_as_somebody_else(house):
    give_factor(house, "tom")
    at = house.open(None)
    field(at, "Username").set_value("tom")
    field(at, "Password").set_value(PASSWORD)
    at = press(press(at, "Sign in"), "Sign in as somebody else")
    assert asks_to_sign_in(at)


def test_where_it_is_required_an_administrator_does_nothing_without_it(house, monkeypatch):
    monkeypatch.setenv("CRYPTOSATX_SECOND_FACTOR", "required")
    ada, tom = house.sign_in("ada"), house.sign_in("tom")
    assert "First a second factor" in said(house.open(ada, "people.py"))
    assert "needs a second factor here" in said(house.open(ada, "account.py"))
    house.sit(ada)
    with pytest.raises(AccessDenied):
        actions.set_role("tom", "admin")
    assert "needs a second factor" not in said(house.open(tom, "account.py"))
    give_factor(house, "ada")
    assert "can sign in" in said(house.open(house.sign_in("ada"), "people.py"))


def test_an_administrator_resets_the_factor_of_another_and_it_is_written_down(house):
    give_factor(house, "tom")
    at = house.open(house.sign_in("ada"), "people.py", who="tom")
    at = press(at, "Reset the second factor")
    assert "tom signs in with the password alone" in said(at)
    assert next((one.by, one.action) for one in changes(house)) == ("ada", "factor off")
