"""The process beside the server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core import supervision
from core.supervision import Beside, Work, keep_running


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


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


NOTE_RUN = "import os, sys, time; print(os.getpid(), file=open('runs', 'a'))\n"


def test_a_command_that_ends_well_runs_once(script):
    script.write_text(NOTE_RUN)
    assert asyncio.run(keep_running(Work([])))
    assert len(runs(script)) == 1


def test_a_command_that_fails_is_started_again_and_then_given_up(script, caplog):
    script.write_text(NOTE_RUN + "sys.exit(3)")
    assert not asyncio.run(keep_running(Work(["replay", "demo"]), pauses=(0, 0)))
    assert len(runs(script)) == 3
    assert "`python -m core replay demo` ended with code 3 and is given up" in caplog.text


def test_a_worker_is_started_again_however_often_and_however_it_ends(script, monkeypatch):
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervision, "LONGEST_PAUSE", 0.02)
    script.write_text(
        NOTE_RUN + "os.kill(os.getpid(), 9) if len(open('runs').readlines()) % 2 else 0"
    )

    async def serve() -> None:
        working = asyncio.create_task(keep_running(Work(["worker"], endless=True), pauses=()))
        await until(lambda: len(runs(script)) > len(supervision.PAUSES) + 3)
        assert not working.done()
        working.cancel()
        await asyncio.wait({working})

    asyncio.run(serve())
    assert not any(map(is_alive, runs(script)))


def test_a_worker_is_awaited_at_most_20_seconds_and_forgiven_after_a_steady_minute():
    pauses = [0.0]
    for _ in range(9):
        pauses.append(supervision.next_pause(pauses[-1], ran_seconds=1))
    assert pauses[1:] == [1, 2, 4, 8, 16, 20, 20, 20, 20]
    assert supervision.next_pause(20, ran_seconds=61) == 1


def test_what_runs_beside_the_server_stops_with_it(script):
    script.write_text(NOTE_RUN + "time.sleep(60)")

    async def serve() -> int:
        async with Beside() as beside:
            beside.begin(Work([]))
            await until(lambda: runs(script))
        return runs(script)[0]

    assert not is_alive(asyncio.run(serve()))


def test_another_work_takes_the_place_of_the_first_from_another_thread(script):
    script.write_text(
        NOTE_RUN + "print(os.environ['CRYPTOSATX_MARKET'], file=open('markets', 'a'));"
        "time.sleep(60)"
    )
    markets = script.with_name("markets")

    async def serve() -> tuple[list[int], list[bool]]:
        async with Beside() as beside:
            beside.begin(Work([], {"CRYPTOSATX_MARKET": "demo"}))
            await until(lambda: markets.exists() and "demo" in markets.read_text())
            await asyncio.to_thread(beside.begin, Work([], {"CRYPTOSATX_MARKET": "live"}))
            await until(lambda: "live" in markets.read_text())
            return runs(script), [is_alive(pid) for pid in runs(script)]

    started, alive = asyncio.run(serve())
    assert alive == [False, True]
    assert not any(map(is_alive, started))


def test_a_server_that_stops_while_works_change_leaves_nothing_behind(script):
    script.write_text(
        NOTE_RUN + "import signal; signal.signal(15, lambda *_: (time.sleep(0.5), sys.exit()));"
        "print(file=open('ready', 'a')); time.sleep(60)"
    )

    async def serve() -> None:
        async with Beside() as beside:
            beside.begin(Work([]))
            await until(script.with_name("ready").exists)
            beside.begin(Work([]))
            await asyncio.sleep(0.1)

    asyncio.run(serve())
    assert len(runs(script)) == 1
    assert not is_alive(runs(script)[0])


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
