"""Every name that an alert rule may use: its column, unit, meaning and an example of its use.

A name whose column a frame does not have is unknown in every row of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Literal

from core.alerts.ranges import ANYTHING, Range
from core.market.frame import COLUMNS, SOURCES
from core.outcomes import HORIZONS
from core.signals import FACTORS
from core.signals.factors import BY_NAME as FACTOR_OF
from core.verdicts import RISK_MODES, VERDICTS
from core.verdicts.rules import MULTIPLIER_CAPS

NameKind = Literal["number", "text", "symbol"]
Group = Literal["Market", "Factors", "Signal", "Verdict", "System"]

DIRECTIONS: Mapping[str, float] = MappingProxyType({"SHORT": -1.0, "NEUTRAL": 0.0, "LONG": 1.0})


@dataclass(frozen=True)
class Name:
    """One name of the language.

    ``values`` are the texts it may be compared with, each with the number that stands for it in
    arrays. ``column`` is the frame's column; where that is absent and there are two ``quotient``
    columns, the first divided by the second is taken. No known value lies outside of ``range``.
    ``alike`` are names that are easily written for this one; ``never`` is why it is unknown in
    every row, empty where it is not.
    """

    name: str
    group: Group
    title: str
    unit: str
    meaning: str
    typical: str
    example: str
    kind: NameKind = "number"
    values: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    aliases: tuple[str, ...] = ()
    quotient: tuple[str, str] | None = None
    range: Range = ANYTHING
    alike: tuple[str, ...] = ()
    never: str = ""

    @property
    def usual_size(self) -> float | None:
        """How large it usually is at most, whatever its sign; None where that is not said.

        >>> BY_NAME["funding_rate_8h"].usual_size, BY_NAME["close"].usual_size
        (0.0005, None)
        """
        low, dots, high = self.typical.partition("..")
        return max(abs(float(low)), abs(float(high))) if dots else None

    @property
    def column(self) -> str:
        return self.name

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that a frame must have for this name to be known."""
        return () if self.kind == "symbol" else self.quotient or (self.column,)


_TITLES = {
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "volume_usd": "Volume",
    "funding_rate_8h": "Funding rate",
    "open_interest_usd": "Open interest in USD",
    "open_interest": "Open interest",
    "long_account_share": "Long accounts",
    "top_long_share": "Top traders long",
    "long_liquidations_usd": "Long liquidations",
    "short_liquidations_usd": "Short liquidations",
    "social_score": "Social score",
    "fear_greed": "Fear & greed",
}
_USES = {
    "open": ("above 0", "close > open"),
    "high": ("above 0", 'high >= highest(high, "7d")'),
    "low": ("above 0", 'low <= lowest(low, "7d")'),
    "close": ("above 0", 'change_percent(close, "4h") < -3'),
    "volume_usd": ("1e5..1e9", 'volume_usd > 3 * avg(volume_usd, "7d")'),
    "funding_rate_8h": ("-0.0005..0.0005", "funding_rate_8h > 0.0005"),
    "open_interest_usd": ("1e6..1e10", "open_interest_usd > 50000000"),
    "open_interest": ("above 0", 'change_percent(open_interest, "24h") > 10'),
    "long_account_share": ("0.4..0.75", "long_account_share > 0.7"),
    "top_long_share": ("0.4..0.75", "top_long_share - long_account_share > 0.1"),
    "long_liquidations_usd": ("0..1e8", 'zscore(long_liquidations_usd, "7d") > 3'),
    "short_liquidations_usd": ("0..1e8", "short_liquidations_usd > 1000000"),
    "social_score": ("20..90", 'change(social_score, "24h") > 15'),
    "fear_greed": ("10..90", "fear_greed < 20"),
}


_SHARE, _POINTS, _POSITIVE = Range(0.0, 1.0), Range(0.0, 100.0), Range(0.0, inf)
# No venue settles more than the whole value of a position in eight hours.
_FUNDING = Range(-1.0, 1.0)


def _market() -> list[Name]:
    ranges = {column.name: Range(*column.range) for column in COLUMNS}
    ranges["funding_rate_8h"] = _FUNDING
    alike: dict[str, tuple[str, ...]] = {}
    for factor, columns in _COLUMNS_LIKE.items():
        for name in columns:
            alike[name] = (*alike.get(name, ()), f"factor_{factor}")
    return [
        Name(column.name, "Market", _TITLES[column.name], column.unit, column.meaning, *use,
             range=ranges[column.name], alike=alike.get(column.name, ()))
        for column in COLUMNS
        for use in [_USES[column.name]]
    ]  # fmt: skip


