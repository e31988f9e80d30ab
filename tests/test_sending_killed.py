"""Killed at any step, by the thousand: every event is told, and none twice to who looks at keys."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from core.alerts.delivery import Sealer
from tests.channelled import add_webhook, message, put, states
from tests.endurance.figures import say
from tests.mortal import Trial, check
from tests.world.receiver import Receiver, is_signed

RESTARTS = int(os.environ.get("DELIVERY_RESTARTS", "10000"))
SIGKILLS = int(os.environ.get("DELIVERY_SIGKILLS", "50"))
CHANNELS = 12
ROOT = Path(__file__).resolve().parents[1]


def run_trial(engine: Engine, restarts: int, seed: int) -> Trial:
    with Receiver() as receiver:
        ids = [add_webhook(engine, receiver.url(f"/{number}")) for number in range(CHANNELS)]
        paths = {one: f"/{number}" for number, one in enumerate(ids)}
        trial = Trial(engine, ids, restarts, seed=seed)
        trial.run()
        check(trial, lambda channel_id: receiver.keys(paths[channel_id]))
        assert trial.struck.killed >= restarts
        assert all(is_signed(one) for one in receiver.received)
        # The same key came again for each kill between a receiver's yes and our note of it, only then,
        # and with the same bytes.
        assert receiver.repeated == trial.struck.after_accepted > 0
        bodies = {(one.path, one.key, one.body) for one in receiver.received}
        assert len(bodies) == len(receiver.accepted)
        assert set(receiver.most_at_once.values()) == {1}
    return trial


def test_two_workers_that_are_killed_at_any_step_tell_every_event_once(engine: Engine) -> None:
    run_trial(engine, restarts=200, seed=1)


@pytest.mark.long
def test_ten_thousand_restarts_of_two_workers_lose_and_repeat_nothing(engine: Engine) -> None:
    began = time.monotonic()
    trial = run_trial(engine, restarts=RESTARTS, seed=7)
    say(
        f"{engine.dialect.name}: {trial.struck.killed:,} kills in {time.monotonic() - began:,.0f} s, "
        f"{trial.bars:,} events to {CHANNELS} channels; {trial.struck.after_accepted:,} killed between "
        "a receiver's yes and the note of it"
    )


SENDER = """
import sys, time
from core.store.database import open_database
from core.alerts.delivery import Sealer
from core.jobs.sending import Courier, Sending
from datetime import timedelta
from tests.sent import HERE
url, key, name = sys.argv[1:]
courier = Courier(open_database(url), lambda: Sealer([key]), HERE, name)
courier.lease = timedelta(seconds=1)
with Sending(courier, poll_seconds=0.05):
    print("ready", flush=True)
    time.sleep(600)
"""


def start_sender(url: str, key: str, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SENDER, url, key, name]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE)


def kill(sender: subprocess.Popen[bytes]) -> None:
    sender.send_signal(signal.SIGKILL)
    sender.wait(timeout=20)
    assert sender.stdout is not None
    sender.stdout.close()


def kill_senders(engine: Engine, kills: int, messages: int, seed: int) -> Receiver:
    """Two sender processes, one of them killed again and again while they send."""
    chance = random.Random(seed)
    url, key = engine.url.render_as_string(hide_password=False), Fernet.generate_key().decode()
    with Receiver(latency_s=0.01) as receiver:
        ids = [
            add_webhook(engine, receiver.url(f"/{number}"), sealer=Sealer([key]))
            for number in range(6)
        ]
        senders = [start_sender(url, key, f"sender {number}") for number in range(2)]
        try:
            for number in range(kills):
                told = [message(one, number * messages + n) for n in range(messages) for one in ids]
                put(engine, *told, now=datetime.now(UTC))
                gone = chance.randrange(2)
                assert senders[gone].stdout is not None
                assert senders[gone].stdout.readline() == b"ready\n"
                time.sleep(chance.uniform(0, 0.3))
                kill(senders[gone])
                senders[gone] = start_sender(url, key, f"sender {number + 2}")
            give_up = time.monotonic() + 60
            while set(states(engine)) != {"sent"}:
                assert time.monotonic() < give_up, "messages are left"
                time.sleep(0.1)
        finally:
            for sender in senders:
                kill(sender)
        for number, one in enumerate(ids):
            wanted = [f"{one}-{n}" for n in range(kills * messages)]
            assert receiver.keys(f"/{number}") == wanted
        # A kill can leave at most what each of its threads had in hand.
        assert receiver.repeated <= kills * len(ids)
    return receiver


def test_processes_that_are_killed_in_earnest_lose_nothing(engine: Engine) -> None:
    kill_senders(engine, kills=1, messages=10, seed=3)


@pytest.mark.long
def test_many_processes_that_are_killed_in_earnest_lose_nothing(engine: Engine) -> None:
    receiver = kill_senders(engine, kills=SIGKILLS, messages=20, seed=5)
    say(
        f"{engine.dialect.name}: {SIGKILLS} processes killed, {len(receiver.accepted):,} messages, "
        f"{receiver.repeated} sent twice with the same key"
    )
