"""Sending what waits in the outbox: every channel by itself, one message at a time and in order.

A thread looks a few times a second, and at once when something was put by this process, for channels
with something to send, and lets each have a thread of its own until it has nothing more. Channels that
failed before share a part of the threads, so that no number of dead ones takes them all.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any

import stamina
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.alerts.delivery import (
    Allowed,
    Outcome,
    Sealer,
    Target,
    allowed_targets,
    load_sealer,
    next_attempt,
)
from core.alerts.delivery.messages import moment
from core.alerts.delivery.outcome import refused, unreachable
from core.alerts.delivery.retrying import HOLDING_ATTEMPTS
from core.alerts.delivery.services import usable_schemas
from core.alerts.delivery.targets import Send, open_target
from core.errors import DeliveryError, SettingsError
from core.jobs.quiet_hours import People, ask_again, quiet_for
from core.jobs.sending_apart import send_apart
from core.settings import Settings
from core.store import channels, outbox
from core.store.channels import Who
from core.store.outbox import LEASE, Answered, Claimed

POLL_SECONDS = 0.1
# So long the other work of a round stands back when there is something to send.
FIRST_SECONDS = 2.0
THREADS, FAILING_THREADS = 24, 24
# A thread that has nothing more to send waits so long for more, with its connection: the rest of a bar's
# messages may just be written.
LINGER_SECONDS = 0.3
# How often what was held for quiet hours is looked through.
HELD_SECONDS = 1.0
# How often leases of what is being sent are prolonged, and for how long at most.
PROLONG_SECONDS, HUNG_SECONDS = 15.0, 180.0
# Most receivers answer within this: so long those wait to be written down that were answered before.
ANSWER_SECONDS = 0.01
# As long as a lease lasts that nobody prolongs, with something to spare.
NOTING_SECONDS = 0.75 * LEASE.total_seconds()
_logger = logging.getLogger(__name__)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class _Step:
    """What a thread has done and wants next: ``done`` is what came of a message, if it had one.

    Its thread is ``called`` when it ``is_over``, whether it ``is_written`` or could not be, or else to
    write it down, with all that wait.
    """

    channel_id: int
    done: tuple[Claimed, Outcome, float] | None
    claim_next: bool
    following: Claimed | None = None
    is_written: bool = False
    is_over: bool = False
    called: threading.Event = field(default_factory=threading.Event)


@dataclass
class Courier:
    """Sends for one worker; ``clock`` is the time on the wall. Each method is a step: what dies between
    two of them is taken up by another worker.

    Steps of several threads are written down in one transaction: who comes while one is under way waits
    for the next, which takes all that wait, and those that are about to. A message is noted before its
    channel's next one is sent.
    """

    engine: Engine
    sealer: Callable[[], Sealer]
    allowed: Allowed
    name: str
    clock: Callable[[], datetime] = now
    chance: Callable[[], float] = random.random
    lease: timedelta = LEASE
    # Who may sign in; None lets all.
    people: People | None = None
    _steps: list[_Step] = field(default_factory=list)
    # By attempt, when the message was claimed that is not answered yet.
    _unanswered: dict[int, float] = field(default_factory=dict)
    _collecting: threading.Condition = field(default_factory=threading.Condition)
    _is_writing: bool = False

    def send_all(
        self,
        channel_id: int,
        go_on: Callable[[], bool],
        holding: Holding,
        linger: Callable[[], bool] = lambda: False,
    ) -> None:
        """Send a channel's messages until there are none to be sent now, and ``linger`` waits for none."""
        claimed = self.claim(channel_id)
        if claimed is None:
            return
        holding.take(claimed)
        target = self._load_target(channel_id)
        if isinstance(target, Outcome):
            self.note(claimed, target, 0.0, claim_next=False)
            return
        following: Claimed | None = claimed
        try:
            with open_target(target, self.allowed) as send:
                while following is not None:
                    claimed, began = following, monotonic()
                    outcome = self.send(send, claimed)
                    took_ms = (monotonic() - began) * 1000
                    following = self.note(claimed, outcome, took_ms, claim_next=go_on())
                    holding.take(following)
                    while following is None and outcome.sent and linger():
                        following = self.claim(channel_id)
                        holding.take(following)
        except DeliveryError as error:
            self.note(claimed, refused(str(error)), 0.0, claim_next=False)

    def _load_target(self, channel_id: int) -> Target | Outcome:
        """Without the key it is tried again: another worker may have it, or an operator bring it."""
        try:
            sealer = self.sealer()
            with self.engine.connect() as conn:
                return channels.load_target(conn, channel_id, sealer)
        except (DeliveryError, SettingsError) as error:
            return unreachable(str(error))

    def ask_again(self) -> int:
        """What was held for quiet hours that are over is sent, or dropped where nobody wants it."""
        return ask_again(self.engine, self.clock(), self.people)

    def claim(self, channel_id: int) -> Claimed | None:
        return self._together(_Step(channel_id, None, claim_next=True))

    def send(self, send: Send, claimed: Claimed) -> Outcome:
        try:
            return send(claimed, self.clock())
        except Exception as error:  # noqa: BLE001 - what a library says of it may hold the address
            _logger.error("Message %s could not be sent: %s.", claimed.key, type(error).__name__)
            return unreachable(f"It could not be sent ({type(error).__name__}).")

    def note(
        self, claimed: Claimed, outcome: Outcome, took_ms: float, *, claim_next: bool
    ) -> Claimed | None:
        """Write down what came of it and, in the same transaction, take the channel's next one."""
        self._unanswered.pop(claimed.attempt_id, None)
        done = claimed, outcome, took_ms
        return self._together(_Step(claimed.channel_id, done, claim_next=claim_next))

    def _together(self, step: _Step) -> Claimed | None:
        """Have a step written down, with those of other threads that wait; what is to be sent next.

        What was sent must not be sent again only because the database is away for a moment: where it
        cannot be written with the others each thread goes on trying, for its own step alone.
        """
        with self._collecting:
            self._steps.append(step)
            self._collecting.notify()
            if not self._is_writing:
                self._is_writing = True
                step.called.set()
        step.called.wait()
        if not step.is_over:
            try:
                self._write(self._collected())
            finally:
                self._hand_on()
        if step.is_written:
            return step.following
        if step.done is None:
            return self._written([step]).get(step.channel_id)
        for attempt in stamina.retry_context(
            on=SQLAlchemyError, attempts=None, timeout=NOTING_SECONDS
        ):
            with attempt:
                return self._written([step]).get(step.channel_id)
        raise AssertionError("a retry ends with a result or an error")

    def _collected(self) -> list[_Step]:
        """All steps that wait, with those of messages that are answered in a moment."""
        with self._collecting:
            until = max(list(self._unanswered.values()), default=0.0) + ANSWER_SECONDS
            while self._unanswered and (left := until - monotonic()) > 0:
                self._collecting.wait(left)
            steps, self._steps = self._steps, []
        return steps

    def _hand_on(self) -> None:
        """Have those written down that have come meanwhile, by the thread of the first of them."""
        with self._collecting:
            self._is_writing = bool(self._steps)
            if self._steps:
                self._steps[0].called.set()

    def _write(self, steps: Sequence[_Step]) -> None:
        try:
            found = self._written(steps)
            for one in steps:
                one.following, one.is_written = found.get(one.channel_id), True
        except SQLAlchemyError:
            _logger.exception("What was sent could not be noted; it is tried again.")
        finally:
            for one in steps:
                one.is_over = True
                one.called.set()

    def _written(self, steps: Sequence[_Step]) -> dict[int, Claimed]:
        at = self.clock()
        done = [one.done for one in steps if one.done is not None]
        sent = [Answered(one, took, said.message) for one, said, took in done if said.sent]
        with self.engine.begin() as conn:
            if sent:
                outbox.note_sent(conn, sent, at)
            for claimed, outcome, took_ms in done:
                if not outcome.sent:
                    again = self._next_at(claimed, outcome, at)
                    quiet = None if again is None else quiet_for(conn, claimed, again)
                    outbox.note_failed(
                        conn,
                        claimed,
                        took_ms=took_ms,
                        message=outcome.message,
                        next_at=quiet or again,
                        set_aside=outcome.answered and claimed.attempt >= HOLDING_ATTEMPTS,
                        quiet=quiet is not None,
                    )
            wanting = [one.channel_id for one in steps if one.claim_next]
            found = outbox.claim(conn, wanting, self.name, at, self.lease) if wanting else {}
        self._unanswered |= {one.attempt_id: monotonic() for one in found.values()}
        return found

    def _next_at(self, claimed: Claimed, outcome: Outcome, at: datetime) -> datetime | None:
        if outcome.permanent:
            return None
        return next_attempt(
            claimed.attempt, at, outcome.retry_after, since=claimed.since, chance=self.chance()
        )


