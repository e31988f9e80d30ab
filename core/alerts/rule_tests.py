"""Unit tests of alert rules, as promtool's of Prometheus: series in, what should fire out.

rules_file: rules.yaml          # or the rules themselves under rules:
interval: 1h                    # distance of the bars: an hour, or a part of it
tests:
  - name: fires after two hours
    start: 2025-10-01T00:00Z    # close of the first bar
    series:
      BTCUSDT:
        score: 50 70x3 _ 70 50
    expect:
      - at: 3h                  # since the start
        rule: Hot
        firing: [BTCUSDT]       # exactly these; also pending, recovering, no_data
    expressions:
      - at: 3h
        expression: score > 60
        true: [BTCUSDT]         # exactly these; also unknown
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from core.alerts.definition import RuleDefinition
from core.alerts.durations import format_duration, parse_duration, parse_moment
from core.alerts.engine import step
from core.alerts.expression import Rule, compile_rule
from core.alerts.history import truth_of
from core.alerts.kernels import TRUE, UNKNOWN
from core.alerts.names import BY_NAME, NAMES, Statistic
from core.alerts.rule_files import (
    Document,
    Fault,
    FileRefused,
    load_rules,
    parse_document,
    rules_of,
)
from core.alerts.series import parse_series
from core.alerts.states import FIRING, HEALTH, OK, PENDING, RECOVERING, States, fresh
from core.errors import RuleError

_START = datetime(2025, 1, 1, tzinfo=UTC)
# Frames count nanoseconds, which end in 2262; a test may last for more than a year.
_YEARS = range(1970, 2201)
_PHASES = {"firing": FIRING, "pending": PENDING, "recovering": RECOVERING}
_EXPECTED = (*_PHASES, "no_data")
# The columns that names look at, with the words that may stand in them.
_TEXTS: Mapping[str, Collection[str]] = {
    column: name.values for name in NAMES for column in name.needs
}
_FIELDS = {
    "file": ("rules", "rules_file", "interval", "tests"),
    "test": ("name", "start", "interval", "series", "expect", "expressions"),
    "expectation": ("at", "rule", *_EXPECTED),
    "expression": ("at", "expression", "holds", "unknown"),
}


@dataclass(frozen=True)
class Failure:
    """An expectation that was not met, and where it stands."""

    file: str
    line: int
    test: str
    what: str
    expected: tuple[str, ...]
    got: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.file}, line {self.line}, test {self.test!r}: {self.what}: "
            f"expected {_list(self.expected)}, got {_list(self.got)}"
        )


@dataclass(frozen=True)
class Report:
    """What came of a file: the names of its tests, the number of checks, and what failed."""

    tests: tuple[str, ...]
    checks: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Check:
    """An expectation: ``bar`` counts from 0, ``lists`` are the symbols by what they should be."""

    line: int
    bar: int
    offset: str
    lists: Mapping[str, tuple[str, ...]]
    rule: RuleDefinition | None = None
    compiled: Rule | None = None


@dataclass(frozen=True)
class _Test:
    name: str
    frame: pd.DataFrame
    times: list[datetime]
    checks: list[_Check]


def run_tests(text: str, file: str, read: Callable[[str], str]) -> Report:
    """Run the tests of a file. Raises `FileRefused` where the file itself is wrong.

    ``read`` gives the text of the file that ``rules_file`` names, and raises OSError.
    """
    tests = _Reader(parse_document(text, file), read).tests()
    failures = [failure for test in tests for failure in _failures(test, file)]
    count = sum(len(check.lists) for test in tests for check in test.checks)
    return Report(tuple(test.name for test in tests), count, tuple(failures))


def _failures(test: _Test, file: str) -> list[Failure]:
    found = []
    machines: dict[str, list[States]] = {}
    for check in test.checks:
        if check.rule is not None:
            rule = check.rule
            if rule.name not in machines:
                machines[rule.name] = _stepped(rule, test)
            states = machines[rule.name][check.bar]
            got = {what: _in_state(states, what) for what in check.lists}
            subject = f"rule {rule.name!r}"
        else:
            assert check.compiled is not None
            got = _truths(check.compiled, test, check.bar)
            subject = check.compiled.text
        for what, expected in check.lists.items():
            if expected != got[what]:
                words = f"{subject}, {what.replace('_', ' ')} at {check.offset}"
                found.append(Failure(file, check.line, test.name, words, expected, got[what]))
    return found


def _stepped(rule: RuleDefinition, test: _Test) -> list[States]:
    """The states after each bar, by the machine that runs live."""
    compiled = compile_rule(rule.expression)
    symbols, _, truth = truth_of(rule, compiled, test.frame, test.times[0], test.times[-1])
    states, after = fresh(symbols), []
    for bar, at in enumerate(test.times):
        states, _ = step(rule, states, at, truth[:, bar])
        after.append(states)
    return after


def _in_state(states: States, what: str) -> tuple[str, ...]:
    if what == "no_data":
        blind = np.flatnonzero(states.table[HEALTH] != OK)
        return tuple(sorted(states.symbols[place] for place in blind))
    return tuple(sorted(states.in_phase(_PHASES[what])))


def _truths(rule: Rule, test: _Test, bar: int) -> dict[str, tuple[str, ...]]:
    everything = RuleDefinition(name="-", expression=rule.text)
    symbols, _, truth = truth_of(everything, rule, test.frame, test.times[0], test.times[-1])

    def those(value: int) -> tuple[str, ...]:
        return tuple(
            sorted(name for name, is_ in zip(symbols, truth[:, bar], strict=True) if is_ == value)
        )

    return {"holds": those(int(TRUE)), "unknown": those(int(UNKNOWN))}


def _list(symbols: tuple[str, ...]) -> str:
    return ", ".join(symbols) or "none"


@dataclass
class _Reader:
    """Reads a file of tests, and gathers all that is wrong with it before it gives up."""

    document: Document
    read: Callable[[str], str]
    faults: list[Fault] = field(default_factory=list)

    def tests(self) -> list[_Test]:
        body = self.document.body
        if not self._is_mapping(body, (), "file"):
            raise FileRefused(self.faults)
        rules = {rule.name: rule for rule in self._rules(body)}
        interval = self._interval(body.get("interval", "1h"), ("interval",))
        bodies = body.get("tests")
        if not isinstance(bodies, list) or not bodies:
            self._wrong(("tests",), "tests must be a list of tests")
            raise FileRefused(self.faults)
        tests = [self._test(each, n, rules, interval) for n, each in enumerate(bodies)]
        if self.faults:
            raise FileRefused(self.faults)
        return [test for test in tests if test is not None]

    def _rules(self, body: Mapping[str, Any]) -> list[RuleDefinition]:
        inline, named = body.get("rules", []), body.get("rules_file")
        if not isinstance(inline, list):
            self._wrong(("rules",), "rules must be a list of rules")
            inline = []
        found = rules_of(self.document, inline, ("rules",))
        self.faults += found.faults
        if named is None:
            return found.rules
        rules: list[RuleDefinition] = []
        try:
            rules = load_rules(self.read(str(named)), str(named))
        except OSError as error:
            self._wrong(("rules_file",), f"{named} cannot be read: {error.strerror or error}")
        except FileRefused as error:
            self.faults += error.faults
        self._refuse_twice(inline, {rule.name.casefold() for rule in rules}, str(named))
        return [*found.rules, *rules]

    def _refuse_twice(self, inline: list[Any], there: Collection[str], file: str) -> None:
        """Of a rule that stands here and in the file of rules, nobody knows which one is meant."""
        for number, body in enumerate(inline):
            name = body.get("name") if isinstance(body, dict) else None
            if isinstance(name, str) and name.strip().casefold() in there:
                said = f"there is a rule {name.strip()!r} in {file} as well: leave one of them out"
                self._wrong(("rules", number, "name"), said)

    def _test(
        self, body: Any, number: int, rules: Mapping[str, RuleDefinition], interval: timedelta
    ) -> _Test | None:
        path = ("tests", number)
        if not self._is_mapping(body, path, "test"):
            return None
        before = len(self.faults)
        if "interval" in body:
            interval = self._interval(body["interval"], (*path, "interval"))
        start = self._moment(body.get("start", _START), (*path, "start"))
        columns = self._series(body.get("series"), (*path, "series"))
        bars = max((len(v) for named in columns.values() for v in named.values()), default=0)
        if not bars and len(self.faults) == before:
            self._wrong((*path, "series"), "series have no values")
        times = [start + bar * interval for bar in range(bars)]
        checks = self._checks(body, path, rules, interval, bars)
        if not checks and len(self.faults) == before:
            self._wrong(path, "a test needs expect: or expressions:")
        if len(self.faults) > before:
            return None
        return _Test(
            str(body.get("name", f"test {number + 1}")), _frame(columns, times), times, checks
        )

    def _series(
        self, body: Any, path: tuple[object, ...]
    ) -> dict[str, dict[str, list[float | str]]]:
        if not isinstance(body, dict) or not body:
            self._wrong(path, "series must give each symbol its columns: BTCUSDT: {score: 50 70x3}")
            return {}
        found: dict[str, dict[str, list[float | str]]] = {}
        seen: dict[str, object] = {}
        for symbol, columns in body.items():
            other = seen.setdefault(str(symbol).upper(), symbol)
            if other is not symbol:
                self._wrong((*path, symbol), f"{symbol} is {other} again: write its columns there")
                continue
            if not isinstance(columns, dict) or not columns:
                self._wrong((*path, symbol), f"{symbol} needs columns: score: 50 70x3")
                continue
            for column, text in columns.items():
                try:
                    values = _values(str(column), text)
                except ValueError as error:
                    self._wrong((*path, symbol, column), f"{symbol}, {column}: {error}")
                    continue
                found.setdefault(str(symbol).upper(), {})[str(column)] = values
        return found

    def _checks(
        self,
        body: Mapping[str, Any],
        path: tuple[object, ...],
        rules: Mapping[str, RuleDefinition],
        interval: timedelta,
        bars: int,
    ) -> list[_Check]:
        found = []
        for key, kind in (("expect", "expectation"), ("expressions", "expression")):
            each = body.get(key, [])
            if not isinstance(each, list):
                self._wrong((*path, key), f"{key} must be a list")
                continue
            for number, inner in enumerate(each):
                place = (*path, key, number)
                if self._is_mapping(inner, place, kind):
                    check = self._check(inner, place, kind, rules, interval, bars)
                    found += [] if check is None else [check]
        return found

    def _check(
        self,
        body: Mapping[str, Any],
        path: tuple[object, ...],
        kind: str,
        rules: Mapping[str, RuleDefinition],
        interval: timedelta,
        bars: int,
    ) -> _Check | None:
        before = len(self.faults)
        offset = self._duration(body.get("at", "0s"), (*path, "at"), zero=True)
        bar, rest = divmod(offset, interval)
        if rest or not bar < max(bars, 1):
            last = format_duration(max(bars - 1, 0) * interval)
            said = f"at must be a bar: a multiple of {format_duration(interval)} up to {last}"
            self._wrong((*path, "at"), said)
        wanted = _EXPECTED if kind == "expectation" else ("holds", "unknown")
        lists = {what: self._symbols(body[what], (*path, what)) for what in wanted if what in body}
        if not lists:
            self._wrong(path, f"say what is expected: {', '.join(wanted)}")
        rule = compiled = None
        if kind == "expectation":
            rule = rules.get(str(body.get("rule")))
            if rule is None:
                known = ", ".join(rules) or "none"
                self._wrong(
                    (*path, "rule"), f"there is no rule {body.get('rule')!r}; there is {known}"
                )
        else:
            compiled = self._compiled(body.get("expression"), (*path, "expression"))
        if len(self.faults) > before:
            return None
        line = self.document.lines[path]
        return _Check(line, bar, format_duration(offset), lists, rule, compiled)

    def _compiled(self, text: Any, path: tuple[object, ...]) -> Rule | None:
        try:
            return compile_rule(str(text))
        except RuleError as error:
            self._wrong(path, str(error))
        return None

    def _symbols(self, value: Any, path: tuple[object, ...]) -> tuple[str, ...]:
        if not isinstance(value, list):
            self._wrong(path, f"{path[-1]} must be a list of symbols; [] for none")
            return ()
        return tuple(sorted(str(each).upper() for each in value))

    def _duration(self, value: Any, path: tuple[object, ...], *, zero: bool = False) -> timedelta:
        try:
            found = parse_duration(value)
        except ValueError as error:
            self._wrong(path, f"{path[-1]}: {error}")
            return timedelta(hours=1)
        if found is None and not zero:
            self._wrong(path, f"{path[-1]} must be longer than nothing")
        return found or timedelta(hours=0 if zero else 1)

    def _interval(self, value: Any, path: tuple[object, ...]) -> timedelta:
        """The distance of the bars: rules are judged on bars that are a whole part of an hour apart."""
        found = self._duration(value, path)
        if timedelta(hours=1) % found:
            self._wrong(
                path,
                f"{path[-1]}: bars cannot be {format_duration(found)} apart: an hour must be a multiple "
                "of it, as of 1h, 30m, 20m, 15m, 10m, 5m and 1m",
            )
        return found

    def _moment(self, value: Any, path: tuple[object, ...]) -> datetime:
        try:
            found = parse_moment(value)
            if found.year not in _YEARS:
                raise ValueError(f"must lie in the years {_YEARS[0]} to {_YEARS[-1]}")
        except ValueError as error:
            self._wrong(path, f"{path[-1]}: {error}")
            return _START
        return found

    def _is_mapping(self, body: Any, path: tuple[object, ...], kind: str) -> bool:
        known = _FIELDS[kind]
        if not isinstance(body, dict):
            self._wrong(path, f"must have {', '.join(known)}")
            return False
        for key in body:
            if key not in known:
                self._wrong((*path, key), f"{key} is not known here; there are {', '.join(known)}")
        return True

    def _wrong(self, path: tuple[object, ...], said: str) -> None:
        self.faults.append(self.document.fault(path, "", said))


def _values(column: str, text: object) -> list[float | str]:
    """The values of a column of the frame. Raises ValueError with what is wrong."""
    if column not in _TEXTS and Statistic.of(column) is None:
        named = BY_NAME.get(column)
        if named is not None and named.needs:
            raise ValueError(f"a frame calls it {' and '.join(named.needs)}")
        near = get_close_matches(column, _TEXTS, n=1)
        raise ValueError("is no column of a frame" + (f"; did you mean {near[0]}?" if near else ""))
    values = parse_series("" if text is None else str(text))
    words = {each for each in values if isinstance(each, str)}
    if odd := sorted(words.difference(_TEXTS.get(column, ()))):
        texts = ", ".join(_TEXTS.get(column, ()))
        said = f"its words are {texts}" if texts else "its values are numbers"
        raise ValueError(f"{odd[0]} is none of its values: {said}")
    return values


def _frame(
    columns: Mapping[str, Mapping[str, list[float | str]]], times: list[datetime]
) -> pd.DataFrame:
    """The series as a frame; a series that ends early is unknown from there on."""
    symbols, bars = sorted(columns), len(times)
    index = pd.MultiIndex.from_product(
        [symbols, pd.DatetimeIndex(times).as_unit("ns")], names=["symbol", "time"]
    )
    names = sorted({name for named in columns.values() for name in named})
    built = {}
    for name in names:
        flat: list[float | str | None] = []
        for symbol in symbols:
            values = columns[symbol].get(name, [])
            flat += [*values, *([float("nan")] * (bars - len(values)))]
        texts = any(isinstance(value, str) for value in flat)
        built[name] = pd.Series(
            [None if value != value else value for value in flat] if texts else flat,
            index=index,
            dtype=object if texts else np.float64,
        )
    return pd.DataFrame(built, index=index)
