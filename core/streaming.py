"""A venue's liquidation stream from its socket into the database, for as long as it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from core.market.stream.batch import Batch, Gap, StreamState
from core.market.stream.connection import Patience
from core.market.stream.feeds import Feed
from core.market.stream.sockets import Stream, Wanted
from core.market.stream.spool import LIMIT_BYTES, Spool
from core.market.stream.writer import Clock, Pace, Store, Writer
from core.market.symbols import Contract
from core.store.liquidations import load_open_gap, load_stream, save_batch


def _now() -> datetime:
    return datetime.now(UTC)


async def follow_stream(
    engine: Engine,
    feed: Feed,
    contracts: Mapping[str, Contract],
    spool_folder: Path,
    *,
    clock: Clock = _now,
    patience: Patience | None = None,
    pace: Pace | None = None,
    spool_bytes: int = LIMIT_BYTES,
    store: Store | None = None,
    wanted: Wanted | None = None,
) -> None:
    """Follow a stream until cancelled; what was received by then is in the database or spooled.

    Only one process may follow a venue's stream at a time. ``store`` replaces the saving of a
    batch in ``engine``; ``wanted`` says which events are stored.
    """
    state, gap = await asyncio.to_thread(_left_behind, engine, feed.venue)
    spool = Spool(spool_folder, feed.venue, limit_bytes=spool_bytes)
    writer = Writer(store or saving(engine), spool, state, clock, pace)
    stream = Stream(feed, contracts, writer, clock, patience=patience, gap=gap, wanted=wanted)
    if gap is not None:
        writer.note_gap(gap)
    writing, listening = asyncio.create_task(writer.run()), asyncio.create_task(stream.run())
    try:
        await asyncio.wait({writing, listening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        writer.close()
        await writing
    listening.result()


def saving(engine: Engine) -> Store:
    """Saves a batch in one transaction."""

    def save(batch: Batch) -> None:
        with engine.begin() as conn:
            save_batch(conn, batch)

    return save


def _left_behind(engine: Engine, venue: str) -> tuple[StreamState, Gap | None]:
    """The stream as it was left, and the time since then, in which nobody listened, as a gap."""
    with engine.connect() as conn:
        state, gap = load_stream(conn, venue), load_open_gap(conn, venue)
    if state is None:
        return StreamState(venue), None
    state.state, state.message = "connecting", None
    if gap is None and state.heard_at is not None:
        gap = Gap(venue, state.heard_at, None, "Nobody listened.")
    return state, gap
