"""What an operator sees of backups: on the System page and in the health."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from core.settings import load_settings
from core.store.backup_state import BackupState
from core.ui.formats import UTC_CLOCK
from core.ui.health import _backups
from core.ui.system_backups import backup_problems, backups_part

NOW = datetime(2025, 11, 1, 12, tzinfo=UTC)
SCHEDULED = load_settings({"CRYPTOSATX_BACKUP_TO": "/kept", "CRYPTOSATX_BACKUP_HOURS": "6"})
MADE = BackupState(
    name="a",
    place="/kept",
    made_at=NOW - timedelta(hours=2),
    bytes=12_300_000,
    seconds=4.2,
    encrypted=True,
    kept=5,
    kept_bytes=60_000_000,
)
FAILED = BackupState(failed_at=NOW - timedelta(minutes=5), failure="No <room> is left.")


def told(state: BackupState) -> str:
    return backups_part(state, SCHEDULED, NOW, UTC_CLOCK).replace("\u00a0", " ")


def test_the_newest_backup_is_shown_with_age_and_size() -> None:
    page = told(MADE)
    assert "in order" in page
    assert "2 h ago" in page
    assert "12.3 MB" in page
    assert "Every 6 h, to /kept." in page
    assert backup_problems(MADE, SCHEDULED, NOW) == []


def test_a_failure_is_a_problem_and_says_why() -> None:
    (problem,) = backup_problems(FAILED, SCHEDULED, NOW)
    assert "No <room> is left." in problem.what
    assert "No &lt;room&gt; is left." in told(FAILED)


def test_one_that_is_missed_is_a_worse_problem() -> None:
    late = NOW + timedelta(hours=11)
    (problem,) = backup_problems(MADE, SCHEDULED, late)
    assert problem.what.replace("\u00a0", " ").startswith("The newest backup is 13 h old.")
    never = BackupState(missed_since=NOW - timedelta(hours=13))
    (none,) = backup_problems(never, SCHEDULED, NOW)
    assert none.what.replace("\u00a0", " ") == "No backup was made in 13 h."
    assert problem.rank < backup_problems(FAILED, SCHEDULED, NOW)[0].rank


def test_one_that_is_being_made_shows_how_far_it_is() -> None:
    running = BackupState(heard_at=NOW, doing="live.sqlite", done=30, of=120)
    assert "being made: live.sqlite, 25 %" in told(running)
    assert "being made" not in told(
        BackupState(heard_at=NOW - timedelta(hours=1), doing="live.sqlite")
    )


@pytest.mark.parametrize(
    ("to", "said"), [("off", "Something else makes them"), ("", "None are made")]
)
def test_where_none_are_wanted_that_is_no_problem(to: str, said: str) -> None:
    settings = load_settings({"CRYPTOSATX_BACKUP_TO": to})
    assert said in backups_part(FAILED, settings, NOW, UTC_CLOCK)
    assert backup_problems(FAILED, settings, NOW) == []
    assert _backups(FAILED, settings, NOW) == {"state": "off"}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda: MADE, "ok"),
        (BackupState, "none yet"),
        (lambda: BackupState(missed_since=NOW - timedelta(hours=11)), "none yet"),
        (lambda: BackupState(missed_since=NOW - timedelta(hours=13)), "overdue"),
        (lambda: BackupState(missed_since=NOW, failed_at=NOW, failure="x"), "failing"),
        (lambda: BackupState(made_at=NOW - timedelta(hours=13)), "overdue"),
        (lambda: BackupState(made_at=MADE.made_at, failed_at=NOW, failure="x"), "failing"),
    ],
)
def test_the_health_tells_how_backups_are(change: Callable[[], BackupState], state: str) -> None:
    assert _backups(change(), SCHEDULED, NOW)["state"] == state
