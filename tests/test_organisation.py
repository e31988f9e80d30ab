"""The sign-in of an organisation: who somebody is, which role they get, and what an old identity is worth."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from core.accounts import keys, organisation, passwords, people, sessions, tickets
from core.accounts.organisation import STALE, Arrived, Mapped
from core.errors import AccountError, SettingsError
from core.settings import load_settings
from core.store import audit
from core.ui.organisation import auth_secrets

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
ISSUER = "https://id.example"
ROLES = Mapped("Example", "groups", {"desk": "trader", "ops": "admin"})


def claims(**changes: Any) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "sub": "0001",
        "iat": int(NOW.timestamp()),
        "nonce": "n1",
        "preferred_username": "Olga",
        "name": "Olga O",
        "email": "olga@id.example",
        "groups": ["desk", "elsewhere"],
    } | changes


def begin(engine: Engine, browser: str = "mine", now: datetime = NOW) -> None:
    with engine.begin() as conn:
        organisation.begin(conn, browser=browser, next_path="/accuracy", now=now)


def arrive(
    engine: Engine, given: Mapping[str, Any], browser: str = "mine", now: datetime = NOW
) -> Arrived | None:
    with engine.begin() as conn:
        return organisation.arrive(conn, given, ROLES, browser=browser, now=now)


def visit(engine: Engine, now: datetime = NOW, **changes: Any) -> Arrived:
    """Go to the provider and come back."""
    begin(engine, now=now)
    given = claims(iat=int(now.timestamp()), nonce=f"{now} {sorted(changes)}", **changes)
    arrived = arrive(engine, given, now=now)
    assert arrived is not None
    return arrived


def test_the_first_sign_in_makes_a_person_without_a_password(engine):
    arrived = visit(engine)
    assert arrived.next_path == "/accuracy"
    assert (arrived.person.username, arrived.person.name, arrived.person.role) == (
        "olga", "Olga O", "trader",
    )  # fmt: skip
    assert visit(engine, NOW + timedelta(hours=1)).person == arrived.person
    with engine.connect() as conn:
        (made,) = audit.list_changes(conn)
        assert people.find_account(conn, "olga").issuer == ISSUER
    assert (made.by, made.action, made.after["issuer"]) == ("sign-in by Example", "create", ISSUER)


def test_a_person_is_known_by_issuer_and_subject_and_by_nothing_else(engine, monkeypatch):
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    with engine.begin() as conn:
        local = people.create_user(
            conn, username="olga", name="Olga", role="admin", password="four unrelated words", now=NOW
        )  # fmt: skip
    first = visit(engine).person
    assert first.id != local.id
    assert first.username == "olga-2"
    other = visit(engine, iss="https://other.example").person
    third = visit(engine, sub="0002").person
    assert len({local.id, first.id, other.id, third.id}) == 4
    later = visit(engine, preferred_username="root", email="new@id.example", name="New").person
    assert later == first


def test_the_role_follows_from_the_claim_at_every_sign_in(engine):
    person = visit(engine).person
    with engine.begin() as conn:
        token = sessions.start(conn, person.id, now=NOW)
    assert visit(engine, groups=["ops"]).person.role == "admin"
    with engine.connect() as conn:
        assert sessions.read(conn, token, now=NOW).person.role == "admin"
        assert audit.list_changes(conn, action="role")[0].by == "sign-in by Example"
    assert visit(engine, groups="desk").person.role == "trader"


@pytest.mark.parametrize("groups", [[], ["elsewhere"], None, 5, {"desk": True}, "Desk"])
def test_who_has_no_role_is_refused_and_signed_out(sqlite_engine, groups):
    person = visit(sqlite_engine).person
    with sqlite_engine.begin() as conn:
        token = sessions.start(conn, person.id, now=NOW)
    arrived = visit(sqlite_engine, groups=groups)
    assert arrived.person is None
    assert "Example, but it gives you no role here" in arrived.fault
    with sqlite_engine.connect() as conn:
        assert sessions.read(conn, token, now=NOW) is None
    stranger = visit(sqlite_engine, sub="0009", groups=groups)
    assert stranger.person is None
    with sqlite_engine.connect() as conn:
        assert len(people.list_people(conn)) == 1


def give_key(engine: Engine, owner: str) -> str:
    ends = NOW + timedelta(days=30)
    with engine.begin() as conn:
        made = keys.create(
            conn, owner, name="bot", scopes=["rules.write"], expires_at=ends, by=owner, now=NOW
        )
    return made[1]


def test_who_loses_every_role_loses_keys_sign_ins_and_the_role_until_one_is_given_again(engine):
    person = visit(engine, groups=["ops"]).person
    key = give_key(engine, "olga")
    with engine.begin() as conn:
        sessions.start(conn, person.id, now=NOW)
        ticket = tickets.issue(conn, user_id=person.id, browser="b", next_path="/", now=NOW)
        assert keys.read(conn, key, now=NOW).person.role == "admin"
    for _ in range(2):  # The second time there is nothing left to note.
        assert visit(engine, groups=[]).person is None
    with engine.begin() as conn:
        assert keys.read(conn, key, now=NOW) is None
        assert tickets.redeem(conn, ticket, browser="b", now=NOW) is None
        assert people.find_account(conn, "olga").person.role == "trader"
        (told,) = audit.list_changes(conn, action="revoke")
    assert (told.by, told.before) == ("sign-in by Example", {"role": "admin"})
    assert told.after == {"sessions_ended": 1, "keys_revoked": 1, "role": "trader"}
    assert visit(engine, groups=["ops"]).person == person
    with engine.connect() as conn:
        assert keys.read(conn, key, now=NOW) is None
        assert people.find_account(conn, "olga").person == person


def test_an_identity_is_worth_nothing_in_a_browser_that_did_not_ask(engine):
    begin(engine)
    assert arrive(engine, claims(), browser="theirs") is None
    assert arrive(engine, claims()).person is not None


def test_an_identity_is_taken_once(engine):
    begin(engine)
    assert arrive(engine, claims()).person is not None
    assert arrive(engine, claims()) is None
    begin(engine, "theirs")
    assert arrive(engine, claims(), "theirs").fault == STALE
    assert arrive(engine, claims(), "theirs") is None


@pytest.mark.parametrize("seconds", [-120, 120, None, "now", 1e20])
def test_an_identity_from_before_the_asking_is_refused(sqlite_engine, seconds):
    """One that was copied out of another browser, weeks ago or a minute."""
    begin(sqlite_engine)
    given = NOW.timestamp() + seconds if isinstance(seconds, int) else seconds
    assert arrive(sqlite_engine, claims(iat=given)).fault == STALE


def test_who_stays_away_too_long_asks_again(engine):
    begin(engine)
    late = NOW + organisation.PATIENCE + timedelta(seconds=1)
    assert arrive(engine, claims(iat=int(late.timestamp())), now=late).fault == STALE


def test_a_disabled_person_is_refused(engine):
    visit(engine, groups=["ops"], sub="0000", preferred_username="root")
    visit(engine)
    with engine.begin() as conn:
        people.disable(conn, "olga", now=NOW)
    assert "switched off" in visit(engine, NOW + timedelta(hours=1)).fault


def test_what_the_organisation_says_cannot_be_changed_here(engine):
    visit(engine)
    with engine.begin() as conn:
        with pytest.raises(AccountError, match="change it there"):
            people.set_role(conn, "olga", "admin", now=NOW)
        with pytest.raises(AccountError, match="change it there"):
            people.set_password(conn, "olga", "four unrelated words", now=NOW)


@pytest.mark.parametrize(
    ("given", "username"),
    [
        ({"preferred_username": "O L", "email": "olga@x.example"}, "olga@x.example"),
        ({"preferred_username": None, "email": None}, "0001"),
        ({"preferred_username": "", "email": "ä@x", "sub": "|odd|"}, "person"),
    ],
)
def test_a_username_is_found_for_anybody(sqlite_engine, given, username):
    assert visit(sqlite_engine, **given).person.username == username
    again = visit(sqlite_engine, **given | {"sub": given.get("sub", "") + "x"}).person
    assert again.username == (f"{username}-2" if username != "0001" else "x")


# Settings


GIVEN = {
    "CRYPTOSATX_URL": "https://signals.example/",
    "CRYPTOSATX_OIDC_METADATA_URL": "https://id.example/.well-known/openid-configuration",
    "CRYPTOSATX_OIDC_CLIENT_ID": "us",
    "CRYPTOSATX_OIDC_CLIENT_SECRET": "open sesame",
    "CRYPTOSATX_OIDC_ROLES": "desk=trader, cn=ops,ou=x=admin",
}


def test_the_settings_become_what_the_sign_in_needs(tmp_path):
    settings = load_settings(GIVEN | {"CRYPTOSATX_DATA": str(tmp_path), "CRYPTOSATX_OIDC_ROLES": "a=b=admin"})  # fmt: skip
    auth = auth_secrets(settings)["auth"]
    assert auth["redirect_uri"] == "https://signals.example/oauth2callback"
    assert len(auth["cookie_secret"]) == 64
    assert auth_secrets(settings)["auth"] == auth
    elsewhere = load_settings(GIVEN | {"CRYPTOSATX_DATA": str(tmp_path / "b"), "CRYPTOSATX_OIDC_ROLES": "a=admin"})  # fmt: skip
    assert auth_secrets(elsewhere)["auth"]["cookie_secret"] != auth["cookie_secret"]
    assert settings.oidc_roles == {"a=b": "admin"}
    assert auth_secrets(load_settings({})) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"CRYPTOSATX_URL": ""}, "set CRYPTOSATX_URL too"),
        ({"CRYPTOSATX_OIDC_METADATA_URL": "http://id.example/x"}, "begins with https://"),
        ({"CRYPTOSATX_OIDC_CLIENT_SECRET": ""}, "set CRYPTOSATX_OIDC_CLIENT_SECRET too"),
        ({"CRYPTOSATX_OIDC_ROLES": "desk=owner"}, "write value=role"),
        ({"CRYPTOSATX_OIDC_ROLES": ""}, "set CRYPTOSATX_OIDC_ROLES too"),
    ],
)
def test_a_provider_that_is_half_set_is_refused_with_what_is_missing(changes, said):
    with pytest.raises(SettingsError) as error:
        load_settings(GIVEN | {"CRYPTOSATX_OIDC_ROLES": "desk=trader"} | changes)
    assert said in str(error.value)
    assert "open sesame" not in str(error.value)
