"""How fast alert rules are: 500 rules over 1,000 symbols, beside simpleeval row by row and NumPy."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from simpleeval import DEFAULT_OPERATORS, SimpleEval

from core.alerts import Evaluation, Rule, compile_rule
from core.alerts.names import BY_NAME
from core.backtest import decide
from core.bench import Figure, made_market
from core.market.grid import Floats
from core.signals import load_profile

Flags = npt.NDArray[np.bool_]
Market = Mapping[str, Floats]

_BARS = 24 * 9
_SAMPLE = 10
_TURNS = 9
_WINDOWS = (4, 6, 8, 12, 24, 36, 48, 72, 120, 168)
_LEAST_FASTER, _MOST_SLOWER = 100, 5


@dataclass(frozen=True)
class _Kind:
    """A kind of rule, with a threshold and a window: as text, and by hand in NumPy.

    The hand-written form takes columns of (symbols, times) without a gap and gives the newest bar.
    """

    text: str
    by_hand: Callable[[Market, float, int], Flags]
    low: float
    high: float


def _last(market: Market, name: str) -> Floats:
    return market[name][:, -1]


def _window(market: Market, name: str, bars: int) -> Floats:
    return market[name][:, -bars:]


def _crossed(a: Floats, level: float) -> Flags:
    return (a[:, -1] > level) & ~(a[:, -2] > level)


def _placed(values: Floats) -> Floats:
    falling = np.sort(-values)
    return np.asarray(np.searchsorted(falling, -values) + 1.0)


def _z(market: Market, name: str, bars: int) -> Floats:
    before = market[name][:, -bars - 1 : -1]
    return np.asarray((_last(market, name) - before.mean(axis=1)) / before.std(axis=1, ddof=1))


_KINDS = (
    _Kind("score >= {level}", lambda m, x, _: _last(m, "score") >= x, 51, 70),
    _Kind(
        'direction == "LONG" and score >= {level} and coverage >= 0.8',
        lambda m, x, _: (
            (_last(m, "direction") == 1) & (_last(m, "score") >= x) & (_last(m, "coverage") >= 0.8)
        ),
        55,
        70,
    ),
    _Kind(
        "factor_funding_rate < {level} and factor_long_short_ratio < {level} or score < 40",
        lambda m, x, _: (
            (_last(m, "factor_funding_rate") < x) & (_last(m, "factor_long_short_ratio") < x)
            | (_last(m, "score") < 40)
        ),
        20,
        50,
    ),
    _Kind(
        'change(score, "{window}h") > {level}',
        lambda m, x, w: _last(m, "score") - m["score"][:, -1 - w] > x,
        1,
        20,
    ),
    _Kind(
        'abs(change_percent(close, "{window}h")) > {level} and volume_usd > 1000000',
        lambda m, x, w: (
            (np.abs((_last(m, "close") - m["close"][:, -1 - w]) / m["close"][:, -1 - w] * 100) > x)
            & (_last(m, "volume_usd") > 1e6)
        ),
        1,
        6,
    ),
    _Kind(
        'volume_usd > {level} * avg(volume_usd, "{window}h")',
        lambda m, x, w: _last(m, "volume_usd") > x * _window(m, "volume_usd", w).mean(axis=1),
        1,
        3,
    ),
    _Kind(
        'close >= highest(high, "{window}h") * {level}',
        lambda m, x, w: _last(m, "close") >= _window(m, "high", w).max(axis=1) * x,
        0.9,
        1,
    ),
    _Kind(
        'zscore(long_liquidations_usd, "{window}h") > {level}',
        lambda m, x, w: _z(m, "long_liquidations_usd", w) > x,
        1,
        4,
    ),
    _Kind(
        'std(score, "{window}h") < {level} and conviction < 30',
        lambda m, x, w: (
            (_window(m, "score", w).std(axis=1, ddof=1) < x) & (_last(m, "conviction") < 30)
        ),
        1,
        6,
    ),
    _Kind(
        "rank(volume_usd) <= {level} and score > 55",
        lambda m, x, _: (_placed(_last(m, "volume_usd")) <= x) & (_last(m, "score") > 55),
        5,
        200,
    ),
    _Kind("crosses_above(score, {level})", lambda m, x, _: _crossed(m["score"], x), 45, 65),
    _Kind(
        'count(close > open, "{window}h") >= {level}',
        lambda m, x, w: (_window(m, "close", w) > _window(m, "open", w)).sum(axis=1) >= x,
        2,
        40,
    ),
    _Kind(
        '{level} < score < 60 if verdict == "CONFIRM" else funding_rate_8h > 0.0003',
        lambda m, x, _: np.where(
            _last(m, "verdict") == 0,
            (x < _last(m, "score")) & (_last(m, "score") < 60),
            _last(m, "funding_rate_8h") > 0.0003,
        ),
        30,
        55,
    ),
    _Kind(
        "(high - low) / close > {level} and (close - open) / (high - low) < -0.5",
        lambda m, x, _: (
            ((_last(m, "high") - _last(m, "low")) / _last(m, "close") > x)
            & ((_last(m, "close") - _last(m, "open")) / (_last(m, "high") - _last(m, "low")) < -0.5)
        ),
        0.001,
        0.02,
    ),
    _Kind(
        'lowest(low, "{window}h") < close * {level} or not (agreement > 0.3)',
        lambda m, x, w: (
            (_window(m, "low", w).min(axis=1) < _last(m, "close") * x)
            | ~(_last(m, "agreement") > 0.3)
        ),
        0.9,
        1,
    ),
)


@dataclass(frozen=True)
class _Made:
    rule: Rule
    kind: _Kind
    level: float
    window: int


def made_rules(number: int) -> list[_Made]:
    """So many rules of all kinds, no two with the same threshold and window."""
    made = []
    for at in range(number):
        kind, turn = _KINDS[at % len(_KINDS)], at // len(_KINDS)
        turns = -(-number // len(_KINDS))
        level = round(kind.low + (kind.high - kind.low) * (turn + 0.5) / turns, 6)
        window = _WINDOWS[turn % len(_WINDOWS)]
        text = kind.text.format(level=level, window=window)
        made.append(_Made(compile_rule(text), kind, level, window))
    return made


def scored_market(symbols: int) -> pd.DataFrame:
    """The newest days of a made market, decided, without a gap."""
    frame = made_market(symbols, 720 + _BARS)
    times = frame.index.get_level_values("time").unique()
    decided = decide(frame, load_profile(), since=times[-_BARS])
    assert decided["score"].notna().all()
    return decided


def dense_columns(frame: pd.DataFrame, symbols: int) -> dict[str, Floats]:
    """What the rules by hand start from: columns as (symbols, times), verdicts as their place."""
    found: dict[str, Floats] = {}
    for name in frame.columns:
        values = BY_NAME[name].values if name in BY_NAME else {}
        if values and frame[name].dtype == object:
            column = frame[name].map(dict(values)).to_numpy(dtype=np.float64)
        elif name in BY_NAME:
            column = frame[name].to_numpy(dtype=np.float64)
        else:
            continue
        dense = np.asarray(column, dtype=np.float64).reshape((symbols, -1))
        found[name] = dense
    return found


class RowByRow(SimpleEval):  # type: ignore[misc]
    """simpleeval as it comes, over one row at a time.

    Functions over time get the bars of the row up to now as a NumPy array, which is generous: by
    itself simpleeval has no past. Parsing is not counted, so every expression is parsed before.
    """

    def __init__(self, market: Market, rules: list[_Made]) -> None:
        super().__init__(operators=DEFAULT_OPERATORS, functions=dict(_ROW_FUNCTIONS), names={})
        self._market = market
        self._parsed = [self.parse(_over_past(made)) for made in rules]
        self._ranks = {name: _placed(market[name][:, -1]) for name in ("volume_usd",)}
        self._texts = {1.0: "LONG", 0.0: "NEUTRAL", -1.0: "SHORT"}

    def row(self, at: int) -> list[Any]:
        """Every rule at one symbol's newest bar."""
        past = {f"{name}_past": values[at] for name, values in self._market.items()}
        now = {name: float(values[at, -1]) for name, values in self._market.items()}
        words: dict[str, Any] = {
            "direction": self._texts[now["direction"]],
            "verdict": list(BY_NAME["verdict"].values)[int(now["verdict"])],
            "place": float(self._ranks["volume_usd"][at]),
        }
        self.names = {**past, **now, **words}
        return [self.eval("", previously_parsed=parsed) for parsed in self._parsed]


