"""Backing up, listing, checking and bringing back as it is typed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pyrage import x25519

from tests.typing_commands import typed

PAIR = x25519.Identity.generate()


@pytest.fixture
def core(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    sqlite_template: Path,
) -> Callable[..., str]:
    """Runs a command on an empty market as `python -m core` would; what it says, and its exit code."""
    (tmp_path / "data").mkdir()
    for name in ("demo", "accounts"):
        shutil.copyfile(sqlite_template, tmp_path / "data" / f"{name}.sqlite")
    (tmp_path / "key.txt").write_text(f"# created: 2025\n# public key: x\n{PAIR}\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path / "data"))

    return partial(typed, monkeypatch, capsys)


def test_an_installation_is_backed_up_and_brought_back_as_it_is_typed(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept")
    assert "give --unencrypted" in core("backup", "--to", kept)
    monkeypatch.setenv("CRYPTOSATX_BACKUP_RECIPIENTS", str(PAIR.to_public()))
    assert "CRYPTOSATX_BACKUP_TO" in core("backup")
    said = core("backup", "--to", kept)
    name = said.split(" at ")[0]
    assert f"{name} at {kept}:" in said
    assert "databases/demo.sqlite: head 0:000000" in said
    assert name in core("backup", "list", "--at", kept)
    assert "it was not opened" in core("backup", "check", "--at", kept)
    key = ("--at", kept, "--identity", str(tmp_path / "key.txt"))
    assert "every file in it is what was written" in core("backup", "check", name, *key)
    assert "exit 1" in core("backup", "check", "cryptosatx-none", *key)
    assert "Nothing was put in place." in core("restore", "--check", *key)
    assert "--replace" in core("restore", *key)
    said = core("restore", name, "--replace", "--sign-out", *key)
    assert "all 0 entries of the ledger are what was written" in said
    assert f"{name} is restored" in said
    assert "before-restore-" in said
    assert "has to be taken again" in said


def test_a_newest_backup_that_is_not_encrypted_is_named_and_refused(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRYPTOSATX_BACKUP_PASSPHRASE", "correct horse battery")
    monkeypatch.setenv("COLUMNS", "200")
    at = ("--at", str(tmp_path / "kept"))
    name = core("backup", "--to", str(tmp_path / "kept"), "--unencrypted").split(" at ")[0]
    assert "unencrypted" in core("backup", "list", *at)
    assert "restore refuses it" in core("backup", "check", *at)
    said = core("restore", "--replace", *at)
    assert f"The newest is {name}." in said
    assert "give --unencrypted" in said
    assert "exit 1" in said
    assert "is restored" in core("restore", "--replace", "--unencrypted", *at)


def test_the_settings_say_where_each_comes_from_and_what_production_misses(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "coinapi_api_key").write_text("planted\n")
    monkeypatch.setenv("CRYPTOSATX_SECRETS_DIR", str(tmp_path / "secrets"))
    said = core("settings")
    assert "planted" not in said
    assert "coinapi_api_key" in said
    assert "Others may read" in said
    assert "A start in production would be refused:" in said
    assert "- Set CRYPTOSATX_BACKUP_TO" in said
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    said = core("worker")
    assert "CRYPTOSATX_ENV=production does not start without these" in said
    assert "exit 1" in said
    assert core("settings", "--markdown").startswith("| setting | default |")
