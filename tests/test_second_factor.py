"""The second factor: setting it up, codes of the device, recovery codes, and taking it away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as any_
from sqlalchemy import Engine, func, select

from core.accounts import passwords, people, second_factor, sessions, sign_in
from core.accounts.attempts import PER_ACCOUNT, PER_ADDRESS, Place
from core.accounts.people import Person
from core.alerts.delivery.sealing import Sealer
from core.errors import AccessDenied, AccountError
from core.store import audit, tables

NOW = datetime(2025, 11, 3, 12, 0, 10, tzinfo=UTC)
STEP = timedelta(seconds=30)
PASSWORD = "four unrelated words here"
KEY = Fernet.generate_key().decode()
SEALER = Sealer([KEY])
HOME = Place.of("192.0.2.1")


@pytest.fixture
def ada(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    with engine.begin() as conn:
        return people.create_user(
            conn, username="ada", name="Ada", role="admin", password=PASSWORD, now=NOW
        )


def code_at(secret: str, now: datetime) -> str:
    return pyotp.TOTP(secret).at(now)


def set_up(engine: Engine, person: Person, now: datetime = NOW) -> tuple[str, list[str]]:
    """The secret of a factor that counts, and its recovery codes; its code of ``now`` is used up."""
    with engine.begin() as conn:
        secret = second_factor.begin(conn, person.id or 0, SEALER, now=now)
        made = second_factor.confirm(conn, person, code_at(secret, now), SEALER, now=now)
    return secret, made


def know(engine: Engine, now: datetime = NOW, place: Place = HOME) -> sign_in.Known:
    return sign_in.check_password(engine, "ada", PASSWORD, place=place, now=now)


def enter(
    engine: Engine, known: sign_in.Known, code: str, now: datetime, place: Place = HOME
) -> Person:
    return sign_in.check_code(engine, known, code, place=place, now=now, sealer=lambda: SEALER)


def take(engine: Engine, person: Person, code: str, now: datetime) -> bool:
    with engine.begin() as conn:
        return second_factor.take_code(conn, person, code, lambda: SEALER, now=now)


def test_a_person_signs_in_with_password_and_code(engine, ada):
    assert not know(engine).wants_code
    secret, _ = set_up(engine, ada)
    known = know(engine)
    assert known.wants_code
    later = NOW + STEP
    assert enter(engine, known, code_at(secret, later), later) == ada


def test_many_browsers_behind_one_address_sign_in_with_codes_and_none_is_refused(engine, ada):
    secret, made = set_up(engine, ada)
    later = NOW
    for number in range(PER_ADDRESS.free + 10):
        later += STEP
        place = Place.of("192.0.2.1", f"browser {number}")
        code = made.pop() if number % 10 == 9 else code_at(secret, later)
        assert enter(engine, know(engine, later, place), code, later, place) == ada
    assert failures(engine) == 0


def test_a_person_signs_in_with_codes_from_ever_new_addresses(engine, ada):
    secret, _ = set_up(engine, ada)
    for number in range(1, 3 * PER_ACCOUNT.free):
        later, place = NOW + number * STEP, Place.of(f"198.51.100.{number}")
        assert (
            enter(engine, know(engine, later, place), code_at(secret, later), later, place) == ada
        )


def test_a_right_password_counts_as_failed_until_its_code_was_right(engine, ada):
    secret, _ = set_up(engine, ada)
    known = know(engine)
    assert failures(engine) == 1
    for number in range(2):
        with pytest.raises(AccessDenied, match="not right"):
            enter(engine, known, "000000", NOW)
        assert failures(engine) == 2 + number
    later = NOW + STEP
    assert enter(engine, known, code_at(secret, later), later) == ada
    assert failures(engine) == 2  # The wrong codes stay what they were.


def test_a_stolen_password_gives_no_free_guesses_of_codes(engine, ada):
    """Not even where the owner signs in between, elsewhere: of the five tries two were codes."""
    secret, _ = set_up(engine, ada)
    later, thief, looked_at = NOW + STEP, Place.of("198.51.100.7"), 0
    for number in range(20):
        try:
            known = know(engine, later, thief)
            enter(engine, known, "000000", later, thief)
        except AccessDenied as error:
            looked_at += str(error) == second_factor.WRONG
        if number == 0:
            assert enter(engine, know(engine, later), code_at(secret, later), later) == ada
    assert looked_at == PER_ACCOUNT.free // 2
    with pytest.raises(AccessDenied, match="Too many"):
        know(engine, later, thief)


def failures(engine: Engine) -> int:
    tried = tables.sign_in_attempts.c
    with engine.connect() as conn:
        found = select(func.count()).where(tried.username == "ada", tried.succeeded.is_(False))
        return conn.scalar(found) or 0


SPACED = any_.lists(any_.sampled_from(" -\t\u00a0\u2003\u3000"), min_size=2, max_size=30)


@given(any_.from_regex("[0-9]{6}", fullmatch=True), SPACED, any_.randoms())
def test_no_password_can_be_taken_for_a_code(digits, blanks, order):
    parts = ["digit"] * len(digits) + blanks
    order.shuffle(parts)
    left = iter(digits)
    text = "".join(next(left) if part == "digit" else part for part in parts)
    assert second_factor.is_code(text)
    with pytest.raises(AccountError, match="taken for a code"):
        passwords.check_password(text)


@pytest.mark.parametrize("text", ["91 73 05", "917-305-"])
def test_six_digits_are_refused_as_a_password_whatever_is_between_them(text):
    with pytest.raises(AccountError, match="use letters too"):
        passwords.check_password(text)
    passwords.check_password(f"{text} velvet anchor")


def test_a_factor_counts_only_once_a_code_of_it_was_right(engine, ada):
    with engine.begin() as conn:
        first = second_factor.begin(conn, ada.id, SEALER, now=NOW)
        secret = second_factor.begin(conn, ada.id, SEALER, now=NOW)
        assert first != secret
        for wrong in (code_at(first, NOW), "000 00", "", "١٢٣٤٥٦"):
            with pytest.raises(AccessDenied, match="not right"):
                second_factor.confirm(conn, ada, wrong, SEALER, now=NOW)
        assert second_factor.load_factor(conn, ada.id).confirmed_at is None
    assert not know(engine).wants_code
    assert not people_with_factor(engine)
    with engine.begin() as conn:
        second_factor.confirm(conn, ada, f" {code_at(secret, NOW)[:3]} {code_at(secret, NOW)[3:]}", SEALER, now=NOW)  # fmt: skip
        with pytest.raises(AccountError, match="already"):
            second_factor.begin(conn, ada.id, SEALER, now=NOW)
    assert know(engine).wants_code
    assert people_with_factor(engine) == ["ada"]


def people_with_factor(engine: Engine) -> list[str]:
    with engine.connect() as conn:
        return [one.person.username for one in people.list_people(conn) if one.second_factor]


@pytest.mark.parametrize(
    ("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_code_is_good_for_its_half_minute_and_its_neighbours(
    sqlite_engine, monkeypatch, steps, good
):
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    with sqlite_engine.begin() as conn:
        ada = people.create_user(
            conn, username="ada", name="Ada", role="admin", password=PASSWORD, now=NOW
        )
    secret, _ = set_up(sqlite_engine, ada)
    later = NOW + 10 * STEP
    assert take(sqlite_engine, ada, code_at(secret, later + steps * STEP), later) is good


def test_a_code_is_taken_once_and_none_before_it(engine, ada):
    secret, _ = set_up(engine, ada)
    assert not take(engine, ada, code_at(secret, NOW), NOW)  # It confirmed the factor.
    later = NOW + 10 * STEP
    assert take(engine, ada, code_at(secret, later), later)
    assert not take(engine, ada, code_at(secret, later), later)
    assert not take(engine, ada, code_at(secret, later - STEP), later)
    assert take(engine, ada, code_at(secret, later + STEP), later)


def test_of_many_who_bring_the_same_code_at_once_one_is_let_in(engine, ada):
    secret, made = set_up(engine, ada)
    later = NOW + 10 * STEP
    for code in (code_at(secret, later), made[0]):
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda _, code=code: take(engine, ada, code, later), range(8)))
        assert sum(taken) == 1


def test_a_recovery_code_is_good_once_and_however_it_is_written(engine, ada):
    _, made = set_up(engine, ada)
    assert len(set(made)) == second_factor.RECOVERY_CODES
    known = know(engine)
    assert enter(engine, known, f" {made[0].upper().replace('-', ' ')}", NOW) == ada
    with pytest.raises(AccessDenied, match="not right"):
        enter(engine, know(engine), made[0], NOW)
    with engine.connect() as conn:
        assert second_factor.load_factor(conn, ada.id).codes_left == 9
        (said,) = audit.list_changes(conn, action="recovered")
    assert (said.by, said.after) == ("ada", {"codes_left": 9})


def test_new_recovery_codes_make_the_old_ones_worthless(engine, ada):
    _, old = set_up(engine, ada)
    with engine.begin() as conn:
        new = second_factor.renew_codes(conn, ada, now=NOW)
    assert not take(engine, ada, old[1], NOW)
    assert take(engine, ada, new[1], NOW)


def test_the_database_holds_neither_the_secret_nor_a_recovery_code(engine, ada):
    secret, made = set_up(engine, ada)
    with engine.connect() as conn:
        stored = str(
            [conn.execute(select(table)).all() for table in tables.metadata.tables.values()]
        )
    assert "ada" in stored
    for hidden in (secret, *made, *(code.replace("-", "") for code in made)):
        assert hidden not in stored


def test_a_key_that_is_gone_is_said_and_one_that_is_rotated_opens(engine, ada):
    secret, made = set_up(engine, ada)
    later = NOW + 2 * STEP
    newer = Sealer([Fernet.generate_key().decode(), KEY])
    with engine.begin() as conn:
        assert second_factor.reseal(conn, newer) == 1
        assert second_factor.reseal(conn, newer) == 0
        with pytest.raises(AccountError, match="CRYPTOSATX_SECRET_KEY"):
            second_factor.take_code(conn, ada, code_at(secret, later), lambda: SEALER, now=later)
        assert second_factor.take_code(conn, ada, code_at(secret, later), lambda: newer, now=later)
        assert second_factor.take_code(conn, ada, made[0], lambda: SEALER, now=later)


def test_a_right_password_alone_sets_no_count_back_and_codes_are_limited_with_it(engine, ada):
    secret, _ = set_up(engine, ada)
    for _ in range(PER_ACCOUNT.free - 1):
        known = know(engine)
    with pytest.raises(AccessDenied, match="not right"):
        enter(engine, known, "000000", NOW)
    with pytest.raises(AccessDenied, match="Try again in 2 seconds"):
        enter(engine, known, code_at(secret, NOW + STEP), NOW)
    with pytest.raises(AccessDenied, match="Try again in 2 seconds"):
        know(engine)
    later = NOW + timedelta(seconds=2)
    assert enter(engine, known, code_at(secret, NOW + STEP), later) == ada
    know(engine, later)
    with pytest.raises(AccessDenied, match="not right"):
        enter(engine, known, "000000", later)


def test_who_takes_too_long_or_whose_password_was_changed_starts_anew(engine, ada):
    secret, _ = set_up(engine, ada)
    known = know(engine)
    late = NOW + sign_in.PATIENCE + STEP
    with pytest.raises(AccessDenied, match="too long"):
        enter(engine, known, code_at(secret, late), late)
    with engine.begin() as conn:
        people.set_password(conn, "ada", "another good password", now=NOW + STEP)
    with pytest.raises(AccessDenied, match="too long"):
        enter(engine, known, code_at(secret, NOW + STEP), NOW + STEP)


def test_turning_it_on_ends_the_sessions_that_began_without_it_but_not_this_one(engine, ada):
    with engine.begin() as conn:
        mine, other = (sessions.start(conn, ada.id, now=NOW) for _ in range(2))
        secret = second_factor.begin(conn, ada.id, SEALER, now=NOW)
        keep = sessions.digest(mine)
        second_factor.confirm(conn, ada, code_at(secret, NOW), SEALER, now=NOW, keep=keep)
        assert sessions.read(conn, mine, now=NOW).factor
        assert sessions.read(conn, other, now=NOW) is None


def test_an_administrator_resets_it_for_who_has_lost_the_device(engine, ada):
    _, made = set_up(engine, ada)
    with engine.begin() as conn:
        token = sessions.start(conn, ada.id, now=NOW)
        second_factor.remove(conn, ada, by="root", now=NOW)
        assert sessions.read(conn, token, now=NOW) is None
        (said,) = audit.list_changes(conn, action="factor off")
        with pytest.raises(AccountError, match="no second factor"):
            second_factor.remove(conn, ada, by="root", now=NOW)
    assert (said.by, said.name, said.after) == ("root", "ada", {"sessions_ended": 1})
    assert not know(engine).wants_code
    assert not take(engine, ada, made[0], NOW)


@pytest.mark.parametrize("proof", ["password", "code"])
def test_a_person_proves_themself_again_by_the_password_or_a_code(engine, ada, proof):
    secret, _ = set_up(engine, ada)
    given = PASSWORD if proof == "password" else code_at(secret, NOW + STEP)
    asked = {"place": HOME, "now": NOW + STEP, "sealer": lambda: SEALER}
    sign_in.confirm(engine, ada, given, **asked)
    for wrong in ("not the password", "000000"):
        with pytest.raises(AccessDenied):
            sign_in.confirm(engine, ada, wrong, **asked)
