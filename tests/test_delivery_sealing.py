"""Secrets at rest: sealed with a key from outside of the database, which is kept to oneself."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from core.alerts.delivery import load_sealer
from core.alerts.delivery.sealing import KEY_FILE
from core.errors import DeliveryError, SettingsError
from core.settings import Settings, describe_settings, load_settings


def settings(folder: Path, *keys: str) -> Settings:
    environ = {"CRYPTOSATX_DATA": str(folder)}
    return load_settings(environ | ({"CRYPTOSATX_SECRET_KEY": ",".join(keys)} if keys else {}))


def new_key() -> str:
    return Fernet.generate_key().decode()


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    sealed = load_sealer(settings(folder)).seal("planted")
    path = folder / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(folder) == [KEY_FILE]
    assert b"planted" not in sealed
    assert load_sealer(settings(folder)).unseal(sealed) == "planted"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    load_sealer(settings(tmp_path))
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_sealer(settings(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff\xfe", b"x" * 44])
def test_a_file_that_holds_no_key_is_said_and_never_overwritten(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / KEY_FILE
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=KEY_FILE):
        load_sealer(settings(tmp_path))
    assert path.read_bytes() == content


def test_a_key_of_the_environment_makes_no_file(tmp_path: Path) -> None:
    key = new_key()
    sealed = load_sealer(settings(tmp_path, key)).seal("planted")
    assert os.listdir(tmp_path) == []
    assert load_sealer(settings(tmp_path, key)).unseal(sealed) == "planted"


def test_keys_rotate_and_what_was_sealed_before_is_sealed_anew(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    sealed = load_sealer(settings(tmp_path, old)).seal("planted")
    both = load_sealer(settings(tmp_path, new, old))
    assert both.unseal(sealed) == "planted"
    again = both.reseal(sealed)
    assert again is not None
    assert both.reseal(again) is None
    assert load_sealer(settings(tmp_path, new)).unseal(again) == "planted"


def test_from_the_file_to_the_environment_nothing_is_lost(tmp_path: Path) -> None:
    sealed = load_sealer(settings(tmp_path)).seal("planted")
    moved = load_sealer(settings(tmp_path, new_key()))
    assert moved.unseal(sealed) == "planted"
    assert moved.reseal(sealed) is not None


def test_without_its_key_a_secret_says_what_to_do(tmp_path: Path) -> None:
    sealed = load_sealer(settings(tmp_path, new_key())).seal("planted")
    other = load_sealer(settings(tmp_path, new_key()))
    with pytest.raises(DeliveryError, match="set CRYPTOSATX_SECRET_KEY to that key") as caught:
        other.unseal(sealed)
    assert caught.value.__cause__ is None
    assert other.reseal(sealed) is None
    for changed in (b"", b"x", sealed[:-1], sealed[:-2] + b"A="):
        with pytest.raises(DeliveryError):
            load_sealer(settings(tmp_path, new_key())).unseal(changed)


@pytest.mark.parametrize("key", ["short", "x" * 44, f"{'A' * 43}=,short", "passwörd" * 5])
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="CRYPTOSATX_SECRET_KEY cannot be used") as caught:
        settings(tmp_path, key)
    assert key not in str(caught.value)


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    key = new_key()
    loaded = settings(tmp_path, key)
    shown = repr(loaded) + repr(describe_settings(loaded)) + repr(vars(load_sealer(loaded)))
    assert key not in shown


def test_two_that_start_at_once_use_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from core.settings import load_settings; "
        "from core.alerts.delivery.sealing import load_sealer; sys.stdin.readline(); "
        "print(load_sealer(load_settings()).seal('planted').decode())"
    )
    environ = {**os.environ, "CRYPTOSATX_DATA": str(tmp_path)}
    environ.pop("CRYPTOSATX_SECRET_KEY", None)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
            cwd=Path(__file__).resolve().parents[1],
        )
        for _ in range(2)
    ]
    said = [one.communicate("go\n", timeout=60)[0].strip() for one in running]
    sealer = load_sealer(settings(tmp_path))
    assert [sealer.unseal(one.encode()) for one in said] == ["planted"] * 2
    assert os.listdir(tmp_path) == [KEY_FILE]
