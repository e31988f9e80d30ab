"""The process that sends: a worker starts one when there is a channel, and it ends with the worker.

Threads of one process run by turns, so messages would wait for the rest of a bar's round and it for them.
All that the process needs comes through its standard input, as secrets must: what it is to know in the
first line, then a word in each. Where that ends, so does it, however its worker ended.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import TextIO

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.accounts.home import may_sign_in
from core.jobs.sending import FIRST_SECONDS, sending_for
from core.settings import ROOT, Settings, load_settings
from core.store.channels import has_channels
from core.store.database import open_database
from core.supervision import next_pause

# Until there is a channel, it is looked for this often.
LOOK_SECONDS = 2.0
# What is under way may be finished; more would be cut off by whoever stops the worker.
GRACE_SECONDS = 6.0
PROCESS = "core.commands.sender"
WAKE, FIRST, IDLE = "wake", "first", "idle"
_logger = logging.getLogger(__name__)


@dataclass
class Sender:
    """Sends for a worker for as long as it is used inside ``with``; `wake` it when something was put."""

    engine: Engine
    settings: Settings
    name: str
    _process: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _looking: threading.Event = field(default_factory=threading.Event)
    _idle: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Sender:
        self._thread = threading.Thread(target=self._keep, name="sender", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    def wake(self) -> None:
        """Have the outbox looked at now."""
        self._looking.set()
        self._say(WAKE)

    def go_first(self, seconds: float = FIRST_SECONDS) -> None:
        """Have the outbox looked at now, and let what can be sent be sent before the caller goes on.

        At most ``seconds`` long: there are few cores, and messages are awaited.
        """
        self._idle.clear()
        self._looking.set()
        if self._say(FIRST):
            self._idle.wait(seconds)

    def stop(self, seconds: float = GRACE_SECONDS) -> None:
        """Begin nothing more, and give what is under way some time."""
        self._stopping.set()
        self._looking.set()
        with self._lock:
            if self._process is not None:
                _hang_up(self._process)
        if self._thread is None:
            return
        self._thread.join(seconds)
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _say(self, word: str) -> bool:
        with self._lock:
            if self._process is None or self._process.stdin is None:
                return False
            try:
                self._process.stdin.write(f"{word}\n")
                self._process.stdin.flush()
            except (OSError, ValueError):
                return False  # It has just ended, and is started again.
            return True

    def _keep(self) -> None:
        """Run the process, and again when it ends."""
        pause = 0.0
        while not self._stopping.wait(pause):
            if not self._is_wanted():
                self._looking.wait(LOOK_SECONDS)
                self._looking.clear()
                continue
            began = monotonic()
            code = self._run()
            pause = next_pause(pause, ran_seconds=monotonic() - began)
            if not self._stopping.is_set():
                words = "The process that sends ended with code %s and is started again in %.0f s."
                _logger.warning(words, code, pause)

    def _is_wanted(self) -> bool:
        try:
            with self.engine.connect() as conn:
                return has_channels(conn)
        except SQLAlchemyError:
            _logger.exception("The database did not answer; channels are looked for again.")
            return False

    def _run(self) -> int | None:
        """Until it ends; its code."""
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", PROCESS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": _path()},
                text=True,
            )
        except OSError:
            _logger.exception("The process that sends could not be started.")
            return None
        with process:
            with self._lock:
                self._process = process
            self._say(json.dumps(self._told()))
            if self._stopping.is_set():
                _hang_up(process)
            for line in process.stdout or ():
                if line.strip() == IDLE:
                    self._idle.set()
            code = process.wait()
            with self._lock:
                self._process = None
            self._idle.set()
        return code

    def _told(self) -> dict[str, object]:
        key = self.settings.secret_key
        settings = {
            "DATABASE_URL": self.settings.database_url,
            "CRYPTOSATX_DATA": str(self.settings.data_dir),
            "CRYPTOSATX_SECRET_KEY": None if key is None else key.get_secret_value(),
            "CRYPTOSATX_PRIVATE_TARGETS": self.settings.private_targets,
        }
        return {
            "url": self.engine.url.render_as_string(hide_password=False),
            "name": self.name,
            "settings": {name: value for name, value in settings.items() if value is not None},
        }


def _hang_up(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def _path() -> str:
    """Where it finds us, from whichever folder this was started."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def serve(words: TextIO, answers: TextIO) -> None:
    """Be that process, for whoever is at the other end of both pipes."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # Who is told to stop is the worker.
    told = json.loads(words.readline())
    engine = open_database(told["url"])
    gc.collect()
    gc.freeze()
    settings = load_settings(told["settings"])

    def people() -> frozenset[str]:
        return may_sign_in(engine, settings)

    with sending_for(engine, settings, told["name"], people) as sending:
        for line in words:
            sending.wake()
            if line.strip() == FIRST:
                sending.go_first()
                answers.write(f"{IDLE}\n")
                answers.flush()
