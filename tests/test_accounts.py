"""People, passwords, failed sign-ins, tickets and the first administrator."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, select
from streamlit_authenticator import Hasher

from core.accounts import (
    attempts,
    passwords,
    people,
    second_factor,
    sessions,
    setup,
    sign_in,
    tickets,
)
from core.accounts.attempts import Place
from core.accounts.people import GUEST, Person, may
from core.accounts.tickets import Ticket
from core.accounts.tokens import digest
from core.alerts.delivery.sealing import Sealer
from core.errors import AccessDenied, AccountError
from core.store import tables

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
PASSWORD = "four unrelated words here"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ROUNDS", 4)


@pytest.fixture
def add(engine: Engine) -> Callable[..., Person]:
    def make(username: str = "ada", role: str = "trader", password: str = PASSWORD) -> Person:
        with engine.begin() as conn:
            return people.create_user(
                conn, username=username, name="Ada L", role=role, password=password, now=NOW
            )

    return make


def try_sign_in(
    engine: Engine,
    username: str = "ada",
    password: str = PASSWORD,
    address: str = "192.0.2.1",
    now: datetime = NOW,
    browser: str = "",
) -> Person:
    place = Place.of(address, browser)
    return sign_in.check_password(engine, username, password, place=place, now=now).person


def fail(engine: Engine, times: int, **changes: str) -> None:
    for _ in range(times):
        with pytest.raises(AccessDenied):
            try_sign_in(engine, **{"password": "not the password"} | changes)


# People


def test_a_person_signs_in_with_the_password_they_were_given(engine, add):
    ada = add()
    assert try_sign_in(engine) == ada


def test_usernames_are_one_whatever_their_case(engine, add):
    add("Ada")
    assert try_sign_in(engine, " ADA ").username == "ada"
    with pytest.raises(AccountError, match="already a user ada"):
        add("aDa")


@pytest.mark.parametrize("username", ["", "a b", "-ada", "ad\na", "x" * 65, "ädä"])
def test_an_odd_username_is_refused(add, username):
    with pytest.raises(AccountError, match="A username has"):
        add(username)


def test_an_unknown_role_is_refused(add):
    with pytest.raises(AccountError, match="trader, analyst or admin"):
        add(role="owner")


def test_a_refused_account_leaves_nothing_behind(engine, add):
    with pytest.raises(AccountError):
        add(password="short")
    with engine.connect() as conn:
        assert not people.any_people(conn)


def test_roles_are_ordered_and_a_guest_writes_nothing():
    ada = Person(1, "ada", "Ada", "analyst")
    assert may(ada, "trader", write=True)
    assert may(ada, "analyst")
    assert not may(ada, "admin")
    assert may(GUEST, "analyst")
    assert not may(GUEST, "trader", write=True)
    assert not may(GUEST, "admin")


def test_a_disabled_person_is_refused_and_comes_back_when_enabled(engine, add):
    add("root", role="admin")
    ada = add()
    with engine.begin() as conn:
        token = sessions.start(conn, ada.id, now=NOW)
        people.disable(conn, "ada", now=NOW)
        assert sessions.read(conn, token, now=NOW) is None
    with pytest.raises(AccessDenied, match="switched off"):
        try_sign_in(engine)
    with engine.begin() as conn:
        people.enable(conn, "ada", now=NOW)
    assert try_sign_in(engine) == ada


def test_who_gives_a_wrong_password_does_not_learn_that_the_account_is_disabled(engine, add):
    add("root", role="admin")
    add()
    with engine.begin() as conn:
        people.disable(conn, "ada", now=NOW)
    with pytest.raises(AccessDenied, match="not right"):
        try_sign_in(engine, password="something else")


def test_the_last_administrator_stays_one(engine, add):
    add("root", role="admin")
    with engine.begin() as conn:
        with pytest.raises(AccountError, match="last administrator"):
            people.disable(conn, "root", now=NOW)
        with pytest.raises(AccountError, match="last administrator"):
            people.set_role(conn, "root", "trader", now=NOW)
    add("second", role="admin")
    with engine.begin() as conn:
        people.set_role(conn, "root", "trader", now=NOW)
        roles = {each.person.username: each.person.role for each in people.list_people(conn)}
    assert roles == {"root": "trader", "second": "admin"}


def test_changing_somebody_who_does_not_exist_says_so(engine):
    with engine.begin() as conn, pytest.raises(AccountError, match="no user nobody"):
        people.set_role(conn, "nobody", "trader", now=NOW)


def test_a_new_password_replaces_the_old_one_and_ends_every_session(engine, add):
    ada = add()
    with engine.begin() as conn:
        token = sessions.start(conn, ada.id, now=NOW)
        people.set_password(conn, "ada", "another good password", now=NOW)
        assert sessions.read(conn, token, now=NOW) is None
    assert try_sign_in(engine, password="another good password") == ada
    fail(engine, 1, password=PASSWORD)


# Passwords


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("7 chars", "at least 8"),
        ("x" * 129, "at most 128"),
        ("aaaaaaaaaaaa", "guessed at once"),
        ("abababababab", "guessed at once"),
        ("Ada.Lovelace", "guessed at once"),
        ("ada.lovelace1815", "guessed at once"),
        ("Password1!", "guessed at once"),
        ("qwertyuiop", "guessed at once"),
        ("CryptoSatX1", "guessed at once"),
    ],
)
def test_a_weak_password_is_refused_with_what_to_do(password, reason):
    with pytest.raises(AccountError, match=reason):
        passwords.check_password(password, username="ada.lovelace", name="Ada L")


def test_nobody_gets_a_weak_password(engine, add):
    add()
    with engine.begin() as conn, pytest.raises(AccountError, match="guessed at once"):
        people.set_password(conn, "ada", "Password1!", now=NOW)
    with pytest.raises(AccountError, match="guessed at once"):
        add("eve", password="Password1!")


def test_a_hash_from_before_goes_on_working():
    kept = "$2b$04$tnk3fKJXnl2dTmi61cQP/OT.LlKukVt61pvfQlMDuDjdUw4WA34nu"
    assert passwords.matches(passwords.prepare(PASSWORD), kept)


@pytest.mark.parametrize(
    "password", ["8 chars.", "four unrelated words " * 6 + "!!", " пароль 密码 "]
)
def test_a_password_is_taken_as_it_is_from_8_to_128_characters(engine, add, password):
    ada = add(password=password)
    assert try_sign_in(engine, password=password) == ada


def test_every_character_of_a_long_password_counts(engine, add):
    add(password="long " * 25 + "abc")
    fail(engine, 1, password="long " * 25 + "abd")


def test_a_password_typed_with_another_keyboard_is_the_same_password(engine, add):
    ada = add(password="caf\u00e9 au lait")
    assert try_sign_in(engine, password="cafe\u0301 au lait") == ada


def test_a_zero_byte_does_not_cut_a_password(engine, add):
    add(password="before\0after the zero")
    fail(engine, 1, password="before\0something else")


def test_hashes_are_salted_and_checked_by_the_form_s_library_too():
    first, second = passwords.hash_password(PASSWORD), passwords.hash_password(PASSWORD)
    assert first != second
    assert Hasher.check_pw(passwords.prepare(PASSWORD), first)
    assert not Hasher.check_pw(passwords.prepare(PASSWORD + "."), first)


# Failed sign-ins


def test_the_same_work_is_done_whoever_is_asked_for(engine, add):
    """How long that takes is measured in test_sign_in_attacks.py."""
    add("root", role="admin")
    add()
    with engine.begin() as conn:
        people.disable(conn, "ada", now=NOW)
        conn.execute(tables.users.insert().values(organised("olga")))
    done: list[list[str]] = []

    def matches(prepared: str, stored: str) -> bool:
        done.append(stored.split("$")[1:3])
        return passwords.matches(prepared, stored)

    for name in ("root", "ada", "olga", "nobody"):
        with pytest.raises(AccessDenied, match="not right"):
            sign_in.check_password(
                engine, name, "wrong", place=Place.of("192.0.2.1"), now=NOW, matches=matches
            )
    assert done == [["2b", "04"]] * 4


def test_who_has_no_password_is_not_let_in_by_any(engine):
    with engine.begin() as conn:
        conn.execute(tables.users.insert().values(organised("olga")))
    for password in ("", " ", "None", "x" * 2_000):
        with pytest.raises(AccessDenied):
            try_sign_in(engine, "olga", password)


def organised(username: str) -> dict[str, object]:
    """A row of somebody whom an organisation signs in."""
    return {
        "username": username, "name": username, "role": "admin", "disabled": False,
        "created_at": NOW, "updated_at": NOW, "issuer": "https://id.example", "subject": username,
    }  # fmt: skip


def test_unknown_user_and_wrong_password_get_the_same_answer(engine, add):
    add()
    with pytest.raises(AccessDenied) as wrong:
        try_sign_in(engine, password="not the password")
    with pytest.raises(AccessDenied) as unknown:
        try_sign_in(engine, username="nobody")
    assert str(wrong.value) == str(unknown.value)


@pytest.mark.parametrize("username", ["\0", "a\0da", "ada'--", "☃" * 500])
def test_an_impossible_username_is_only_a_wrong_one(engine, add, username):
    add()
    with pytest.raises(AccessDenied):
        try_sign_in(engine, username, password="not the password")


@pytest.mark.parametrize("username", ["ada", "nobody"])
def test_after_five_failures_even_the_right_password_waits(engine, add, username):
    add()
    fail(engine, 5, username=username)
    with pytest.raises(AccessDenied, match="Try again in 2 seconds"):
        try_sign_in(engine, username)


def test_the_wait_doubles_with_each_failure_and_ends(engine, add):
    ada = add()
    fail(engine, 5)
    later = NOW + timedelta(seconds=2)
    with pytest.raises(AccessDenied, match="not right"):
        try_sign_in(engine, password="not the password", now=later)
    with pytest.raises(AccessDenied, match="Try again in 4 seconds"):
        try_sign_in(engine, now=later)
    assert try_sign_in(engine, now=later + timedelta(seconds=4)) == ada


def test_impatience_does_not_lengthen_the_wait(engine, add):
    ada = add()
    fail(engine, 50)
    assert try_sign_in(engine, now=NOW + timedelta(seconds=2)) == ada


def test_a_success_sets_the_account_s_count_back(engine, add):
    add()
    fail(engine, 4)
    try_sign_in(engine, now=NOW + timedelta(seconds=1))
    with pytest.raises(AccessDenied, match="not right"):
        try_sign_in(engine, password="not the password", now=NOW + timedelta(seconds=2))


def test_guesses_made_at_the_same_time_count_each_other(engine, add):
    add()
    checked: list[str] = []

    def guess(number: int) -> None:
        with pytest.raises(AccessDenied):
            sign_in.check_password(
                engine,
                "ada",
                f"guess {number}",
                place=Place.of("192.0.2.1"),
                now=NOW,
                matches=lambda prepared, _: bool(checked.append(prepared)),
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, range(24)))
    assert len(checked) <= attempts.PER_ACCOUNT.free


def test_one_address_that_tries_many_names_waits_and_others_do_not(engine, add):
    ada = add()
    for n in range(30):
        fail(engine, 1, username=f"name{n}")
    with pytest.raises(AccessDenied, match="Try again in 2 seconds"):
        try_sign_in(engine)
    assert try_sign_in(engine, address="192.0.2.2") == ada


def test_the_count_is_in_the_database_and_is_forgotten_after_a_month(engine, add):
    add()
    fail(engine, 3)
    with engine.begin() as conn:
        attempts.begin(conn, "ada", Place.of("192.0.2.1"), now=NOW + timedelta(days=31))
        assert len(conn.execute(select(tables.sign_in_attempts)).all()) == 1


# Tickets


def make_ticket(conn, **changes) -> str:
    asked = {"user_id": None, "browser": "mine", "next_path": "/signals", "now": NOW}
    return tickets.issue(conn, **asked | changes)


def test_a_ticket_is_good_once(engine, add):
    ada = add()
    with engine.begin() as conn:
        ticket = make_ticket(conn, user_id=ada.id)
        assert tickets.redeem(conn, ticket, browser="mine", now=NOW) == Ticket(ada.id, "/signals")
        assert tickets.redeem(conn, ticket, browser="mine", now=NOW) is None


def test_a_ticket_is_worth_nothing_in_another_browser_and_is_used_up_there(engine):
    with engine.begin() as conn:
        ticket = make_ticket(conn)
        assert tickets.redeem(conn, ticket, browser="theirs", now=NOW) is None
        assert tickets.redeem(conn, ticket, browser="mine", now=NOW) is None


def test_a_ticket_lasts_seconds(engine):
    with engine.begin() as conn:
        ticket = make_ticket(conn)
        assert tickets.redeem(conn, ticket, browser="mine", now=NOW + tickets.LIFETIME) is None


def test_the_database_holds_no_token_that_could_be_used(engine, add):
    ada = add()
    with engine.begin() as conn:
        secrets = [make_ticket(conn), sessions.start(conn, ada.id, now=NOW), "mine", PASSWORD]
        stored = [
            str(row)
            for table in (tables.tickets, tables.sessions, tables.users, tables.meta)
            for row in conn.execute(select(table))
        ]
    assert stored
    assert not [secret for secret in secrets for row in stored if secret in row]


SEALER = Sealer([Fernet.generate_key().decode()])


def give_factor(conn, person: Person) -> None:
    secret = second_factor.begin(conn, person.id or 0, SEALER, now=NOW)
    second_factor.confirm(conn, person, pyotp.TOTP(secret).at(NOW), SEALER, now=NOW)


ENDINGS = {
    "a new password": lambda conn, ann: people.set_password(
        conn, "ann", "another good password", now=NOW
    ),
    "ended sessions": lambda conn, ann: people.end_sessions(conn, "ann", now=NOW),
    "the other sessions ended": lambda conn, ann: sessions.end_others(
        conn, sessions.read(conn, sessions.start(conn, ann.id, now=NOW), now=NOW), now=NOW
    ),
    "switched off and on": lambda conn, ann: (
        people.disable(conn, "ann", now=NOW),
        people.enable(conn, "ann", now=NOW),
    ),
    "another role": lambda conn, ann: people.set_role(conn, "ann", "analyst", now=NOW),
    "a second factor": give_factor,
}


def test_what_ends_a_person_s_sessions_ends_a_sign_in_that_is_on_its_way(engine, add):
    add("root", role="admin")
    ann, ben = add("ann"), add("ben")
    for what, end in ENDINGS.items():
        with engine.begin() as conn:
            ticket, other = make_ticket(conn, user_id=ann.id), make_ticket(conn, user_id=ben.id)
            end(conn, ann)
            assert tickets.redeem(conn, ticket, browser="mine", now=NOW) is None, what
            assert tickets.redeem(conn, other, browser="mine", now=NOW) is not None
    with engine.begin() as conn:
        ticket = make_ticket(conn, user_id=ann.id)
        second_factor.remove(conn, ann, by="root", now=NOW)
        assert tickets.redeem(conn, ticket, browser="mine", now=NOW) is None


# The first administrator


def create_admin(conn, token: str, **changes: str) -> Person:
    asked = {"username": "root", "name": "Root", "password": PASSWORD}
    return setup.create_first_admin(conn, token, **asked | changes, now=NOW)


def test_the_first_administrator_is_made_with_the_token(engine):
    with engine.begin() as conn:
        token = setup.new_setup_token(conn, now=NOW)
        assert create_admin(conn, f" {token}\n").role == "admin"


def test_the_token_is_dead_once_somebody_has_an_account(engine, add):
    with engine.begin() as conn:
        token = setup.new_setup_token(conn, now=NOW)
        create_admin(conn, token)
        assert setup.new_setup_token(conn, now=NOW) is None
        with pytest.raises(AccessDenied):
            create_admin(conn, token, username="second")


def test_an_account_made_on_the_command_line_kills_the_token_too(engine, add):
    with engine.begin() as conn:
        token = setup.new_setup_token(conn, now=NOW)
    add("root", role="admin")
    with engine.begin() as conn, pytest.raises(AccessDenied, match="not a token"):
        create_admin(conn, token, username="second")


def test_a_token_left_over_from_before_the_first_account_is_refused(engine, add):
    add("root", role="admin")
    with engine.begin() as conn:
        left_over = {"key": people.SETUP_KEY, "value": digest("left over")}
        conn.execute(tables.meta.insert().values(left_over))
        with pytest.raises(AccessDenied):
            create_admin(conn, "left over", username="second")


def test_a_wrong_token_makes_nobody(engine):
    with engine.begin() as conn:
        setup.new_setup_token(conn, now=NOW)
        with pytest.raises(AccessDenied, match="copy it from"):
            create_admin(conn, "guess")
        assert not people.any_people(conn)


def test_a_slip_in_the_form_does_not_use_the_token_up(engine):
    with engine.begin() as conn:
        token = setup.new_setup_token(conn, now=NOW)
    with pytest.raises(AccountError), engine.begin() as conn:
        create_admin(conn, token, password="short")
    with engine.begin() as conn:
        assert create_admin(conn, token).username == "root"


@pytest.mark.parametrize("used", [0, 1])
def test_each_server_of_a_database_has_a_token_that_is_good_until_one_of_them_is_used(engine, used):
    with engine.begin() as conn:
        tokens = [setup.new_setup_token(conn, now=NOW + timedelta(hours=n)) for n in range(2)]
    with engine.begin() as conn:
        create_admin(conn, tokens[used])
        with pytest.raises(AccessDenied):
            create_admin(conn, tokens[1 - used], username="second")
        assert len(people.list_people(conn)) == 1


def test_of_two_who_hold_a_token_each_one_becomes_the_first_administrator(engine):
    with engine.begin() as conn:
        tokens = [setup.new_setup_token(conn, now=NOW) for _ in range(2)]

    def take(number: int) -> int:
        try:
            with engine.begin() as conn:
                create_admin(conn, tokens[number], username=f"root{number}")
        except AccessDenied:
            return 0
        return 1

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(take, range(2))) == 1


def test_a_token_of_the_first_administrator_gets_too_old(engine):
    with engine.begin() as conn:
        made_at = NOW - setup.LASTS
        old = setup.new_setup_token(conn, now=made_at)
        young = setup.new_setup_token(conn, now=made_at + timedelta(seconds=1))
        with pytest.raises(AccessDenied, match="too old"):
            create_admin(conn, old)
        setup.new_setup_token(conn, now=NOW)
        kept = list(conn.scalars(select(tables.meta.c.value)))
        assert [digest(old) in str(kept), digest(young) in str(kept)] == [False, True]
        create_admin(conn, young)
        assert digest(young) not in str(conn.execute(select(tables.meta)).all())
