"""Whether any exchange answers, asked in the time that a start may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread

from core.errors import SourceError
from core.market.sources import open_http
from core.market.sources.venue import Venue
from core.settings import Settings

SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """What came of asking: the exchange that answered first, or None and ``reasons`` in sentences."""

    venue: str | None
    at: datetime
    reasons: str = ""


def ask_exchanges(settings: Settings, seconds: float = SECONDS) -> Answer:
    """Ask every chosen exchange for its time at once; back with the first answer, or in time.

    Raises `SettingsError` where the settings of requests cannot be used.
    """
    # `asyncio.run` would wait for names that are still being looked up.
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="probe", daemon=True)
    thread.start()
    try:
        return asyncio.run_coroutine_threadsafe(_ask(settings, seconds), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ask(settings: Settings, seconds: float) -> Answer:
    failures: dict[str, str] = {}
    async with open_http(settings) as http:
        asked = {asyncio.create_task(Venue(name, http).time()): name for name in settings.exchanges}
        try:
            venue = await _first(asked, seconds, failures)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
    late = [name for name in asked.values() if name not in failures]
    said = [*failures.values(), *(f"{name} did not answer within {seconds:g} s." for name in late)]
    return Answer(venue, datetime.now(UTC), "" if venue else " ".join(map(_sentence, said)))


async def _first(
    asked: Mapping[asyncio.Task[datetime | None], str], seconds: float, failures: dict[str, str]
) -> str | None:
    """The exchange that answered first; those that failed are written into ``failures``."""
    loop, waiting = asyncio.get_running_loop(), set(asked)
    give_up = loop.time() + seconds
    while waiting and loop.time() < give_up:
        done, waiting = await asyncio.wait(
            waiting, timeout=give_up - loop.time(), return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            try:
                task.result()
            except SourceError as error:
                failures[asked[task]] = str(error)
            else:
                return asked[task]
    return None


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