def _hours(text: str) -> int:
    return int(text[:-1])


_ROW_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "change": lambda x, w: x[-1] - x[-1 - _hours(w)],
    "change_percent": lambda x, w: (x[-1] - x[-1 - _hours(w)]) / x[-1 - _hours(w)] * 100,
    "avg": lambda x, w: x[-_hours(w) :].mean(),
    "highest": lambda x, w: x[-_hours(w) :].max(),
    "lowest": lambda x, w: x[-_hours(w) :].min(),
    "std": lambda x, w: x[-_hours(w) :].std(ddof=1),
    "zscore": lambda x, w: (
        (x[-1] - x[-_hours(w) - 1 : -1].mean()) / x[-_hours(w) - 1 : -1].std(ddof=1)
    ),
    "crosses_above": lambda x, level: x[-1] > level and not x[-2] > level,
    "count": lambda flags, w: flags[-_hours(w) :].sum(),
}


def _over_past(made: _Made) -> str:
    """A rule's text where what functions over time take is the past of a name."""
    tree = ast.parse(made.rule.text, mode="eval").body
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "rank":
                node.func.id, node.args = "place", []
            elif node.func.id != "abs":
                for inner in ast.walk(node.args[0]):
                    if isinstance(inner, ast.Name):
                        inner.id = f"{inner.id}_past"
    return ast.unparse(tree).replace("place()", "place")


