"""The histories a profile can be run on: the market behind the dashboard, recordings, the demo."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import BacktestError
from core.market.choice import Market, demo_market, recording_market
from core.settings import Settings

FOLDER = "recordings"


@dataclass(frozen=True)
class History:
    """A history; ``key`` is that of its market, so the same one has the same key wherever it lies.

    ``market`` is None for the bars that are stored in the database.
    """

    key: str
    label: str
    market: Market | None = None


def histories(settings: Settings, behind: Market) -> list[History]:
    """Every history there is, the stored bars of the market behind the dashboard first."""
    found = [History(behind.key, f"{behind.label}, its stored bars")]
    others = [demo_market(settings.data_dir)]
    folder = settings.data_dir / FOLDER
    if folder.is_dir():
        others += [recording_market(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    return found + [
        History(other.key, other.label, other) for other in others if other.key != behind.key
    ]


def find_history(settings: Settings, behind: Market, key: str) -> History:
    """The history of a key; `BacktestError` where it is there no longer."""
    for one in histories(settings, behind):
        if one.key == key:
            return one
    raise BacktestError(
        f"The history {key} is not here: put its recording under {FOLDER}/ in CRYPTOSATX_DATA."
    )
