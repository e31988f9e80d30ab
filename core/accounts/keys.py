"""Keys by which programs ask the API for a person: random, scoped, expiring, and never kept.

A key is worth what its owner is worth at that moment: their role counts, and a disabled person's keys
open nothing. Disabling somebody revokes them too (`core.accounts.people.disable`), so that no later change
opens anything with them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, select, update

from core.accounts import ending
from core.accounts.people import Person
from core.accounts.tokens import digest, new_token
from core.errors import AccountError
from core.store import audit
from core.store.database import hold
from core.store.tables import api_keys, second_factors, users

PREFIX = "csx_"
LONGEST = timedelta(days=366)
USUAL = timedelta(days=90)
MOST_KEYS = 20
# A key is marked as used at most this often, so that asking does not write each time.
USED_EVERY = timedelta(minutes=1)
_LOCK = 7_267_283_037
_HINT = len(PREFIX) + 6
_FORM = re.compile(r"csx_[A-Za-z0-9_-]{43}")
_SCOPE = re.compile(r"[a-z][a-z_]*\.(read|write)")
State = Literal["active", "expired", "revoked", "owner disabled"]


@dataclass(frozen=True)
class Key:
    """A key as its owner sees it again: never itself, but its first letters."""

    id: int
    owner: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    rotated_to: int | None
    owner_disabled: bool

    def state(self, now: datetime) -> State:
        """Whether it opens anything, and why not."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at <= now:
            return "expired"
        return "owner disabled" if self.owner_disabled else "active"


@dataclass(frozen=True)
class Bearer:
    """Who a key speaks for, and what it allows of that person's rights; ``password`` and ``factor`` are
    as of a session."""

    key_id: int
    person: Person
    scopes: frozenset[str]
    last_used_at: datetime | None
    password: bool = True
    factor: bool = False


def create(
    conn: Connection,
    owner: str,
    *,
    name: str,
    scopes: Collection[str],
    expires_at: datetime,
    by: str,
    now: datetime,
) -> tuple[Key, str]:
    """A new key of a person and its text, which is nowhere kept. Raises `AccountError`."""
    hold(conn, _LOCK)  # Of two who make the last key there is room for, the second one is refused.
    user_id = _person(conn, owner)
    if ending.count_keys(conn, user_id, now=now) >= MOST_KEYS:
        raise AccountError(f"{owner} has {MOST_KEYS} keys: revoke one that is not used.")
    made, text = _insert(
        conn, user_id, _clean_name(name), check_scopes(scopes), _check_end(expires_at, now), by, now
    )
    key = load(conn, made)
    _note(conn, key, "create", by, now)
    return key, text


def rotate(
    conn: Connection,
    key_id: int,
    *,
    old_until: datetime,
    expires_at: datetime,
    by: str,
    now: datetime,
) -> tuple[Key, str]:
    """A key in the place of another, valid at once; the old one still opens until ``old_until``.

    Both count for as long as both open. Raises `AccountError` where the old one opens nothing any more,
    or the two are more than a person may have.
    """
    hold(conn, _LOCK)
    old = load(conn, key_id)
    if old.state(now) in ("revoked", "expired") or old.rotated_to is not None:
        raise AccountError("Only a key that is valid and was not rotated yet can be rotated.")
    user_id = _person(conn, old.owner)
    ends = max(now, min(old.expires_at, old_until))
    if ending.count_keys(conn, user_id, now=now) + (ends > now) > MOST_KEYS:
        raise AccountError(
            f"{old.owner} has {MOST_KEYS} keys, and both would open for a while: revoke one that is not "
            f"used, or end this one at once by `python -m core key rotate {key_id} --overlap 0`."
        )
    made, text = _insert(conn, user_id, old.name, old.scopes, _check_end(expires_at, now), by, now)
    changed = update(api_keys).where(api_keys.c.id == key_id)
    conn.execute(changed.values(expires_at=ends, rotated_to=made))
    key = load(conn, made)
    _note(conn, key, "rotate", by, now, before=old)
    return key, text


def revoke(conn: Connection, key_id: int, *, by: str, now: datetime) -> Key:
    """End a key at once. Raises `AccountError` where there is none, or it is revoked already."""
    old = load(conn, key_id)
    if old.revoked_at is not None:
        raise AccountError("This key is revoked already.")
    conn.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=now))
    _note(conn, old, "end", by, now)
    return load(conn, key_id)


