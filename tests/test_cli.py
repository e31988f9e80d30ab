from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import __main__ as cli
from core.market.demo import write_demo
from core.store.database import open_database
from core.store.signals import load_progress
from tests.typing_commands import typed

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "autumn"
    write_demo(path, days=12)
    return path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "CRYPTOSATX_ENV", "CRYPTOSATX_WORKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command as `python -m core` would; its output, and the exit code if it is not 0."""

    return partial(typed, monkeypatch, capsys)


def test_replay_says_what_it_stored_and_where_to_look(
    core: Callable[..., str], recording: Path
) -> None:
    said = core("replay", str(recording), "--symbols", "btcusdt, ethusdt")
    assert "BTCUSDT" in said
    assert "ADAUSDT" not in said
    assert "576 bars, 1,728 new signals" in said
    assert "data/recording-autumn-" in said
    assert f"CRYPTOSATX_MARKET=recording:{recording} make run" in said
    assert " 0 new signals" in core("replay", str(recording), "--symbols", "BTCUSDT,ETHUSDT")


def test_replay_takes_profiles_and_times(core: Callable[..., str], recording: Path) -> None:
    said = core(
        *("replay", str(recording), "--symbols", "BTCUSDT", "--profile", "aggressive"),
        *("--start", "2025-10-30", "--end", "2025-10-31T00:00Z"),
    )
    assert "25 bars, 25 new signals" in said
    assert "2025-10-31 00:00 UTC" in said
    assert "balanced" not in said


def test_replay_names_symbols_without_a_signal_and_why(
    core: Callable[..., str], recording: Path
) -> None:
    said = core("replay", str(recording), "--end", "2025-10-22")
    assert "No signal for ADAUSDT" in said
    assert "coverage" in said


def test_replay_makes_the_demo(
    core: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "core.market.demo.write_demo", lambda path, make=write_demo: make(path, days=2)
    )
    said = core("replay", "demo", "--profile", "balanced")
    assert "CRYPTOSATX_MARKET=demo make run" in said
    engine = open_database(f"sqlite:///{tmp_path}/data/demo.sqlite")
    with engine.connect() as conn:
        assert [row["state"] for row in load_progress(conn)] == ["done"]
    engine.dispose()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "nowhere"], "There is no folder"),
        (["replay", "RECORDING", "--profile", "bold"], "no profile 'bold'"),
        (["replay", "RECORDING", "--symbols", "XYZUSDT"], "XYZUSDT"),
        (["replay", "RECORDING", "--start", "2030-01-01"], "no bars"),
        (["replay", "RECORDING", "--start", "whenever"], "whenever"),
        (["user", "disable", "nobody"], "nobody"),
    ],
)
def test_an_error_is_one_sentence_and_no_traceback(
    core: Callable[..., str], recording: Path, arguments: list[str], sentence: str
) -> None:
    said = core(*(str(recording) if part == "RECORDING" else part for part in arguments))
    assert sentence in said
    assert said.endswith("exit 1")
    assert "Traceback" not in said
    assert len(said.splitlines()) == 2


def test_a_recording_that_is_not_there_leaves_no_database(
    core: Callable[..., str], tmp_path: Path
) -> None:
    core("replay", "nowhere")
    assert not (tmp_path / "data").exists()


def test_people_are_added_changed_and_listed(core: Callable[..., str]) -> None:
    password = "a long enough passphrase"
    assert "can sign in as analyst" in core(
        "user", "add", "Ann", "--role", "analyst", "--password", password
    )
    assert "now trader" in core("user", "role", "ann", "trader")
    assert "new password" in core("user", "password", "ann", "--password", f"{password} too")
    assert "no longer" in core("user", "disable", "ann")
    listed = core("user", "list")
    assert "ann" in listed
    assert "trader" in listed
    assert "disabled" in listed
    assert "can sign in again" in core("user", "enable", "ann")
    assert "disabled" not in core("user", "list")
    assert password not in listed


def test_who_is_signed_out_is_said_to_have_keys_left_or_none(core: Callable[..., str]) -> None:
    password = "a long enough passphrase"
    core("user", "add", "ann", "--password", password)
    assert "No key of ann opens anything." in core("user", "end-sessions", "ann")
    for name in ("one", "two"):
        core("key", "create", "ann", "--name", name, "--scope", "signals.read")
    assert "2 keys stay good until they are revoked" in core("user", "end-sessions", "ann")
    core("key", "revoke", "1")
    changed = core("user", "password", "ann", "--password", f"{password} too")
    assert "1 key stays good until it is revoked" in changed
    assert "No key of ann opens anything." in core("user", "disable", "ann")


def test_a_password_is_asked_for_twice_and_not_shown() -> None:
    phrase = "a long enough passphrase"
    answers = f"{phrase}\n{phrase}\n"
    result = CliRunner().invoke(cli.app, ["user", "add", "bea"], input=answers)
    assert result.exit_code == 0, result.output
    assert phrase not in result.output


def test_settings_are_shown_without_secrets(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@host/name")
    monkeypatch.setenv("CRYPTOSATX_MARKT", "demo")
    said = core("settings")
    assert "postgresql://me:***@host/name" in said
    assert "hunter2" not in said
    assert "CRYPTOSATX_MARKT is set but is no setting" in said


def test_the_doctor_finds_a_healthy_machine(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    monkeypatch.setenv("PORT", str(free))
    said = core("doctor")
    assert "not ok" not in said
    assert "exit" not in said
    assert said.count(" ok ") == 8


def test_the_doctor_names_what_is_wrong(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/none")
        monkeypatch.setenv("CRYPTOSATX_MARKET", "recording:nowhere")
        said = core("doctor")
    assert said.endswith("exit 1")
    assert "is taken" in said
    assert "There is no folder" in said


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core", "replay", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "There is no folder" in done.stderr
    assert "Traceback" not in done.stderr
