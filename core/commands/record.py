"""`python -m core record`: what the live market was observed to be, as a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from core.commands.choosing import market_observed
from core.commands.console import out
from core.errors import RecordingError, SettingsError
from core.market import recording
from core.market.choice import database_url
from core.settings import load_settings
from core.store import open_store
from core.store.observations import load_observations


def command(
    folder: Annotated[Path, typer.Argument(help="Folder to write; a recording there is replaced.")],
    start: Annotated[str | None, typer.Option(help="First time of publication, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Last time of publication, UTC.")] = None,
) -> None:
    """Write what was observed of the live market as a recording, with when each row was seen."""
    settings = load_settings()
    market = market_observed(settings)
    engine = open_store(database_url(settings, market), market.key)
    with engine.connect() as conn:
        tables = load_observations(conn, _time(start), _time(end))
    engine.dispose()
    if "candles_1h" not in tables:
        raise RecordingError("No candle was observed in that time yet; start a worker first.")
    recording.write(folder, tables)
    for name, table in tables.items():
        out.print(f"{name}: {len(table):,} rows", markup=False)
    out.print(f"To work through it: python -m core replay {folder}", soft_wrap=True, markup=False)


def _time(text: str | None) -> pd.Timestamp | None:
    if text is None:
        return None
    try:
        time = pd.Timestamp(text)
    except ValueError:
        time = pd.Timestamp("NaT")
    if pd.isna(time):
        raise SettingsError(f"{text!r} is no time; write it like 2025-10-10T12:00Z.")
    return time.tz_localize("UTC") if time.tz is None else time
