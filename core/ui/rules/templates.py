"""Rules that many want, to start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.alerts.definition import RuleDefinition, parse_definition


@dataclass(frozen=True)
class Template:
    """A rule to start from, and what it is good for."""

    key: str
    meaning: str
    definition: RuleDefinition

    @property
    def name(self) -> str:
        return self.definition.name


def _template(key: str, name: str, meaning: str, expression: str, **other: object) -> Template:
    body = {"name": name, "expression": expression, "description": meaning, **other}
    return Template(key, meaning, parse_definition(body))


TEMPLATES: tuple[Template, ...] = (
    _template(
        "confirmed", "Confirmed signal",
        "A long or short signal that the verdict confirms, told once each time it begins.",
        'direction in ("LONG", "SHORT") and verdict == "CONFIRM"',
        severity="info", rearm="4h",
    ),
    _template(
        "crowded_longs", "Crowded longs",
        "Longs pay more than usual and more accounts than usual are long: a fall would force many out.",
        "funding_rate_8h > 0 and z_funding_rate > 1.5 and z_long_short_ratio > 1",
        **{"for": "2h", "keep_firing": "2h", "cooldown": "12h"},
    ),
    _template(
        "crowded_shorts", "Crowded shorts",
        "Shorts pay more than usual and more accounts than usual are short: a rise would force many out.",
        "funding_rate_8h < 0 and z_funding_rate < -1.5 and z_long_short_ratio < -1",
        **{"for": "2h", "keep_firing": "2h", "cooldown": "12h"},
    ),
    _template(
        "cascade", "Liquidation cascade",
        "Far more is liquidated in an hour than in any usual hour of the week, and the price moves with it.",
        'zscore(long_liquidations_usd + short_liquidations_usd, "7d") > 4 and '
        'abs(change_percent(close, "1h")) > 2',
        severity="critical", cooldown="6h",
    ),
    _template(
        "funding_flip", "Funding changes sign",
        "The mean funding of a day crosses zero: the side that pays has changed.",
        'crosses_above(avg(funding_rate_8h, "24h"), 0) or crosses_below(avg(funding_rate_8h, "24h"), 0)',
        severity="info", cooldown="1d",
    ),
    _template(
        "interest_surge", "Open interest surge",
        "Positions grow by a tenth within a day, counted in coins, so that a rising price alone does not count.",
        'change_percent(open_interest, "24h") > 10 and zscore(open_interest, "7d") > 2',
        cooldown="12h",
    ),
    _template(
        "volatility", "Volatility regime",
        "The last day is at least half again as volatile as the last month, and stays so.",
        "volatility_ratio > 1.5",
        **{"for": "4h", "keep_firing": "6h", "severity": "info"},
    ),
    _template(
        "breakout", "Breakout of the week",
        "The close is the highest, or the lowest, of all closes of seven days, on more volume than usual.",
        '(close >= highest(close, "7d") or close <= lowest(close, "7d")) and zscore(volume_usd, "7d") > 1.5',
        cooldown="12h",
    ),
    _template(
        "stale_source", "A source is stale",
        "Prices are over two hours old, open interest over four, or funding over nine: it is settled every eight.",
        "age_candles > 2 or age_open_interest > 4 or age_funding > 9",
        **{"for": "1h", "repeat": "6h"},
    ),
    _template(
        "low_coverage", "Low coverage",
        "So much is not known of a market that little stands behind its score.",
        "coverage < 0.7",
        **{"for": "3h", "severity": "info", "cooldown": "1d"},
    ),
    _template(
        "disagreement", "Rules and model disagree",
        "The verdict confirms a trade, and the language model's answer to the bar before was more cautious.",
        'verdict == "CONFIRM" and model_verdict != "CONFIRM"',
        severity="info", cooldown="4h",
    ),
    _template(
        "worker_lag", "The worker falls behind",
        "Signals are stored more than two minutes after their bar has closed, or not at all. Rules are "
        "judged by a worker, so one that is dead tells nobody until it is back: for that, have something "
        "outside ask /health.",
        "worker_lag > 120",
        severity="critical", **{"for": "1h", "repeat": "3h"},
    ),
    _template(
        "win_rate", "Win rate drops",
        "Fewer than four in ten of the confirmed trades of a month made money, of at least fifty.",
        'outcome_count("CONFIRM", "30d", "4h") >= 50 and win_rate("CONFIRM", "30d", "4h") < 0.4',
        rearm="1d", repeat="7d",
    ),
)  # fmt: skip
BY_KEY: Mapping[str, Template] = MappingProxyType({one.key: one for one in TEMPLATES})
