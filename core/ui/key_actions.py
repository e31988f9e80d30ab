"""What a person does with keys; each checks the role itself, whatever the page showed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from core.accounts import Person, keys, may
from core.accounts.keys import Key
from core.errors import AccessDenied
from core.instance import instance
from core.operations.every import all_operations
from core.ui.session import require_user


def own_keys() -> list[Key]:
    """The keys of the person in front of the page."""
    person = _writer()
    with instance().accounts.connect() as conn:
        return keys.list_keys(conn, person.username)


def all_keys() -> list[Key]:
    """Everybody's keys, for administrators."""
    require_user("admin", write=True)
    with instance().accounts.connect() as conn:
        return keys.list_keys(conn)


def scopes_for(person: Person) -> list[str]:
    """What a key of this person could open with their present role."""
    return sorted({one.scope for one in all_operations() if one.scope and one.admits(person)})


def create(name: str, scopes: Sequence[str], days: int) -> str:
    """Make a key of one's own; its text, which is shown once."""
    person, now = _writer(), datetime.now(UTC)
    ends = now + timedelta(days=days)
    with instance().accounts.begin() as conn:
        _, text = keys.create(
            conn,
            person.username,
            name=name,
            scopes=scopes,
            expires_at=ends,
            by=person.username,
            now=now,
        )
    return text


def rotate(key_id: int, *, overlap_hours: int, days: int) -> str:
    """Make a key in the place of one's own, which still opens for a while; the new one's text."""
    person, now = _writer(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        if keys.load(conn, key_id).owner != person.username:
            raise AccessDenied("Only the owner of a key gets another in its place.")
        _, text = keys.rotate(
            conn,
            key_id,
            old_until=now + timedelta(hours=overlap_hours),
            expires_at=now + timedelta(days=days),
            by=person.username,
            now=now,
        )
    return text


def revoke(key_id: int) -> None:
    """End a key of one's own, or as an administrator anybody's."""
    person = _writer()
    with instance().accounts.begin() as conn:
        if keys.load(conn, key_id).owner != person.username and not may(person, "admin"):
            raise AccessDenied("Only its owner or an administrator revokes a key.")
        keys.revoke(conn, key_id, by=person.username, now=datetime.now(UTC))


def _writer() -> Person:
    return require_user("trader", write=True)
