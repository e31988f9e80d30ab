"""What became of signals, from stored bars: the same numbers however late it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from core.outcomes import resolve
from core.store.due import LONGEST, load_due, load_frame, load_profile_of
from core.store.signals import save_outcomes

# A day of signals at a time: however much is due, memory stays small.
SLICE = timedelta(days=1)


def resolve_due(
    engine: Engine,
    symbols: Sequence[str],
    since: datetime,
    newest: datetime,
    clock: Callable[[], datetime],
) -> int:
    """Store every outcome that stored bars up to ``newest`` can tell; how many were new.

    Of signals from ``since`` on. One whose bars are missing stays due.
    """
    new, start = 0, since
    while start < newest:
        end = min(start + SLICE, newest)
        new += _resolve_slice(engine, symbols, start, end, newest, clock)
        start = end
    return new


def _resolve_slice(
    engine: Engine,
    symbols: Sequence[str],
    start: datetime,
    end: datetime,
    newest: datetime,
    clock: Callable[[], datetime],
) -> int:
    with engine.connect() as conn:
        due = load_due(conn, symbols, start, end, newest)
        if due.empty:
            return 0
        bars = load_frame(conn, symbols, start, min(end + LONGEST, newest))
    new = 0
    for (name, version), planned in due.groupby(["profile_name", "profile_version"]):
        with engine.begin() as conn:
            profile = load_profile_of(conn, str(name), str(version))
            new += save_outcomes(conn, resolve(planned, bars), profile, clock())
    return new
