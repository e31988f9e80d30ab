"""The process beside the server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import supervision
from core.supervision import beside, keep_running


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file whose Python the supervised process runs; it may write `runs` beside itself."""
    path = tmp_path / "script.py"
    monkeypatch.setattr(supervision, "command", lambda _: [sys.executable, str(path)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervision, "ROOT", tmp_path)
    return path


def runs(script: Path) -> list[int]:
    file = script.with_name("runs")
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


NOTE_RUN = "import os, sys, time; print(os.getpid(), file=open('runs', 'a'))\n"


def test_a_command_that_ends_well_runs_once(script):
    script.write_text(NOTE_RUN)
    assert asyncio.run(keep_running([]))
    assert len(runs(script)) == 1


def test_a_command_that_fails_is_started_again_and_then_given_up(script, caplog):
    script.write_text(NOTE_RUN + "sys.exit(3)")
    assert not asyncio.run(keep_running(["replay", "demo"], pauses=(0, 0)))
    assert len(runs(script)) == 3
    assert "`python -m core replay demo` ended with code 3 and is given up" in caplog.text


def test_what_runs_beside_the_server_stops_with_it(script):
    script.write_text(NOTE_RUN + "time.sleep(60)")

    async def serve() -> int:
        async with beside([]):
            while not runs(script):
                await asyncio.sleep(0.02)
        return runs(script)[0]

    assert not is_alive(asyncio.run(serve()))


def test_what_runs_beside_the_server_ends_when_the_server_is_killed(tmp_path):
    child = (
        "from core.supervision import end_with_parent; import os, time; "
        "end_with_parent(0.05); print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert is_alive(pid)
        server.kill()
    give_up = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_the_command_line_runs_under_supervision():
    done = subprocess.run(supervision.command(["settings"]), capture_output=True, text=True)
    assert done.returncode == 0
    assert "CRYPTOSATX_MARKET" in done.stdout


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