@dataclass
class Holding:
    """What a thread has in hand, and since when; ``news`` is the last that it knows of."""

    channel_id: int
    failing: bool
    claimed: Claimed | None = None
    since: float = 0.0
    news: int = 0
    lingers: bool = False

    def take(self, claimed: Claimed | None) -> None:
        self.claimed, self.since = claimed, monotonic()

    @property
    def is_hung(self) -> bool:
        return self.claimed is not None and monotonic() - self.since > HUNG_SECONDS


@dataclass
class Sending:
    """Sends for as long as it is used inside ``with``; `wake` when something was put just now."""

    courier: Courier
    poll_seconds: float = POLL_SECONDS
    _stopping: threading.Event = field(default_factory=threading.Event)
    _awake: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _holdings: dict[int, Holding] = field(default_factory=dict)
    # How often it was said that there is something to send, for threads that linger.
    _news: int = 0
    _told: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Sending:
        self._thread = threading.Thread(target=self._run, name="sending", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wake(self) -> None:
        """Look at the outbox now."""
        self._tell()
        self._awake.set()

    def go_first(self, seconds: float = FIRST_SECONDS) -> None:
        """Look at the outbox now, and let what can be sent be sent before the caller goes on.

        At most ``seconds`` long: threads of one process work by turns, and messages are awaited.
        """
        self.wake()
        until = monotonic() + seconds
        begun = monotonic() + 0.2
        while monotonic() < until and not self._stopping.wait(0.02):
            if not self._is_busy() and monotonic() > begun:
                return

    def stop(self, seconds: float = 5.0) -> bool:
        """Begin nothing more, and give what is under way some time; whether it came to an end."""
        self._stopping.set()
        self._tell()
        self._awake.set()
        until = monotonic() + seconds
        if self._thread is not None:
            self._thread.join(seconds)
        while self._holdings and monotonic() < until:
            threading.Event().wait(0.02)
        return not self._holdings

    def _is_busy(self) -> bool:
        with self._lock:
            return any(not one.lingers for one in self._holdings.values())

    def _tell(self) -> None:
        """Have threads that linger look for something to send."""
        with self._told:
            self._news += 1
            self._told.notify_all()

    def _run(self) -> None:
        prolonged, asked = monotonic(), -HELD_SECONDS
        self._prepare()
        while not self._stopping.is_set():
            try:
                # What is put from here on wakes it again.
                self._awake.clear()
                self._start_due()
                if monotonic() - asked > HELD_SECONDS:
                    asked = monotonic()
                    self.courier.ask_again()
                if monotonic() - prolonged > PROLONG_SECONDS:
                    prolonged = monotonic()
                    self._prolong()
            except SQLAlchemyError:
                _logger.exception("The database did not answer; messages wait.")
                self._stopping.wait(1.0)
            except Exception:
                _logger.exception("Messages could not be looked for; it is tried again.")
                self._stopping.wait(1.0)
            self._awake.wait(self.poll_seconds)

    def _prepare(self) -> None:
        """What takes a while and would else delay the first message."""
        try:
            with self.courier.engine.begin() as conn:
                kinds = {one.kind for one in channels.list_channels(conn, everything=True)}
                if kinds:
                    channels.reseal(conn, self.courier.sealer())
            if "apprise" in kinds:
                usable_schemas()
        except SettingsError as error:
            _logger.error("Channels cannot be sent to. %s", error)
        except SQLAlchemyError:
            _logger.exception("Secrets were not sealed anew; it is done at the next start.")

    def _start_due(self) -> None:
        with self.courier.engine.connect() as conn:
            found = outbox.load_due(conn, self.courier.clock())
        with self._lock:
            held = [self._holdings.get(due.channel_id) for due in found]
        if any(one is not None and one.lingers for one in held):
            self._tell()
        for due in found:
            with self._lock:
                if due.channel_id in self._holdings or not self._has_room(failing=due.failing):
                    continue
                holding = Holding(due.channel_id, due.failing)
                self._holdings[due.channel_id] = holding
            threading.Thread(
                target=self._send, args=(holding,), name=f"channel {due.channel_id}", daemon=True
            ).start()

    def _has_room(self, *, failing: bool) -> bool:
        threads = [one for one in self._holdings.values() if not one.lingers]
        busy = sum(one.failing == failing for one in threads)
        return busy < (FAILING_THREADS if failing else THREADS)

    def _send(self, holding: Holding) -> None:
        try:
            self.courier.send_all(
                holding.channel_id,
                lambda: self._goes_on(holding),
                holding,
                lambda: self._linger(holding),
            )
        except SQLAlchemyError:
            _logger.exception("The database did not answer; a message may be sent again.")
            self._stopping.wait(1.0)
        except Exception:
            _logger.exception("Channel %s could not be sent to.", holding.channel_id)
            self._stopping.wait(1.0)
        finally:
            with self._lock:
                if self._holdings.get(holding.channel_id) is holding:
                    del self._holdings[holding.channel_id]
            self._awake.set()

    def _linger(self, holding: Holding) -> bool:
        """Wait a little for something to send; whether it was said that there is something."""
        holding.lingers = True
        with self._told:
            said = self._told.wait_for(lambda: self._news != holding.news, LINGER_SECONDS)
        holding.lingers = False
        return said and self._goes_on(holding)

    def _goes_on(self, holding: Holding) -> bool:
        # What is said from here on may be of what is put after the next look at the outbox.
        holding.news = self._news
        return not self._stopping.is_set() and self._holdings.get(holding.channel_id) is holding

    def _prolong(self) -> None:
        """Keep what is being sent, and give up threads that will never end: their leases run out."""
        with self._lock:
            for channel_id in [one for one, held in self._holdings.items() if held.is_hung]:
                _logger.error("Sending to channel %s hangs; it is begun anew.", channel_id)
                del self._holdings[channel_id]
            held = [one.claimed for one in self._holdings.values() if one.claimed is not None]
        if held:
            with self.courier.engine.begin() as conn:
                outbox.prolong(conn, held, self.courier.clock(), self.courier.lease)


def sending_for(
    engine: Engine, settings: Settings, worker: str, people: People | None = None
) -> Sending:
    """Sends for a worker. The key of secrets is read, or made, when something is sent first."""
    sealer, allowed = cache(lambda: load_sealer(settings)), allowed_targets(settings)
    return Sending(Courier(engine, sealer, allowed, worker, people=people))


def send_test(
    engine: Engine, settings: Settings, channel_id: int, *, who: Who, now: datetime
) -> Outcome:
    """Send one message to a channel now, beside the outbox; what came of it.

    `DeliveryError` where the channel is gone or was tested too often, `AccessDenied` where it is not
    this person's.
    """
    with engine.begin() as conn:
        channel = channels.note_test(conn, channel_id, who=who, now=now)
    try:
        with engine.connect() as conn:
            target = channels.load_target(conn, channel_id, load_sealer(settings))
    except (DeliveryError, SettingsError) as error:
        return refused(str(error))
    told, allowed = _Test(channel.name, who.name, now), allowed_targets(settings)
    if target.kind != "webhook":
        return send_apart(target, allowed, told, now)
    with open_target(target, allowed) as send:
        return send(told, now)


@dataclass(frozen=True)
class _Test:
    """A message that tells of nothing."""

    channel: str
    by: str
    made_at: datetime
    severity: str = "info"

    @property
    def key(self) -> str:
        said = f"test {self.channel} {self.made_at.isoformat()}"
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def body(self) -> Mapping[str, Any]:
        text = f"The channel {self.channel} works. {self.by} sent this at {moment(self.made_at)}."
        return {"title": "Test of CryptoSatX", "text": text, "content": {"kind": "test"}}
