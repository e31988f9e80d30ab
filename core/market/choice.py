"""Which market is behind the dashboard, and which database belongs to it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import RecordingError, SettingsError
from core.settings import Settings

# Stands where a market's key stands, in the file that holds people and no market.
ACCOUNTS = "accounts"


@dataclass(frozen=True)
class Market:
    """A market. ``key`` names its database, so that two markets never mix."""

    kind: Literal["demo", "recording", "live"]
    path: Path | None
    key: str
    label: str
    simulated: bool


def choose_market(settings: Settings, *, answered: bool = False, held: str | None = None) -> Market:
    """The market that ``settings`` ask for.

    ``auto`` is the one whose key the set database has ``held`` until now, else live where an
    exchange has ``answered``, else the demo.
    """
    if settings.market == "live":
        return live_market()
    if settings.market == "auto":
        return _auto(settings, answered=answered, held=held)
    if settings.market.startswith("recording:"):
        try:
            return market_at(settings.market.removeprefix("recording:"), settings)
        except RecordingError as error:
            raise SettingsError(f"CRYPTOSATX_MARKET={settings.market}: {error}") from error
    return demo_market(settings.data_dir)


def market_at(place: str, settings: Settings) -> Market:
    """The market of a recording's folder; the demo by its name or by its folder."""
    demo = demo_market(settings.data_dir)
    path = Path(place).expanduser().resolve()
    if place == "demo" or path == demo.path:
        return demo
    if not path.is_dir():
        raise RecordingError(f"There is no folder {path}; give the folder of a recording, or demo.")
    return recording_market(path)


def live_market() -> Market:
    """The market of the world outside."""
    return Market("live", None, "live", "Live market", simulated=False)


def demo_market(data_dir: Path) -> Market:
    """The simulated market; its recording lies in ``data_dir``/demo."""
    return Market("demo", data_dir / "demo", "demo", "Simulated market", simulated=True)


def recording_market(path: Path) -> Market:
    """The market of the recording at ``path``, known by its name and place.

    >>> recording_market(Path("/data/October 2025")).key
    'recording-october-2025-0b5cf9ce'
    """
    path = path.resolve()
    slug = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:40]
    place = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    key = "-".join(part for part in ("recording", slug, place) if part)
    return Market("recording", path, key, f"Recording {path.name}", simulated=False)


def _auto(settings: Settings, *, answered: bool, held: str | None) -> Market:
    if held not in (None, "live", "demo"):
        raise SettingsError(
            f"The database of DATABASE_URL holds the market {held}, which CRYPTOSATX_MARKET=auto "
            "does not choose: set CRYPTOSATX_MARKET=recording:PATH with its folder, or name "
            "another database."
        )
    if held == "live" or (held is None and answered):
        return live_market()
    return demo_market(settings.data_dir)


def database_url(settings: Settings, market: Market) -> str:
    """DATABASE_URL if set, else a SQLite file of this market in the data folder."""
    if settings.database_url is not None:
        return settings.database_url
    return f"sqlite:///{settings.data_dir / market.key}.sqlite"


def accounts_url(settings: Settings) -> str:
    """DATABASE_URL if set, else the SQLite file of people in the data folder."""
    if settings.database_url is not None:
        return settings.database_url
    return f"sqlite:///{settings.data_dir / ACCOUNTS}.sqlite"