def alert_rules(rules: int = 500, symbols: int = 1000) -> list[Figure]:
    """So many rules on the newest bar of so many symbols: the limits are the two yardsticks.

    Every run begins anew with the frame and keeps nothing of the one before.
    """
    frame, made = scored_market(symbols), made_rules(rules)
    newest = frame.index.get_level_values("time")[-1]
    market = dense_columns(frame, symbols)

    def all_rules() -> list[npt.NDArray[np.int8]]:
        evaluation = Evaluation(frame, newest)
        return [one.rule.truth_in(evaluation) for one in made]

    def by_hand() -> list[Flags]:
        return [one.kind.by_hand(market, one.level, one.window) for one in made]

    rows = RowByRow(market, made)
    sample = np.linspace(0, symbols - 1, _SAMPLE).astype(int).tolist()
    _agree(all_rules(), by_hand(), [rows.row(at) for at in sample], sample)
    seconds, hand_seconds, per_row = _in_turns(
        [all_rules, by_hand, lambda: [rows.row(at) for at in sample]]
    )
    row_seconds = per_row / len(sample) * symbols
    name = f"{rules} alert rules on {symbols:,} symbols"
    each = f"{rules * symbols / seconds / 1e6:.1f} million a second"
    return [
        Figure(
            f"{name}, {each}",
            seconds,
            row_seconds / _LEAST_FASTER,
            f"simpleeval row by row ({len(sample)} rows, scaled)",
            row_seconds,
        ),
        Figure(name, seconds, hand_seconds * _MOST_SLOWER, "NumPy by hand", hand_seconds),
    ]


def _in_turns(works: list[Callable[[], object]]) -> list[float]:
    """Median seconds of each, measured in turns, so that a busy machine slows all of them alike."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(_TURNS):
        for work, spent in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            spent.append(time.perf_counter() - began)
    return [float(np.median(spent)) for spent in seconds]


def _agree(
    ours: list[npt.NDArray[np.int8]],
    by_hand: list[Flags],
    rows: list[list[Any]],
    sample: list[int],
) -> None:
    """All three must say the same, or none of the figures means anything."""
    for rule, (truth, flags) in enumerate(zip(ours, by_hand, strict=True)):
        if not np.array_equal(truth == 2, flags) or (truth == 1).any():
            raise AssertionError(f"rule {rule} differs from NumPy by hand")
        if [bool(row[rule]) for row in rows] != flags[sample].tolist():
            raise AssertionError(f"rule {rule} differs from simpleeval row by row")
