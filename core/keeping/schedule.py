"""Backups by themselves: made when they are due, written down, and the old ones dropped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.accounts.home import open_accounts
from core.errors import BackupError, Cancelled, CryptoSatXError
from core.keeping.backup import drop_old_backups, list_backups, make_backup
from core.keeping.copying import Progress
from core.keeping.encryption import Seal, seal_of
from core.keeping.manifest import Label
from core.keeping.places import Place, open_place
from core.production import OFF
from core.settings import Settings
from core.store.backup_state import BackupState, load_backup_state, note_backup
from core.store.leases import drop_lease, take_lease

LOOK_SECONDS = 60.0
RETRY = timedelta(minutes=30)
# A backup of this age, in units of the time from one to the next, is missed.
OVERDUE = 2.0
_LEASE, _LEASE_FOR = "backup", timedelta(minutes=10)
_TELL_SECONDS = 5.0
# One that is being made is broken off at its next step.
_END_SECONDS = 5.0
_logger = logging.getLogger(__name__)


def is_scheduled(settings: Settings) -> bool:
    """Whether the worker is to make backups."""
    return settings.backup_to not in (None, OFF)


def is_due(state: BackupState, hours: float, now: datetime) -> bool:
    """Whether it is time for the next one; after a failure it is tried again somewhat later.

    >>> at = datetime(2025, 11, 1, 12, tzinfo=UTC)
    >>> is_due(BackupState(), 24, at), is_due(BackupState(made_at=at), 24, at + timedelta(hours=23))
    (True, False)
    """
    if state.fails and state.failed_at is not None and now - state.failed_at < RETRY:
        return False
    return state.made_at is None or now - state.made_at >= timedelta(hours=hours)


def is_overdue(state: BackupState, settings: Settings, now: datetime) -> bool:
    """Whether the newest backup is so old that one at least was missed; where there was never one, as
    if there had been when the first person came."""
    since = state.made_at or state.missed_since
    if since is None:
        return state.fails
    return now - since > OVERDUE * timedelta(hours=settings.backup_hours)


def back_up(
    settings: Settings,
    accounts: Engine,
    place: Place,
    seal: Seal,
    progress: Progress,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Label:
    """Make a backup, and write down in the database of people what came of it."""
    began = clock()
    with _noted(accounts, began, clock):
        label = make_backup(settings, place, seal, clock, _telling(accounts, progress, clock))
    with accounts.begin() as conn:
        note_backup(
            conn,
            name=label.name,
            place=place.words,
            made_at=began,
            bytes=label.bytes,
            seconds=(clock() - began).total_seconds(),
            encrypted=seal.encrypts,
            failed_at=None,
            failure=None,
        )
    return label


@contextmanager
def _noted(accounts: Engine, began: datetime, clock: Callable[[], datetime]) -> Iterator[None]:
    with accounts.begin() as conn:
        note_backup(conn, running_since=began, heard_at=began, doing="", done=0, of=0)
    failure: str | None = None
    try:
        yield
    except CryptoSatXError as error:
        failure = None if isinstance(error, Cancelled) else str(error)
        raise
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        raise
    finally:
        with accounts.begin() as conn:
            note_backup(conn, running_since=None, heard_at=None)
            if failure is not None:
                note_backup(conn, failed_at=clock(), failure=failure[:1_000])


def _telling(accounts: Engine, progress: Progress, clock: Callable[[], datetime]) -> Progress:
    """Tell how far it is, and write it down now and then."""
    told = monotonic()

    def tell(words: str, done: int, of: int) -> None:
        nonlocal told
        progress(words, done, of)
        if monotonic() - told > _TELL_SECONDS:
            told = monotonic()
            # A busy database must not end a backup for the sake of a bar that grows.
            with suppress(SQLAlchemyError), accounts.begin() as conn:
                note_backup(conn, heard_at=clock(), doing=words, done=done, of=of)

    return tell


class Schedule:
    """What a worker does about backups, in a thread of its own until ``stopping``.

    Of several workers one at a time makes them; ``may_begin`` says when the machine is wanted for
    something else.
    """

    def __init__(
        self,
        settings: Settings,
        worker: str,
        stopping: threading.Event,
        may_begin: Callable[[], bool] = lambda: True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._worker, self._stopping = settings, worker, stopping
        self._may_begin, self._clock = may_begin, clock
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)

    def __enter__(self) -> Schedule:
        if is_scheduled(self._settings):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            if not self._may_begin():
                continue
            try:
                self.look()
            except Cancelled:
                return
            except CryptoSatXError as error:
                _logger.error("No backup was made: %s", error)
            except Exception:
                _logger.exception("No backup was made; it is tried again.")

    def look(self) -> Label | None:
        """Make a backup if one is due and nobody else is at it."""
        accounts = open_accounts(self._settings)
        try:
            with accounts.connect() as conn:
                due = is_due(load_backup_state(conn), self._settings.backup_hours, self._clock())
            if not due or not self._hold(accounts):
                return None
            try:
                return self._make(accounts)
            finally:
                with accounts.begin() as conn:
                    drop_lease(conn, _LEASE, self._worker)
        finally:
            accounts.dispose()

    def _make(self, accounts: Engine) -> Label:
        label, place = self._back_up(accounts)
        try:
            dropped = drop_old_backups(place, self._settings, self._clock())
            kept = list_backups(place)
        except BackupError as error:
            # The new one is there; that the old ones stay fills the place up in the end.
            self._note_failure(accounts, str(error))
            raise
        with accounts.begin() as conn:
            note_backup(conn, kept=len(kept.labels), kept_bytes=kept.bytes)
        _logger.info("Backup %s is made, %d old ones are dropped.", label.name, len(dropped))
        return label

    def _back_up(self, accounts: Engine) -> tuple[Label, Place]:
        try:
            place, seal = open_place(self._settings), seal_of(self._settings)
        except BackupError as error:
            self._note_failure(accounts, str(error))
            raise
        held = monotonic()

        def go_on(_words: str, _done: int, _of: int) -> None:
            nonlocal held
            if self._stopping.is_set():
                raise Cancelled("The worker stops; the backup is made anew when it is back.")
            if monotonic() - held > _TELL_SECONDS:
                held = monotonic()
                with suppress(SQLAlchemyError):
                    self._hold(accounts)

        return back_up(self._settings, accounts, place, seal, go_on, self._clock), place

    def _note_failure(self, accounts: Engine, words: str) -> None:
        with accounts.begin() as conn:
            note_backup(conn, failed_at=self._clock(), failure=words)

    def _hold(self, accounts: Engine) -> bool:
        with accounts.begin() as conn:
            return take_lease(conn, _LEASE, self._worker, self._clock(), _LEASE_FOR)
