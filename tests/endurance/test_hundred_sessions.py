"""A hundred people at a dashboard of 300 live markets. `pytest -m long -s tests/endurance/test_hundred_sessions.py`.

SESSIONS (100), SECONDS (600), SERVERS (2), DESK_SYMBOLS (300) and DESK_DAYS of signals (5) change it. A
server is one process, which uses one core at most; with several each visitor stays with one, as behind a
proxy with sticky sessions. Halfway a bar closes, and every open page is drawn anew at once. How the
visitors behave stands in `visitors.py`; they run in another process on the same cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from sqlalchemy import Engine

from core.accounts import Role
from tests.endurance.desk import EVERY_SECONDS, PASSWORD, Going, add_people, close_round, fill_desk
from tests.endurance.figures import Sampled, length, memory_mb, say
from tests.server import ROOT, running

SESSIONS, SECONDS = int(length("SESSIONS", 100)), length("SECONDS", 600)
SERVERS = int(length("SERVERS", 2))
SYMBOLS, DAYS = int(length("DESK_SYMBOLS", 300)), int(length("DESK_DAYS", 5))
# Of ten people six trade, three analyse and one is an administrator.
ROLES: tuple[Role, ...] = ("trader",) * 6 + ("analyst",) * 3 + ("admin",)
LIMIT_S = 0.5
# So long are sessions kept for a browser whose connection broke.
KEPT_SECONDS = length("KEPT_SECONDS", 135)
# What pages ask for without anybody.
BY_THEMSELVES = ("auto", "look")


@pytest.mark.long
def test_a_hundred_people_are_answered_within_half_a_second(engine: Engine, tmp_path: Path) -> None:
    bar = fill_desk(engine, SYMBOLS, DAYS)
    names = {f"visitor{number}": ROLES[number % len(ROLES)] for number in range(SESSIONS)}
    add_people(engine, names)
    url = engine.url.render_as_string(hide_password=False)
    with ExitStack() as stack:
        going = Going(engine, SYMBOLS)
        stack.enter_context(Sampled(EVERY_SECONDS, {"reported": going.report}))
        servers = [
            stack.enter_context(
                running(tmp_path / f"data{number}", DATABASE_URL=url, CRYPTOSATX_MARKET="live")
            )
            for number in range(SERVERS)
        ]
        processes = [psutil.Process(one.process.pid) for one in servers if one.process]
        before = sum(memory_mb(one.pid) for one in processes)
        # A sign-in takes half a second of a core, most of it for the hash of the password.
        all_there = time.time() + max(20.0, 1.5 * SESSIONS)
        until = all_there + SECONDS
        options = {
            "urls": [one.url for one in servers],
            "people": list(names.items()),
            "password": PASSWORD,
            "all_there": all_there,
            "until": until,
        }
        command = [sys.executable, "-m", "tests.endurance.visitors", json.dumps(options)]
        visiting = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        sample: dict[str, Callable[[], object]] = {
            "at": time.time,
            "memory": lambda: sum(memory_mb(one.pid) for one in processes),
            "used": lambda: sum(sum(one.cpu_times()[:2]) for one in processes),
        }
        with Sampled(1.0, sample) as sampled:
            time.sleep(max(0.0, all_there + SECONDS / 2 - time.time()))
            closed = time.time()
            close_round(engine, bar)
            told, _ = visiting.communicate(timeout=SECONDS + 300)
            left = time.time()
            time.sleep(KEPT_SECONDS)
        samples = pd.DataFrame(sampled.found).astype(float).set_index("at")
        terminal = "".join(one.terminal for one in servers)
    met = json.loads(told)
    runs = pd.DataFrame(met["runs"], columns=["kind", "page", "seconds", "at"])
    during = samples[(samples.index > all_there) & (samples.index < until)]
    counted = runs[(runs["at"] > all_there) & (runs["at"] < until)]
    say(f"{engine.dialect.name}, {SESSIONS} sessions at {SERVERS} servers for {SECONDS:.0f} s")
    say(percentiles(counted, "kind"), percentiles(of_people(counted), "page"))
    say(*sentences(counted, during, met, closed))
    say(memory_words(before, during, samples[samples.index > left + KEPT_SECONDS - 5]))
    assert not met["faults"], met["faults"][:10]
    assert "Traceback" not in terminal
    clicks = counted.loc[counted["kind"].isin(["click", "open", "go"]), "seconds"]
    assert clicks.quantile(0.95) < LIMIT_S
    for kind in BY_THEMSELVES:
        assert counted.loc[counted["kind"] == kind, "seconds"].quantile(0.95) < LIMIT_S


def of_people(runs: pd.DataFrame) -> pd.DataFrame:
    """Those that somebody has asked for."""
    return runs[~runs["kind"].isin(BY_THEMSELVES)]


def percentiles(runs: pd.DataFrame, by: str) -> str:
    """Milliseconds from asking for a run to its end."""
    parts = runs.groupby(by)["seconds"]
    table = pd.DataFrame(
        {
            "n": parts.count(),
            **{f"p{share}": 1000 * parts.quantile(share / 100) for share in (50, 95, 99)},
            "longest": 1000 * parts.max(),
        }
    )
    return table.round(0).astype(int).to_string()


def sentences(
    runs: pd.DataFrame, during: pd.DataFrame, met: dict[str, Any], closed: float
) -> list[str]:
    seconds = during.index[-1] - during.index[0]
    used = during["used"].iloc[-1] - during["used"].iloc[0]
    people = of_people(runs)
    near = people[people["at"].between(closed - 1, closed + 15)]
    return [
        f"of people: p95 {1000 * people['seconds'].quantile(0.95):.0f} ms of {len(people)}; around the "
        f"close {1000 * near['seconds'].quantile(0.95):.0f} ms of {len(near)}",
        f"servers: {used / seconds:.2f} cores, {1000 * used / len(people):.0f} ms for each run of people, "
        f"all that moves included; {len(runs) / seconds:.0f} runs a second, "
        f"{len(people) / seconds:.1f} of them of people",
        f"visitors: {met['cpu_seconds']:.0f} s of a core in all, {met['messages']:,} messages, "
        f"{met['bytes'] / 1e6:,.0f} MB; load of the machine {psutil.getloadavg()}",
        f"faults: {len(met['faults'])}",
    ]


def memory_words(before: float, during: pd.DataFrame, after: pd.DataFrame) -> str:
    with_all, last = during["memory"].iloc[:10].median(), during["memory"].iloc[-10:].median()
    each = (np.max([with_all, last]) - before) / SESSIONS
    gone = after["memory"].median()
    return (
        f"memory: {before:.0f} MB without anybody, {with_all:.0f} MB with all there, {last:.0f} MB at the "
        f"end, so {each:.1f} MB a session; {gone:.0f} MB when all have left"
    )