def list_keys(conn: Connection, owner: str | None = None) -> list[Key]:
    """The keys of a person, or of everybody, the newest first."""
    query = _keys().order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
    if owner is not None:
        query = query.where(users.c.username == owner.strip().lower())
    return [_key(row) for row in conn.execute(query)]


def load(conn: Connection, key_id: int) -> Key:
    """One key. Raises `AccountError` where there is none of that number."""
    row = conn.execute(_keys().where(api_keys.c.id == key_id)).first()
    if row is None:
        raise AccountError(f"There is no key of number {key_id}.")
    return _key(row)


def read(conn: Connection, text: str, *, now: datetime) -> Bearer | None:
    """Who the key speaks for; None: unknown, revoked, expired, or of a disabled person."""
    if not _FORM.fullmatch(text):
        return None
    query = (
        select(
            api_keys,
            users.c.username,
            users.c.name.label("person"),
            users.c.role,
            users.c.password_hash,
            second_factors.c.confirmed_at.label("factor_at"),
        )
        .join(users, users.c.id == api_keys.c.user_id)
        .outerjoin(second_factors, second_factors.c.user_id == users.c.id)
        .where(
            api_keys.c.key_hash == digest(text),
            api_keys.c.revoked_at.is_(None),
            api_keys.c.expires_at > now,
            users.c.disabled.is_(False),
        )
    )
    row = conn.execute(query).first()
    if row is None:
        return None
    person = Person(row.user_id, row.username, row.person, row.role)
    return Bearer(
        row.id,
        person,
        frozenset(row.scopes),
        row.last_used_at,
        password=row.password_hash is not None,
        factor=row.factor_at is not None,
    )


def mark_used(conn: Connection, key_id: int, *, now: datetime) -> None:
    """Note that a key was used."""
    conn.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=now))


def is_used_long_ago(bearer: Bearer, now: datetime) -> bool:
    """Whether its use is to be noted again."""
    return bearer.last_used_at is None or now - bearer.last_used_at >= USED_EVERY


def check_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Scopes sorted, each once.

    >>> check_scopes(["signals.read", "alerts.write", "signals.read"])
    ('alerts.write', 'signals.read')
    """
    found = tuple(sorted(set(scopes)))
    wrong = [one for one in found if not _SCOPE.fullmatch(one)]
    if wrong or not found:
        said = f"{wrong[0][:40]!r} is none" if wrong else "none is given"
        raise AccountError(f"A key needs scopes such as signals.read: {said}.")
    return found


def _insert(
    conn: Connection,
    user_id: int,
    name: str,
    scopes: Collection[str],
    expires_at: datetime,
    by: str,
    now: datetime,
) -> tuple[int, str]:
    text = PREFIX + new_token()
    row = {
        "user_id": user_id,
        "name": name,
        "hint": text[:_HINT],
        "key_hash": digest(text),
        "scopes": list(scopes),
        "created_at": now,
        "created_by": by,
        "expires_at": expires_at,
    }
    made: int = conn.execute(api_keys.insert().values(row).returning(api_keys.c.id)).scalar_one()
    return made, text


def _person(conn: Connection, username: str) -> int:
    asked = select(users.c.id).where(users.c.username == username.strip().lower())
    found = conn.scalar(asked)
    if found is None:
        raise AccountError(f"There is no user {username}: see `python -m core user list`.")
    return int(found)


def _clean_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise AccountError("A key needs a name of 1 to 64 letters: write what will use it.")
    return name


def _check_end(expires_at: datetime, now: datetime) -> datetime:
    if not now < expires_at <= now + LONGEST:
        raise AccountError(f"A key lasts for some time and at most {LONGEST.days} days.")
    return expires_at


def _keys() -> Select[Any]:
    return select(api_keys, users.c.username, users.c.disabled).join(
        users, users.c.id == api_keys.c.user_id
    )


def _key(row: Row[Any]) -> Key:
    return Key(
        row.id,
        row.username,
        row.name,
        row.hint,
        tuple(row.scopes),
        row.created_at,
        row.created_by,
        row.expires_at,
        row.last_used_at,
        row.revoked_at,
        row.rotated_to,
        row.disabled,
    )


def _note(
    conn: Connection, key: Key, action: str, by: str, now: datetime, before: Key | None = None
) -> None:
    after = {"owner": key.owner, "hint": key.hint, "scopes": list(key.scopes)}
    audit.note(
        conn,
        at=now,
        by=by,
        action=action,
        subject="key",
        subject_id=key.id,
        name=key.name,
        before=None if before is None else {"hint": before.hint, "number": before.id},
        after=after | {"expires_at": key.expires_at.isoformat()},
    )
