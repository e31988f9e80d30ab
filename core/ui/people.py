"""What administrators do with the accounts of others, and the invitations they send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import streamlit as st

from core.accounts import Person, invitations, people, second_factor, sessions
from core.accounts.invitations import Invitation
from core.accounts.people import Account
from core.accounts.sessions import Session
from core.errors import AccountError
from core.instance import instance
from core.ui.session import require_user


@dataclass(frozen=True)
class Everyone:
    """All accounts by username, how many sessions each has open by id, and invitations that are open."""

    members: list[Account]
    sessions: Mapping[int, int]
    invitations: list[Invitation]


def load_everyone(now: datetime) -> Everyone:
    """Who there is."""
    require_user("admin")
    here = instance()
    with here.accounts.connect() as conn:
        return Everyone(
            people.list_people(conn),
            sessions.count_sessions(conn, now=now, limits=here.session_limits),
            invitations.list_invitations(conn, now=now),
        )


def load_sessions(username: str, now: datetime) -> list[Session]:
    """The sessions of somebody, newest use first."""
    require_user("admin")
    here = instance()
    with here.accounts.connect() as conn:
        person = people.find_account(conn, username).person
        if person.id is None:
            return []
        return sessions.list_sessions(conn, person.id, now=now, limits=here.session_limits)


def set_role(username: str, role: str) -> None:
    """Give somebody another role, from their next rerun on."""
    admin, now = _admin(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        people.set_role(conn, username, role, now=now, by=admin.username)


def disable(username: str) -> None:
    """Refuse somebody from now on, and end their sessions; not oneself."""
    admin, now = _admin(), datetime.now(UTC)
    if username == admin.username:
        raise AccountError("That is your own account: another administrator can switch it off.")
    with instance().accounts.begin() as conn:
        people.disable(conn, username, now=now, by=admin.username)


def enable(username: str) -> None:
    """Let somebody sign in again."""
    admin, now = _admin(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        people.enable(conn, username, now=now, by=admin.username)


def end_session(username: str, session_id: str) -> bool:
    """End one session of somebody; False if it is over already."""
    admin, now = _admin(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        person = people.find_account(conn, username).person
        return sessions.end_one(conn, person, session_id, by=admin.username, now=now)


def end_sessions(username: str) -> int:
    """End every session of somebody; how many that were."""
    admin, now = _admin(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        return people.end_sessions(conn, username, now=now, by=admin.username)


def reset_factor(username: str) -> None:
    """Take away the second factor of somebody who has lost the device, and end their sessions."""
    admin, now = _admin(), datetime.now(UTC)
    if username == admin.username:
        raise AccountError("That is your own account: turn it off on the page Account.")
    with instance().accounts.begin() as conn:
        person = people.find_account(conn, username).person
        second_factor.remove(conn, person, by=admin.username, now=now)


def invite(role: str, note: str, lasts: timedelta) -> str:
    """The link of a new invitation, which can be shown only now."""
    admin, now = _admin(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        token = invitations.invite(
            conn, role=role, by=admin.username, now=now, note=note, lasts=lasts
        )
    return f"{_site()}/join?token={token}"


def withdraw(invitation_id: int) -> bool:
    """Make an invitation worthless; False if it is so already."""
    admin, now = _admin(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        return invitations.withdraw(conn, invitation_id, by=admin.username, now=now)


def _admin() -> Person:
    return require_user("admin", write=True)


def _site() -> str:
    """Where people find this dashboard: as it was set, or as this browser found it."""
    settings = instance().settings
    if settings.url is not None:
        return settings.url.rstrip("/")
    found = urlsplit(st.context.url or "http://localhost:8501")
    return f"{found.scheme}://{found.netloc}"
