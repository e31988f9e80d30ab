"""How backups are doing, for an operator."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape

from core.keeping.schedule import is_overdue, is_scheduled
from core.production import OFF
from core.settings import Settings
from core.store.backup_state import BackupState
from core.ui.formats import DASH, Clock, compact, duration, number, percent
from core.ui.system_html import Shape, ago, listed, pairs, section, state
from core.ui.system_verdict import Problem

_DO = "`python -m core backup` makes one now and says more."


def backup_problems(backups: BackupState, settings: Settings, now: datetime) -> list[Problem]:
    """What does not work of backups; nothing where none are wanted."""
    if not is_scheduled(settings):
        return []
    since = backups.made_at or backups.missed_since
    if is_overdue(backups, settings, now) and since is not None:
        age = duration(now - since)
        why = f" {backups.failure}" if backups.fails and backups.failure else ""
        what = (
            f"The newest backup is {age} old."
            if backups.made_at
            else f"No backup was made in {age}."
        )
        return [Problem(2, f"{what}{why}", _DO)]
    if backups.fails:
        return [Problem(3, f"The last backup failed: {backups.failure}", _DO)]
    return []


def backups_part(backups: BackupState, settings: Settings, now: datetime, clock: Clock) -> str:
    """The newest backup, the newest failure, and the one that is being made."""
    if settings.backup_to is None:
        note = '<p class="note">None are made: CRYPTOSATX_BACKUP_TO is not set.</p>'
        return section("Backups", "", note)
    if settings.backup_to == OFF:
        note = '<p class="note">Something else makes them: CRYPTOSATX_BACKUP_TO is off.</p>'
        return section("Backups", "", note)
    every = duration(timedelta(hours=settings.backup_hours))
    figures = pairs(
        [
            ("State", state(*_state(backups, settings, now))),
            ("Newest shows", ago(backups.made_at, now, clock)),
            ("Size", f"{compact(backups.bytes)}B" if backups.made_at else DASH),
            ("Took", duration(timedelta(seconds=backups.seconds)) if backups.made_at else DASH),
            ("Encrypted", ("yes" if backups.encrypted else "no") if backups.made_at else DASH),
            ("Kept", f"{number(backups.kept)}, {compact(backups.kept_bytes)}B"),
            ("Last failure", ago(backups.failed_at, now, clock)),
        ]
    )
    marks = [f"<b>Last failure:</b> {escape(backups.failure)}"] if backups.failure else []
    note = f"Every {every}, to {escape(settings.backup_to)}."
    return section("Backups", note, figures, listed(marks, "marks"))


def _state(backups: BackupState, settings: Settings, now: datetime) -> tuple[Shape, str]:
    if backups.is_running(now):
        done = f", {percent(backups.done / backups.of, 0)}" if backups.of else ""
        return "half", f"being made: {backups.doing or 'beginning'}{done}"
    if is_overdue(backups, settings, now):
        return "bad", "overdue"
    if backups.fails:
        return "half", "tried again"
    return ("good", "in order") if backups.made_at else ("none", "none yet")
