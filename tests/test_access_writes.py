"""What pages do is done for whom it is declared for, and what is somebody's own is nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from core.accounts import passwords
from core.errors import AccessDenied, CryptoSatXError
from core.store.channels import list_channels
from core.ui import account, key_actions
from core.ui import people as everyone
from core.ui.alerts import channel_actions, personal
from core.ui.session import require_user
from tests import access
from tests.access import ACTIONS, OWN_ACTIONS
from tests.alert_desk import Desk, desk, entries, fired, templates  # noqa: F401 - fixtures
from tests.test_written_down import WRITES, other_session, start_for

PREFIX = "core.ui."
WHO = {"trader": "tom", "analyst": "ann"}


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ROUNDS", 4)


def least(name: str) -> str:
    return "trader" if name in OWN_ACTIONS else ACTIONS[name]


@pytest.mark.parametrize("role", WHO)
def test_whoever_has_just_the_role_may(fired: Desk, role: str) -> None:  # noqa: F811
    """An administrator does all of them in test_written_down."""
    fired.sign_in(WHO[role])
    done = []
    for full, write, (_, action, subject) in WRITES:
        name = full.removeprefix(PREFIX)
        if least(name) != role or name == "alerts.channel_actions.resend":
            continue
        OF_ONE_S_OWN.get(name, write)(fired)
        done.append(name)
        assert (WHO[role], action, subject) in entries(fired), name
    expected = {one for one in [*ACTIONS, *OWN_ACTIONS] if least(one) == role}
    assert expected - {*done} == ELSEWHERE[role]


def own_channel(here: Desk) -> int:
    return channels_of(here, "tom")[0]


# `WRITES` does these with shared channels and sessions of an administrator.
OF_ONE_S_OWN: dict[str, Callable[[Desk], object]] = {
    "alerts.channel_actions.create": lambda _: channel_actions.create(
        name="Mine", kind="webhook", address="https://127.0.0.1/x", shared=False
    ),
    "alerts.channel_actions.change": lambda here: channel_actions.change(
        own_channel(here), enabled=False
    ),
    "alerts.channel_actions.subscribe": lambda here: channel_actions.subscribe(
        own_channel(here), {"severities": ["critical"]}
    ),
    "alerts.channel_actions.delete": lambda here: channel_actions.delete(own_channel(here)),
    "account.end_other_sessions": lambda here: (
        start_for(here, "tom"),
        account.end_other_sessions(),
    ),
    "account.end_session": lambda here: (
        start_for(here, "tom"),
        account.end_session(other_session()),
    ),
}
# What changes nothing that is kept, or is tested elsewhere with its own log.
ELSEWHERE: dict[str, set[str]] = {
    "trader": {
        "account.begin_factor",
        "account.own_factor",
        "account.own_sessions",
        "alerts.channel_actions.resend",
        "alerts.channel_actions.test",
        "auto_banner.ask_again",
        "key_actions.own_keys",
    },
    "analyst": set(),
}


def channels_of(here: Desk, owner: str | None) -> list[int]:
    with here.engine.connect() as conn:
        return [one.id for one in list_channels(conn, owner=owner)]


def test_a_channel_is_its_owner_s_and_a_shared_one_an_administrator_s(fired: Desk) -> None:  # noqa: F811
    fired.sign_in("ann")
    channel_actions.create(name="Hers", kind="webhook", address="https://127.0.0.1/x", shared=False)
    others = [*channels_of(fired, "ann"), *channels_of(fired, None)]
    assert len(others) == 2
    fired.sign_in("tom")
    with pytest.raises(AccessDenied):
        channel_actions.create(name="All", kind="webhook", address="https://x.example", shared=True)
    doings: list[Callable[[int], object]] = [
        lambda one: channel_actions.change(one, enabled=False),
        lambda one: channel_actions.subscribe(one, {}),
        lambda one: channel_actions.resend(channel_id=one),
        channel_actions.test,
        channel_actions.delete,
    ]
    before = entries(fired)
    for one in others:
        for do in doings:
            with pytest.raises(CryptoSatXError):
                do(one)
    with pytest.raises(AccessDenied):
        channel_actions.resend(ids=[1])
    with pytest.raises(AccessDenied):
        personal.load_channels(require_user("trader"), shared=True)
    assert personal.load_channels(require_user("trader"), shared=False) == []
    assert entries(fired) == before


def test_a_key_is_its_owner_s_and_an_administrator_only_ends_it(fired: Desk) -> None:  # noqa: F811
    fired.sign_in("ann")
    key_actions.create("Hers", ["signals.read"], 30)
    for name in ("tom", "ada"):
        fired.sign_in(name)
        assert key_actions.own_keys() == []
        with pytest.raises(AccessDenied):
            key_actions.rotate(1, overlap_hours=1, days=30)
    fired.sign_in("tom")
    with pytest.raises(AccessDenied):
        key_actions.revoke(1)
    fired.sign_in("ada")
    key_actions.revoke(1)


def test_a_session_is_its_owner_s(fired: Desk) -> None:  # noqa: F811
    start_for(fired, "ann")
    (hers,) = everyone.load_sessions("ann", datetime.now(UTC))
    fired.sign_in("tom")
    assert not account.end_session(hers.id)
    account.end_other_sessions()
    fired.sign_in("ada")
    assert everyone.load_sessions("ann", datetime.now(UTC)) == [hers]


def test_every_action_is_declared_to_be_somebody_s() -> None:
    for name, write in ((full.removeprefix(PREFIX), write) for full, write, _ in WRITES):
        assert callable(write)
        assert access.action_allowed(name, "admin")
        assert not access.action_allowed(name, "guest")
