"""Where backups lie, which of them stay, and who makes them when."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrage import x25519
from sqlalchemy import Engine

from core.accounts.home import open_accounts
from core.errors import BackupError, Cancelled
from core.keeping import places
from core.keeping import schedule as scheduling
from core.keeping.backup import (
    LABEL,
    drop_old_backups,
    find_backup,
    list_backups,
    make_backup,
    mode_at,
)
from core.keeping.encryption import Keys, Seal, seal_of
from core.keeping.manifest import archive_name
from core.keeping.places import Folder, Place, open_place
from core.keeping.restoring import restore
from core.keeping.retention import to_keep
from core.keeping.schedule import RETRY, Schedule, is_due, is_overdue
from core.settings import Settings, load_settings
from core.store.backup_state import BackupState, load_backup_state, note_backup
from core.store.database import open_database
from core.store.leases import take_lease
from core.worker import Worker
from tests.bucket import Bucket, running_bucket

PAIR = x25519.Identity.generate()
NOW = datetime(2025, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def environ(tmp_path: Path, sqlite_template: Path) -> dict[str, str]:
    """An installation with an empty market, whose backups go to a folder."""
    (tmp_path / "data").mkdir()
    for name in ("live", "accounts"):
        shutil.copyfile(sqlite_template, tmp_path / "data" / f"{name}.sqlite")
    return {
        "CRYPTOSATX_DATA": str(tmp_path / "data"),
        "CRYPTOSATX_BACKUP_TO": str(tmp_path / "backups"),
        "CRYPTOSATX_BACKUP_RECIPIENTS": str(PAIR.to_public()),
    }


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with running_bucket() as found:
        yield found


def in_bucket(environ: dict[str, str], bucket: Bucket) -> Settings:
    return load_settings(
        {
            **environ,
            "CRYPTOSATX_BACKUP_TO": "s3://b/desk/nightly",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": bucket.url,
        }
    )


def test_a_backup_goes_to_a_bucket_in_parts_and_comes_back(
    environ: dict[str, str], bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_PART_BYTES", 16 * 1024)
    settings = in_bucket(environ, bucket)
    place = open_place(settings)
    label = make_backup(settings, place, seal_of(settings))
    assert bucket.completed == 1
    assert sorted(bucket.objects) == [
        f"desk/nightly/{label.name}",
        f"desk/nightly/{label.name}{LABEL}",
    ]
    assert list_backups(place).labels == (label,)
    assert mode_at(place, label.name) == "recipients"
    other = settings.model_copy(update={"data_dir": tmp_path / "other"})
    restore(other, place, label, Keys(identities=(str(PAIR),)))
    assert (tmp_path / "other" / "live.sqlite").is_file()
    place.delete(label.name)
    assert list_backups(place).labels == ()


def test_a_bucket_that_fails_half_way_keeps_nothing(
    environ: dict[str, str], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_PART_BYTES", 16 * 1024)
    bucket.full = True
    settings = in_bucket(environ, bucket)
    with pytest.raises(BackupError, match=r"s3://b/desk/nightly/cryptosatx-.* cannot be written"):
        make_backup(settings, open_place(settings), seal_of(settings))
    assert (bucket.objects, bucket.completed) == ({}, 0)


def test_a_bucket_that_refuses_is_told_of_without_its_secret(
    environ: dict[str, str], bucket: Bucket
) -> None:
    bucket.refuses = True
    with pytest.raises(BackupError, match="cannot be listed") as caught:
        list_backups(open_place(in_bucket(environ, bucket)))
    assert "secret" not in str(caught.value)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, environ: dict[str, str]) -> Place:
    if request.param == "folder":
        return open_place(load_settings(environ))
    return open_place(in_bucket(environ, request.getfixturevalue("bucket")))


def test_nothing_is_written_over_and_what_fails_does_not_appear(place: Place) -> None:
    with place.writing("a") as out:
        out.write(b"first")
    with pytest.raises(BackupError, match="is there already"), place.writing("a") as out:
        out.write(b"second")
    with suppress(RuntimeError), place.writing("b") as out:
        out.write(b"half")
        raise RuntimeError
    assert place.names() == {"a": 5}
    with place.reading("a") as file:
        assert file.read() == b"first"
    assert (place.beginning("a", 3), place.beginning("a", 50)) == (b"fir", b"first")
    with pytest.raises(BackupError, match="cannot be read"), place.reading("b") as file:
        file.read()


def test_a_folder_of_backups_is_its_owner_s_alone(tmp_path: Path) -> None:
    place = Folder(tmp_path / "kept")
    with place.writing("a") as out:
        out.write(b"x")
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    assert (tmp_path / "kept" / "a").stat().st_mode & 0o077 == 0


TIMES = st.lists(st.integers(0, 24 * 400).map(lambda h: NOW - timedelta(hours=h)), max_size=60)
RULES = st.fixed_dictionaries(
    {"last": st.integers(1, 5)},
    optional={name: st.integers(0, 6) for name in ("daily", "weekly", "monthly")},
)


@given(TIMES, RULES)
def test_the_newest_stay_and_dropping_twice_drops_nothing_more(
    times: list[datetime], rules: dict[str, int]
) -> None:
    kept = to_keep(times, rules)
    newest = sorted(set(times), reverse=True)
    assert set(newest[: rules["last"]]) <= kept <= set(times)
    assert to_keep(kept, rules) == kept
    assert len(kept) <= sum(rules.values())
    days = {at.date() for at in kept}
    assert len(days) >= min(rules.get("daily", 0), len({at.date() for at in times}))


def test_what_no_rule_keeps_is_dropped_and_what_was_never_finished(
    environ: dict[str, str],
) -> None:
    settings = load_settings({**environ, "CRYPTOSATX_BACKUP_KEEP": "last=1,daily=2"})
    place = open_place(settings)
    assert isinstance(place, Folder)
    hours = (0, 1, 24, 25, 48)
    made = [
        make_backup(settings, place, Seal("unencrypted"), lambda h=h: NOW - timedelta(hours=h)).name
        for h in hours
    ]
    old = archive_name(NOW - timedelta(days=3), "0a0a0a", encrypted=True)
    new = archive_name(NOW, "0b0b0b", encrypted=True)
    for name in (old, f".{old}.part", new, "notes.txt"):
        (place.path / name).write_bytes(b"x")
    dropped = drop_old_backups(place, settings, NOW)
    assert sorted(dropped) == sorted([made[1], made[3], made[4], old, f".{old}.part"])
    assert set(place.names()) == {
        *(name + end for name in (made[0], made[2]) for end in ("", LABEL)),
        *(new, "notes.txt"),
    }


def test_a_damaged_label_is_named_and_left_out_and_the_others_go_on(
    environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings({**environ, "CRYPTOSATX_BACKUP_KEEP": "last=1"})
    place = open_place(settings)
    assert isinstance(place, Folder)
    hours = (0, 1, 2, 3)
    labels = [
        make_backup(settings, place, Seal("unencrypted"), lambda h=h: NOW - timedelta(hours=h))
        for h in hours
    ]
    names = [label.name for label in labels]
    (place.path / (names[0] + LABEL)).write_bytes(b"{not json")
    naive = labels[3].model_dump(mode="json")
    naive["manifest"]["began_at"] = "2025-11-01T09:00:00"
    (place.path / (names[3] + LABEL)).write_text(json.dumps(naive))
    kept = list_backups(place)
    assert [label.name for label in kept.labels] == names[1:3]
    assert set(kept.damaged) == {names[0], names[3]}
    assert f"{names[0]}{LABEL} is damaged" in kept.damaged[names[0]]
    assert find_backup(place, names[1]) == labels[1]
    with pytest.raises(BackupError, match=r"The newest backup cannot be taken: .* is damaged"):
        find_backup(place, None)
    # Nothing that is damaged is dropped, and it takes no other's place.
    assert drop_old_backups(place, settings, NOW) == [names[2]]
    assert names[0] in caplog.text
    assert {names[0], names[1], names[3]} <= set(place.names())


def test_a_backup_of_the_future_makes_no_other_one_old(environ: dict[str, str]) -> None:
    settings = load_settings({**environ, "CRYPTOSATX_BACKUP_KEEP": "last=1"})
    place = open_place(settings)
    future = make_backup(settings, place, Seal("unencrypted"), lambda: NOW + timedelta(days=400))
    real = make_backup(settings, place, Seal("unencrypted"), lambda: NOW)
    assert drop_old_backups(place, settings, NOW) == []
    assert {future.name, real.name} <= set(place.names())
    # Nor does a label that tells another time than the name.
    told = real.model_dump(mode="json")
    told["manifest"]["began_at"] = "2031-01-01T00:00:00Z"
    place.delete(real.name + LABEL)
    with place.writing(real.name + LABEL) as out:
        out.write(json.dumps(told).encode())
    assert "another time" in list_backups(place).damaged[real.name]


def test_a_backup_is_due_after_its_hours_and_tried_again_after_a_failure() -> None:
    made = BackupState(made_at=NOW)
    assert not is_due(made, 24, NOW + timedelta(hours=23, minutes=59))
    assert is_due(made, 24, NOW + timedelta(hours=24))
    failed = BackupState(failed_at=NOW, failure="No room.")
    assert not is_due(failed, 24, NOW + RETRY / 2)
    assert is_due(failed, 24, NOW + RETRY)
    settings = load_settings({})
    assert not is_overdue(made, settings, NOW + timedelta(hours=48))
    assert is_overdue(made, settings, NOW + timedelta(hours=49))


def schedule(environ: dict[str, str], name: str = "w", at: datetime = NOW) -> Schedule:
    return Schedule(load_settings(environ), name, threading.Event(), clock=lambda: at)


def state_of(environ: dict[str, str]) -> BackupState:
    accounts = open_accounts(load_settings(environ))
    with accounts.connect() as conn:
        found = load_backup_state(conn)
    accounts.dispose()
    return found


def test_the_worker_makes_one_when_it_is_due_and_writes_down_what_came_of_it(
    environ: dict[str, str],
) -> None:
    label = schedule(environ).look()
    assert label is not None
    state = state_of(environ)
    assert (state.name, state.made_at, state.bytes) == (label.name, NOW, label.bytes)
    assert (state.kept, state.kept_bytes, state.encrypted) == (1, label.bytes, True)
    assert not state.is_running(NOW)
    assert schedule(environ, at=NOW + timedelta(hours=23)).look() is None
    assert schedule(environ, at=NOW + timedelta(hours=25)).look() is not None


def test_whoever_works_on_a_market_makes_backups_too(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "LOOK_SECONDS", 0.05)
    engine = open_database(f"sqlite:///{environ['CRYPTOSATX_DATA']}/live.sqlite")
    half_past = NOW + timedelta(minutes=30)
    worker = Worker(engine, None, clock=lambda: half_past, settings=load_settings(environ))
    thread = threading.Thread(target=worker.run)
    thread.start()
    give_up = monotonic() + 60
    while state_of(environ).made_at is None and monotonic() < give_up and thread.is_alive():
        sleep(0.1)
    worker.stop()
    thread.join()
    engine.dispose()
    kept = list_backups(open_place(load_settings(environ)))
    assert [label.name for label in kept.labels] == [state_of(environ).name]
    files = [file.name for file in kept.labels[0].manifest.files]
    assert files[:2] == ["databases/live.jobs.sqlite", "databases/live.sqlite"]


def test_old_backups_that_cannot_be_dropped_are_told_of(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ["CRYPTOSATX_BACKUP_KEEP"] = "last=1"
    settings = load_settings(environ)
    place = open_place(settings)
    make_backup(settings, place, Seal("unencrypted"), lambda: NOW - timedelta(days=9))

    def refuse(_place: Folder, name: str) -> None:
        raise BackupError(f"{name} cannot be deleted: it is kept for the law.")

    monkeypatch.setattr(Folder, "delete", refuse)
    with pytest.raises(BackupError, match="cannot be deleted"):
        schedule(environ).look()
    state = state_of(environ)
    assert state.made_at == NOW
    assert "cannot be deleted" in (state.failure or "")


def test_of_several_workers_one_makes_it(environ: dict[str, str]) -> None:
    accounts = open_accounts(load_settings(environ))
    with accounts.begin() as conn:
        assert take_lease(conn, "backup", "another", NOW, timedelta(minutes=10))
    accounts.dispose()
    assert schedule(environ).look() is None
    assert schedule(environ, at=NOW + timedelta(minutes=11)).look() is not None


def test_a_failure_is_written_down_and_the_backup_before_stays(environ: dict[str, str]) -> None:
    first = schedule(environ).look()
    assert first is not None
    environ["CRYPTOSATX_BACKUP_RECIPIENTS"] = "age1" + "q" * 58
    later = NOW + timedelta(hours=25)
    with pytest.raises(BackupError, match="is no public key of age"):
        schedule(environ, at=later).look()
    (broken := Path(environ["CRYPTOSATX_DATA"]) / "broken.sqlite").write_bytes(b"x" * 5_000)
    environ["CRYPTOSATX_BACKUP_RECIPIENTS"] = str(PAIR.to_public())
    with pytest.raises(BackupError, match="cannot be copied"):
        schedule(environ, at=later + RETRY).look()
    state = state_of(environ)
    assert (state.name, state.failed_at, state.fails) == (first.name, later + RETRY, True)
    assert "broken.sqlite cannot be copied" in (state.failure or "")
    broken.unlink()
    assert schedule(environ, at=later + 2 * RETRY).look() is not None
    assert not state_of(environ).fails


def test_a_worker_that_stops_ends_its_backup_and_leaves_nothing(
    environ: dict[str, str], tmp_path: Path
) -> None:
    stopping = threading.Event()
    stopping.set()
    made = Schedule(load_settings(environ), "w", stopping, clock=lambda: NOW)
    with pytest.raises(Cancelled):
        made.look()
    assert os.listdir(tmp_path / "backups") == []
    assert state_of(environ) == BackupState()


def test_what_is_written_down_comes_back_on_both_databases(engine: Engine) -> None:
    told = BackupState(name="a", made_at=NOW, bytes=3, failure="No.", failed_at=NOW, kept=2)
    with engine.begin() as conn:
        assert load_backup_state(conn) == BackupState()
        note_backup(conn, name="a", made_at=NOW, bytes=3, kept=2)
        note_backup(conn, failure="No.", failed_at=NOW)
        assert load_backup_state(conn) == told