_RAW_UNITS = {
    "liquidations": "log ratio",
    "price_momentum": "sigma",
    "funding_rate": "fraction per 8 h",
    "long_short_ratio": "0..1",
    "smart_money": "0..1",
    "oi_trend": "fraction",
    "social_sentiment": "points",
    "fear_greed": "0..100",
}
# What is measured and its mean have the same range; the others are ratios of what may be anything.
_RAW_RANGES = {
    "funding_rate": _FUNDING,
    "long_short_ratio": _SHARE,
    "smart_money": _SHARE,
    "social_sentiment": _POINTS.change,
    "fear_greed": _POINTS,
}
# Factors, 0..100, whose name is nearly that of a column in another unit.
_COLUMNS_LIKE = {
    "liquidations": ("long_liquidations_usd", "short_liquidations_usd"),
    "funding_rate": ("funding_rate_8h",),
    "long_short_ratio": ("long_account_share",),
    "smart_money": ("top_long_share",),
    "oi_trend": ("open_interest_usd",),
    "social_sentiment": ("social_score",),
    "fear_greed": ("fear_greed",),
}
_NO_PAST = "fear & greed is taken as it is published, and not compared with its past"


def _factors() -> list[Name]:
    market = {column.name for column in COLUMNS}
    # fear_greed alone means what was published, as in the market frame.
    never = {"fear_greed": _NO_PAST}
    own = {factor: () if factor in market else (factor,) for factor in FACTORS}
    measured = "what the factor measures, before it is compared with the past"
    normal = "the mean of that over the 30 days before the bar"
    return [
        *(
            Name(f"factor_{factor}", "Factors", _title(factor), "0..100",
                 "the factor: 50 is normal for the last 30 days, above 50 bullish", "20..80",
                 f"factor_{factor} >= 75", aliases=own[factor], range=_POINTS,
                 alike=_COLUMNS_LIKE.get(factor, ()))
            for factor in FACTORS
        ),
        *(
            Name(f"raw_{factor}", "Factors", f"{_title(factor)}, measured", _RAW_UNITS[factor],
                 measured, "", f'raw_{factor} >= highest(raw_{factor}, "7d")',
                 range=_RAW_RANGES.get(factor, ANYTHING))
            for factor in FACTORS
        ),
        *(
            Name(f"normal_{factor}", "Factors", f"{_title(factor)}, normal", _RAW_UNITS[factor],
                 normal, "", f"raw_{factor} < normal_{factor}",
                 range=_RAW_RANGES.get(factor, ANYTHING), never=never.get(factor, ""))
            for factor in FACTORS
        ),
        *(
            Name(f"z_{factor}", "Factors", f"{_title(factor)}, distance", "sigma",
                 "how far the measured is from its normal, in standard deviations", "-3..3",
                 f"abs(z_{factor}) > 2", never=never.get(factor, ""))
            for factor in FACTORS
        ),
    ]  # fmt: skip


def _title(factor: str) -> str:
    return FACTOR_OF[factor].title


def _codes(texts: tuple[str, ...]) -> Mapping[str, float]:
    return MappingProxyType({text: float(place) for place, text in enumerate(texts)})


