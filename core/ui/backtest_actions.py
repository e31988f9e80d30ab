"""What a person does on the Backtest page; each checks the role itself, whatever the page showed."""

from __future__ import annotations

from datetime import UTC, datetime

from core.accounts import Role
from core.instance import instance
from core.signals import Profile
from core.store import backtests, profiles
from core.store.histories import ask_for_run, check_profile
from core.ui import loaders
from core.ui.session import require_user


def ask(asked: backtests.Asked) -> str:
    """Have a profile run over a history; the id of the run."""
    who = _writer("analyst")
    contents = loaders.load_contents(asked.history)
    with instance().engine.begin() as conn:
        return ask_for_run(conn, asked, contents, by=who, at=_now())


def cancel(run_id: str) -> None:
    """Have a run end without a result."""
    who = _writer("analyst")
    with instance().engine.begin() as conn:
        backtests.cancel(conn, run_id, who, _now())


def save(profile: Profile) -> bool:
    """Store a profile as a version of its mode; False where it is one already."""
    who = _writer("analyst")
    check_profile(profile)
    with instance().engine.begin() as conn:
        return profiles.save_version(conn, profile, _now(), by=who)


def look(run_id: str) -> None:
    """Look at what a run holds back, which is noted."""
    who = _writer("analyst")
    with instance().engine.begin() as conn:
        backtests.look(conn, run_id, who, _now())


def put_in_force(name: str, version: str, from_at: datetime) -> None:
    """Have a version of a mode decide bars from a moment on."""
    who = _writer("admin")
    with instance().engine.begin() as conn:
        profiles.put_in_force(conn, name=name, version=version, from_at=from_at, by=who, at=_now())


def _writer(role: Role) -> str:
    return require_user(role, write=True).username


def _now() -> datetime:
    return datetime.now(UTC)
