"""The names that an operator's page gives to sources, tables and columns."""

from __future__ import annotations

from core.market.files import FILES
from core.market.sources import ORDER, sources_in_use
from core.settings import Settings

TABLE_TITLES = {
    "candles_1h": "Candles",
    "funding": "Funding",
    "open_interest": "Open interest",
    "long_short": "Long/short accounts",
    "liquidations_4h": "Liquidations by the hour",
    "social": "Social score",
    "fear_greed": "Fear & greed",
}
COLUMN_TITLES = {
    "open": "open price",
    "high": "highest price",
    "low": "lowest price",
    "close": "close price",
    "volume": "volume in base units",
    "quote_volume": "turnover",
    "funding_rate": "funding rate",
    "interval_hours": "funding interval",
    "open_interest_usd": "open interest in USD",
    "open_interest": "open interest in base units",
    "long_account_share": "share of accounts that are long",
    "top_account_long_share": "top traders' share of accounts that are long",
    "top_position_long_share": "top traders' share of positions that are long",
    "long_liquidations_usd": "longs liquidated",
    "short_liquidations_usd": "shorts liquidated",
    "social_score": "social score",
    "fear_greed": "fear & greed",
}
# Columns of the market frame whose name does not say what an operator would call them.
_FRAME_TITLES = {
    "long_liquidations_usd": "longs liquidated",
    "short_liquidations_usd": "shorts liquidated",
    "fear_greed": "fear & greed",
    "volume_usd": "turnover",
    "funding_rate_8h": "funding rate per 8 h",
    "top_long_share": "top traders' long share",
    "long_account_share": "long account share",
}


def source_of(table: str, venue: str) -> str:
    """Who published rows of a table: the venue, or the one source of a table without venues.

    >>> source_of("candles_1h", "okx"), source_of("social", "")
    ('okx', 'lunarcrush')
    """
    return venue or ORDER[table][0]


def asked_for(table: str, settings: Settings) -> list[str]:
    """The sources in use that can be asked for a table, the preferred first."""
    used = sources_in_use(settings)
    exchanges = [name for name in settings.exchanges if name in ORDER[table]]
    others = [name for name in ORDER[table] if name in used and name not in exchanges]
    return [*exchanges, *others]


def frame_title(column: str) -> str:
    """A column of the market frame in words.

    >>> frame_title("open_interest_usd"), frame_title("volume_usd")
    ('open interest USD', 'turnover')
    """
    return _FRAME_TITLES.get(column, column.replace("_", " ").replace("usd", "USD"))


def table_title(name: str) -> str:
    """A table of the database in words.

    >>> table_title("observed_candles_1h"), table_title("sign_in_attempts")
    ('observed: candles', 'sign in attempts')
    """
    observed = TABLE_TITLES.get(name.removeprefix("observed_"))
    return f"observed: {observed.lower()}" if observed else name.replace("_", " ")


def steps_hours(table: str) -> float:
    """How far apart values of a table are on the live market, which asks exchanges by the hour."""
    return {"funding": 8.0, "fear_greed": 24.0}.get(table, min(FILES[table].step_hours, 1.0))