_SIGNAL = [
    Name("symbol", "Signal", "Symbol", "text", "the market", "BTCUSDT",
         'symbol in ("BTCUSDT", "ETHUSDT") and score > 60', kind="symbol"),
    Name("score", "Signal", "Score", "0..100", "weighted mean of the known factors, above 50 = bullish",
         "40..60", "score >= 62 or score <= 38", range=_POINTS),
    Name("direction", "Signal", "Direction", "text or -1, 0, 1",
         "what the score says: SHORT is -1, NEUTRAL 0, LONG 1", "", 'direction == "LONG"',
         values=DIRECTIONS, range=Range(-1.0, 1.0)),
    Name("coverage", "Signal", "Coverage", "0..1", "share of the factors' weight that is known",
         "0.7..1", "coverage < 0.7", range=_SHARE),
    Name("agreement", "Signal", "Agreement", "0..1", "1 when all factors lean the same way",
         "0.1..0.9", "agreement > 0.8 and score > 60", range=_SHARE),
    Name("conviction", "Signal", "Conviction", "0..100", "twice the distance of the score from 50",
         "0..40", "conviction >= 30", range=_POINTS),
    Name("volatility_ratio", "Signal", "Volatility ratio", "ratio",
         "volatility of the last 24 hours over that of the last 30 days", "0.5..2",
         "volatility_ratio > 1.8", range=_POSITIVE),
    Name("atr", "Signal", "ATR", "quote", "average true range of 14 closed 4-hour bars", "above 0",
         "high - low > 2 * atr", range=_POSITIVE),
    Name("normal_atr", "Signal", "Normal ATR", "quote", "what the ATR usually is for this market",
         "above 0", "atr > 2 * normal_atr", range=_POSITIVE),
    Name("atr_fraction", "Signal", "ATR of the price", "fraction", "ATR divided by the close",
         "0.005..0.05", "atr_fraction > 0.03", quotient=("atr", "close"), range=_POSITIVE),
]  # fmt: skip
_VERDICT = [
    Name("verdict", "Verdict", "Verdict", "text", "what the rules say",
         "", 'verdict == "CONFIRM" and direction == "SHORT"', kind="text", values=_codes(VERDICTS)),
    Name("model_verdict", "Verdict", "Model's verdict", "text",
         "what the language model said of the bar before, where it had answered by the close of this one", "",
         'verdict == "CONFIRM" and model_verdict != "CONFIRM"', kind="text",
         values=_codes(VERDICTS)),
    Name("risk_mode", "Verdict", "Risk mode", "text", "how much speaks against a trade", "",
         'risk_mode in ("AVOID", "REDUCED")', kind="text", values=_codes(RISK_MODES)),
    Name("risk_points", "Verdict", "Risk points", "count", "how many things speak against a trade",
         "0..6", "risk_points >= 3", range=Range(0.0, 6.0)),
    Name("multiplier", "Verdict", "Multiplier", "times", "size of the trade that the verdict allows",
         "0..1.5", "multiplier >= 1", range=Range(0.0, max(MULTIPLIER_CAPS.values()))),
]  # fmt: skip


def _system() -> list[Name]:
    ages = [
        Name(
            f"age_{source}",
            "System",
            f"Age of {source.replace('_', ' ')}",
            "h",
            "how old the newest value of this source was at the bar's close",
            "0..2",
            f"age_{source} > 3",
            range=_POSITIVE,
        )
        for source in SOURCES
    ]
    lag = (
        "seconds from the close of the bar before until its signal was stored; where that had not "
        "happened by the close of this one, since the close of the first bar that had none yet"
    )
    return [
        *ages,
        Name("worker_lag", "System", "Worker's lag", "s", lag, "2..60", "worker_lag > 120",
             range=_POSITIVE),
    ]  # fmt: skip


NAMES: tuple[Name, ...] = (*_market(), *_factors(), *_SIGNAL, *_VERDICT, *_system())
BY_NAME: Mapping[str, Name] = MappingProxyType(
    {**{name.name: name for name in NAMES}, **{a: name for name in NAMES for a in name.aliases}}
)


@dataclass(frozen=True)
class Statistic:
    """Sums over outcomes that a rule asks for: a column whose name says which.

    Over all traded signals of the profile with this verdict, all symbols together, whose horizon
    ended in the last ``days`` whole UTC days before the bar.
    """

    measure: Literal["win_rate", "outcome_count"]
    verdict: str
    days: int
    horizon: str

    @property
    def column(self) -> str:
        """The column of the frame.

        >>> Statistic("win_rate", "CONFIRM", 30, "4h").column
        'win_rate_confirm_30d_4h'
        """
        return f"{self.measure}_{self.verdict.lower()}_{self.days}d_{self.horizon}"

    @classmethod
    def of(cls, column: str) -> Statistic | None:
        """The statistic that a column holds, None for any other column.

        >>> Statistic.of("win_rate_confirm_30d_4h")
        Statistic(measure='win_rate', verdict='CONFIRM', days=30, horizon='4h')
        >>> Statistic.of("close")
        """
        for measure in ("win_rate", "outcome_count"):
            verdict, _, rest = column.removeprefix(f"{measure}_").partition("_")
            days, _, horizon = rest.partition("_")
            if (
                column.startswith(measure)
                and verdict.upper() in VERDICTS
                and days[:-1].isdecimal()
                and horizon in HORIZONS
            ):
                return cls(measure, verdict.upper(), int(days[:-1]), horizon)
        return None
