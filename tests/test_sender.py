"""The process that sends for a worker: there when it is needed, started again, and gone with its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet
from sqlalchemy import Engine

from core.alerts.delivery import Sealer
from core.jobs.sender import Sender
from core.settings import load_settings
from core.store.delivery_log import list_deliveries
from tests.channelled import add_channel, add_webhook, message, put, states
from tests.world.receiver import Receiver

ROOT = Path(__file__).resolve().parents[1]
KEY = Fernet.generate_key().decode()
PARENT = """
import sys, time
from core.jobs.sender import Sender
from core.settings import load_settings
from core.store.database import open_database
with Sender(open_database(sys.argv[1]), load_settings({"CRYPTOSATX_DATA": sys.argv[2]}), "w") as sender:
    while sender.pid is None:
        time.sleep(0.01)
    print(sender.pid, flush=True)
    time.sleep(600)
"""


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(0.01)


def is_alive(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return pid is not None


def test_a_process_of_its_own_sends_once_there_is_a_channel_and_again_when_it_was_killed(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    environ = {"CRYPTOSATX_SECRET_KEY": KEY, "CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1"}
    settings = load_settings(environ | {"CRYPTOSATX_DATA": str(tmp_path)})
    with Receiver() as receiver, Sender(sqlite_engine, settings, "worker") as sender:
        sender.go_first(5)  # Nobody is there to wait for.
        assert sender.pid is None
        channel = add_webhook(sqlite_engine, receiver.url("/x"), sealer=Sealer([KEY]))
        put(sqlite_engine, *(message(channel, n) for n in range(20)), now=datetime.now(UTC))
        sender.wake()
        wait_for(lambda: states(sqlite_engine) == ["sent"] * 20)
        first = sender.pid
        assert is_alive(first)
        put(sqlite_engine, *(message(channel, n) for n in range(20, 40)), now=datetime.now(UTC))
        sender.go_first(20)
        assert states(sqlite_engine) == ["sent"] * 40
        os.kill(first or 0, signal.SIGKILL)
        wait_for(lambda: sender.pid not in (None, first))
        put(sqlite_engine, message(channel, 40), now=datetime.now(UTC))
        sender.wake()
        wait_for(lambda: states(sqlite_engine) == ["sent"] * 41)
        assert receiver.keys("/x") == [f"{channel}-{n}" for n in range(41)]
        assert receiver.repeated == 0
        last = sender.pid
    assert not is_alive(last)


def test_the_process_drops_what_was_held_for_who_may_not_sign_in_any_more(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    settings = load_settings({"CRYPTOSATX_SECRET_KEY": KEY, "CRYPTOSATX_DATA": str(tmp_path)})
    channel, now = add_channel(sqlite_engine, owner="tom"), datetime.now(UTC)
    put(sqlite_engine, message(channel, 1, not_before=now), now=now)
    with Sender(sqlite_engine, settings, "worker"):
        wait_for(lambda: states(sqlite_engine) == ["dropped"])
    with sqlite_engine.connect() as conn:
        (dropped,) = list_deliveries(conn)
    assert dropped.last_error == "Not sent when quiet hours ended: tom may not sign in any more."


def test_the_process_ends_when_its_worker_is_killed(sqlite_engine: Engine, tmp_path: Path) -> None:
    add_webhook(sqlite_engine, "https://desk.example")
    url = sqlite_engine.url.render_as_string(hide_password=False)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, url, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    parent.wait(20)
    parent.stdout.close()
    wait_for(lambda: not is_alive(pid))
