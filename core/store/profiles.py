"""Versions of the modes: which are stored, and which decides the bars from a moment on.

A version and a setting are added and never changed, and a setting is of bars that are not stored yet:
whatever has been decided keeps the version that decided it. On the live market it is of bars that
have not closed yet either, so that nobody looks at a price and then chooses who had judged it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from core.errors import ProfileError
from core.market.choice import live_market
from core.signals import PROFILE_NAMES, Profile, Schedule, load_profile, parse_profile
from core.store import audit
from core.store.ledger import hold
from core.store.opening import market_of
from core.store.signals import save_profile
from core.store.tables import bars, profiles, profiles_in_force


@dataclass(frozen=True)
class Version:
    """A stored profile, and since when it is stored."""

    profile: Profile
    created_at: datetime


@dataclass(frozen=True)
class Setting:
    """A version that was put in force: from when on, by whom, and when that was decided."""

    id: int
    profile_name: str
    profile_version: str
    from_at: datetime
    set_by: str
    set_at: datetime


def save_version(conn: Connection, profile: Profile, at: datetime, *, by: str) -> bool:
    """Store a version of a mode, which is noted; False where the same one is there already.

    Raises `ProfileError` for a name that is no mode.
    """
    if profile.name not in PROFILE_NAMES:
        known = " or ".join(", ".join(PROFILE_NAMES).rsplit(", ", 1))
        raise ProfileError(f"A version is of a mode: name it {known}, not {profile.name!r}.")
    known_already = is_saved(conn, profile.name, profile.version)
    save_profile(conn, profile, at)
    if not known_already:
        _note(conn, "create", profile.name, profile.version, by, at)
    return not known_already


def is_saved(conn: Connection, name: str, version: str) -> bool:
    """Whether this version is stored under this name."""
    query = select(profiles.c.version).where(profiles.c.name == name, profiles.c.version == version)
    return conn.scalar(query) is not None


def load_versions(conn: Connection) -> list[Version]:
    """Every stored version of a mode, the newest first."""
    query = (
        select(profiles.c.body, profiles.c.created_at)
        .where(profiles.c.name.in_(PROFILE_NAMES))
        .order_by(profiles.c.created_at.desc(), profiles.c.name, profiles.c.version)
    )
    return [Version(parse_profile(row.body), row.created_at) for row in conn.execute(query)]


def put_in_force(
    conn: Connection, *, name: str, version: str, from_at: datetime, by: str, at: datetime
) -> None:
    """Have a stored version decide the bars of its mode that close at ``from_at`` or later.

    Nobody can store a bar until the transaction ends. Raises `ProfileError` where the version is
    not stored, or where ``from_at`` is not after the newest stored bar: the past stays as it was
    decided. On the live market it has to be after ``at`` too, the present, whatever is stored.
    """
    hold(conn)
    if name not in PROFILE_NAMES or not (
        is_saved(conn, name, version) or _is_built_in(name, version)
    ):
        raise ProfileError(f"There is no version {version} of {name}: save it first.")
    _refuse_the_past(conn, from_at, at)
    if _is_built_in(name, version):
        save_profile(conn, load_profile(name), at)
    conn.execute(
        profiles_in_force.insert().values(
            profile_name=name, profile_version=version, from_at=from_at, set_by=by, set_at=at
        )
    )
    _note(conn, "put in force", name, version, by, at, from_at=from_at.isoformat())


def _note(
    conn: Connection, action: str, name: str, version: str, by: str, at: datetime, **after: str
) -> None:
    audit.note(
        conn,
        at=at,
        by=by,
        action=action,
        subject="profile",
        subject_id=name,
        name=f"{name} {version[:8]}",
        after={"version": version, **after},
    )


def _refuse_the_past(conn: Connection, from_at: datetime, now: datetime) -> None:
    newest = conn.scalar(select(func.max(bars.c.time)))
    if newest is not None and from_at <= newest:
        raise ProfileError(
            f"Bars up to {newest:%Y-%m-%d %H:%M} UTC are decided and stay as they are: "
            "choose a later moment."
        )
    if market_of(conn) == live_market().key and from_at <= now:
        following = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        raise ProfileError(
            "On the live market a version decides bars that are still to close: "
            f"choose {following:%Y-%m-%d %H:%M} UTC or later."
        )


def _is_built_in(name: str, version: str) -> bool:
    return load_profile(name).version == version


def load_settings(conn: Connection) -> list[Setting]:
    """Everything that was ever put in force, the setting made last first."""
    query = select(profiles_in_force).order_by(profiles_in_force.c.id.desc())
    return [Setting(**row) for row in conn.execute(query).mappings()]


def load_schedule(conn: Connection, name: str) -> Schedule:
    """Which version of a mode decides which bar; the built-in one where none was put in force."""
    (found,) = load_schedules(conn, [name])
    return found


def load_schedules(conn: Connection, names: Sequence[str] = PROFILE_NAMES) -> list[Schedule]:
    """`load_schedule` of several modes, in their order."""
    query = (
        select(
            profiles_in_force.c.profile_name,
            profiles_in_force.c.from_at,
            profiles.c.body,
        )
        .join(
            profiles,
            (profiles.c.name == profiles_in_force.c.profile_name)
            & (profiles.c.version == profiles_in_force.c.profile_version),
        )
        # Of several for the same moment the one that was set last holds.
        .order_by(profiles_in_force.c.from_at, profiles_in_force.c.id)
    )
    changes: dict[str, dict[datetime, Profile]] = {name: {} for name in names}
    for name, from_at, body in conn.execute(query):
        if name in changes:
            changes[name][from_at] = parse_profile(body)
    return [
        Schedule(load_profile(name), tuple(sorted(changes[name].items(), key=lambda one: one[0])))
        for name in names
    ]
