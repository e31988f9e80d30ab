"""Alert rules at the close of a bar: judged, stepped, written down and told.

All that comes of a rule is written in one transaction, with some other rules. Those of which messages are
sent come first, a few at a time, so that the first messages are on their way while the next ones are
written, and of those the ones with the least to write, so that few wait for the many events of another;
what no message waits for is written when they are sent.

Every rule goes on from the bar it was judged at last, through every hour up to the newest bar that is
stored, so nothing is missed while no worker runs; of an hour without any bar nothing is known. A bar that
was judged already is left alone, so the same work may be done again, or by two workers at once, without a
second effect. Where a market's bar is stored after its rule was judged at that time, the market alone is
judged at it in the next round, unless it was judged at a later bar already. All that happened is written
down; what is old is not told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from core.alerts import Rule, compile_rule
from core.alerts.definition import RuleDefinition
from core.alerts.engine import (
    Event,
    Judged,
    acknowledge,
    carry_over,
    remove,
    reopen,
    step_all,
    untold,
)
from core.alerts.kernels import UNKNOWN, Truth
from core.alerts.notices import CaughtUp, Decision, decide, without_superseded
from core.alerts.silences import Silence
from core.alerts.states import (
    ERROR,
    ERROR_TRUTH,
    FIRED_AT,
    FIRING,
    HEALTH,
    NONE,
    OK,
    PHASE,
    RECOVERING,
    SEEN_AT,
    TOLD_AT,
    States,
    changed,
    from_rows,
    to_columns,
    to_moment,
)
from core.errors import RuleError
from core.jobs.alert_frames import AlertFrames, Seen
from core.jobs.telling import Destinations, Parts, messages_of
from core.store import outbox
from core.store.alerts import rules as stored_rules
from core.store.alerts import states as stored_states
from core.store.alerts.frame import load_hours, load_late, load_symbols_since
from core.store.alerts.rules import StoredRule
from core.store.alerts.silences import load_silences
from core.store.alerts.states import Progress, StoredEvent

# Bars that were missed for longer than this are not judged any more: the news would be old.
MISSED = timedelta(hours=72)
# A market without a bar for so long is not traded any more.
GONE = timedelta(days=7)
# What is written in one transaction: so many rules or so many events, whichever is met first. The first
# of messages that are sent are few, and then twice as many each time: there is always something to send
# while the next is written, and it takes few transactions.
_RULES, _EVENTS = 125, 1_500
_FIRST_RULES = 16
_TICK = timedelta(microseconds=1)
_logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Work:
    """A rule with the bars it is to be judged at, and what comes of it.

    ``bars`` are those after the one it was judged at last. ``again`` are earlier ones, of which
    some markets came late. ``events`` are what became of it before it is stepped.
    """

    rule: StoredRule
    compiled: Rule | None
    progress: Progress | None
    before: States
    states: States
    bars: list[datetime]
    again: list[datetime] = field(default_factory=list)
    seen: Seen | None = None
    truth: dict[datetime, Truth] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    message: str | None = None

    @property
    def definition(self) -> RuleDefinition:
        return self.rule.definition

    @property
    def stepped(self) -> list[datetime]:
        """All bars it is stepped at, in order."""
        return [*self.again, *self.bars]

    @property
    def happened(self) -> set[tuple[str, datetime]]:
        """Where something happened: symbols and bars."""
        return {(each.event.symbol, each.event.at) for each in self.decisions}

    @property
    def tells(self) -> bool:
        """Whether there is something to send of it."""
        return any(one.sent for one in self.decisions)

    @property
    def told_until(self) -> datetime | None:
        return None if self.progress is None else self.progress.bar

    def decide(self, events: Sequence[Event], silences: Sequence[Silence], now: datetime) -> None:
        """What is told of events; a firing that is not is told late, once it may be."""
        made = [decide(event, self.definition, silences, now) for event in events]
        kept = [one for one in made if not one.sent and one.event.kind in ("fired", "late")]
        if kept:
            self.states = untold(self.states, [one.event.symbol for one in kept])
        # That nothing is told yet is no event.
        self.decisions += [one for one in made if one.sent or one.event.kind != "late"]


@dataclass(frozen=True)
class _Written:
    """Rules whose bars this process has written down; how much happened, and how many messages are new."""

    work: Sequence[_Work]
    happened: int
    messages: int


@dataclass
class Alerting:
    """Judges the rules of one database. ``clock`` is the time of the market; ``told`` is called when
    there is something to send; ``link`` is the address of the dashboard, where it is known. ``people`` gives
    who may sign in: nothing is sent to the own channels of others. By default all may. ``stand_back`` is
    called when all messages of a bar are there, before what no message waits for is written."""

    engine: Engine
    clock: Callable[[], datetime]
    told: Callable[[], None] = lambda: None
    link: str = ""
    people: Callable[[], Collection[str]] | None = None
    stand_back: Callable[[], None] = lambda: None
    _frames: AlertFrames = field(default_factory=AlertFrames)
    # Version, newest bar and states of rules as this process judged them last.
    _kept: dict[int, tuple[int, datetime, States]] = field(default_factory=dict)
    _compiled: dict[str, Rule | RuleError] = field(default_factory=dict)
    # By id and version.
    _rules: dict[tuple[int, int], StoredRule] = field(default_factory=dict)

    def judge(self, bar: datetime) -> int:
        """Judge every rule up to a bar; how many things happened."""
        # What is stored from here on may not be seen below: it came late, and is judged in the next round.
        now = self.clock()
        with self.engine.connect() as conn:
            work = self._prepare(conn, bar, now)
            for name in sorted({one.definition.profile_name for one in work}):
                self._look(conn, [one for one in work if one.definition.profile_name == name])
            silences = load_silences(conn, _since(work, bar))
        _step(work, silences, now)
        people = None if self.people is None else cache(self.people)
        telling = sorted((one for one in work if one.tells), key=lambda one: len(one.decisions))
        turns = _in_turn(telling, first=_FIRST_RULES)
        written = [self._write(some, people, now) for some in turns]
        if any(one.messages for one in written):
            self.stand_back()
        turns = _in_turn([one for one in work if not one.tells])
        written += [self._write(some, people, now) for some in turns]
        with self.engine.begin() as conn:
            stored_states.hold_alerts(conn)
            ended = stored_states.end_deleted(conn, now)
        self._show([each for one in written for each in one.work])
        return ended + sum(one.happened for one in written)

    def _prepare(self, conn: Connection, bar: datetime, now: datetime) -> list[_Work]:
        """Rules that there are bars for, each where it stands."""
        progress = stored_states.load_progress(conn)
        rules = stored_rules.list_rules(conn, self._rules)
        self._rules = {(rule.id, rule.version): rule for rule in rules}
        begun = {rule.id: (rule, _judged_until(rule, progress.get(rule.id), bar)) for rule in rules}
        due = {each: found for each, found in begun.items() if found[1] < bar}
        if not due:
            return []
        stored = load_hours(conn, min(until for _, until in due.values()), bar)
        cold = [each for each in due if not self._knows(due[each][0], progress.get(each))]
        rows = stored_states.load_states(conn, cold)
        found = []
        for rule, until in due.values():
            bars = [one for one in stored if one > until]
            if bars:
                states = (
                    from_rows(rows.get(rule.id, []), seen_at=until)
                    if rule.id in cold
                    else self._kept[rule.id][2]
                )
                was = progress.get(rule.id)
                found.append(_Work(rule, self._compile(rule), was, states, states, bars))
        _carry_over(conn, found)
        _reopen(conn, found, bar)
        _take_note(conn, found, now)
        return found

    def _knows(self, rule: StoredRule, progress: Progress | None) -> bool:
        kept = self._kept.get(rule.id)
        if kept is None or progress is None:
            return False
        return kept[:2] == (progress.version, progress.bar)

    def _compile(self, rule: StoredRule) -> Rule | None:
        text = rule.definition.expression
        if rule.unusable:
            return None
        if text not in self._compiled:
            try:
                self._compiled[text] = compile_rule(text)
            except RuleError as error:
                # It was right when it was saved: the language has changed since.
                self._compiled[text] = error
        found = self._compiled[text]
        return found if isinstance(found, Rule) else None

    def _look(self, conn: Connection, work: Sequence[_Work]) -> None:
        """Evaluate the rules of one profile at their bars."""
        bars = sorted({bar for one in work for bar in one.stepped})
        compiled = {one.compiled for one in work if one.compiled is not None}
        name = work[0].definition.profile_name
        seen = self._frames.see(conn, name, compiled, bars)
        living = sorted(load_symbols_since(conn, bars[-1] - GONE))
        for one in work:
            one.seen = seen
            _evaluate(one, seen, living)
            if one.compiled is None:
                one.message = one.rule.unusable or str(self._compiled[one.definition.expression])

    def _write(
        self, work: Sequence[_Work], people: Callable[[], Collection[str]] | None, now: datetime
    ) -> _Written:
        """Write down what came of some rules, and what is to be told of it."""
        with self.engine.begin() as conn:
            stored_states.hold_alerts(conn)
            newest = stored_states.load_progress(conn, [one.rule.id for one in work])
            # What another worker has judged meanwhile is done.
            mine = [one for one in work if newest.get(one.rule.id) == one.progress]
            happened, messages = self._put(conn, mine, Destinations.load(conn, people), now)
        for one in mine:
            self._kept[one.rule.id] = one.rule.version, one.bars[-1], one.states
        if messages:
            self.told()
        return _Written(mine, happened, messages)

    def _put(
        self, conn: Connection, work: Sequence[_Work], destinations: Destinations, now: datetime
    ) -> tuple[int, int]:
        explained = [(one, _explain(one, one.happened)) for one in work]
        events = [event for one, parts in explained for event in _events(one, parts, now)]
        happened = stored_states.add_events(conn, events)
        messages = [
            message
            for one, parts in explained
            for message in messages_of(
                one.rule.id,
                one.definition,
                one.decisions,
                parts,
                destinations,
                CaughtUp(now, one.bars[-1], one.told_until),
                self.link,
            )
        ]
        sent = outbox.put(conn, messages, now)
        for one in work:
            gone = set(one.before.symbols) - set(one.states.symbols)
            if gone:
                stored_states.drop_states(conn, one.rule.id, gone)
        stored_states.save_states(conn, _changed(explained))
        stored_states.save_progress(conn, [_progress(one, now) for one in work])
        return happened, sent

    def _show(self, work: Sequence[_Work]) -> None:
        """Write down what the parts of every rule are where it fires, which no message waits for."""
        shown = []
        for one in work:
            bar = one.bars[-1]
            parts = _explain(one, {(name, bar) for name in one.states.in_phase(FIRING, RECOVERING)})
            if parts:
                values = {symbol: each for (symbol, _), each in parts.items()}
                shown.append((one.rule.id, bar, values))
        if shown:
            with self.engine.begin() as conn:
                stored_states.save_values(conn, shown)


def _judged_until(rule: StoredRule, progress: Progress | None, bar: datetime) -> datetime:
    """A rule is judged at bars that close after it was first saved."""
    since = rule.created_at if progress is None else progress.bar
    return max(since, bar - MISSED)


def _carry_over(conn: Connection, work: Sequence[_Work]) -> None:
    for one in work:
        if one.progress is not None and one.progress.version != one.rule.version:
            old = stored_rules.load_definition(conn, one.rule.id, one.progress.version)
            one.states, events = carry_over(old, one.definition, one.states, one.bars[0] - _TICK)
            one.events += events


def _reopen(conn: Connection, work: Sequence[_Work], newest: datetime) -> None:
    """Have the bars judged that were stored after their rule had been."""
    alike: dict[tuple[str, datetime, datetime], list[_Work]] = {}
    for one in work:
        if one.progress is not None and not _expired(one.definition, one.progress.bar):
            asked = one.definition.profile_name, one.progress.bar, one.progress.stepped_at
            alike.setdefault(asked, []).append(one)
    for (name, bar, judged_at), rules in alike.items():
        blind = set[str]().union(*(one.states.without_health(OK) for one in rules))
        late = load_late(conn, name, blind, judged_at, after=newest - MISSED, until=bar)
        for one in rules if late else ():
            before = one.states
            one.states = reopen(before, late)
            moved = one.states.table[SEEN_AT] != before.table[SEEN_AT]
            if moved.any():
                since = to_moment(int(one.states.table[SEEN_AT, moved].min()))
                assert since is not None
                one.again = load_hours(conn, since, bar)


def _expired(definition: RuleDefinition, bar: datetime) -> bool:
    """Whether it had ended by then, whatever was not known."""
    return definition.expires_at is not None and definition.expires_at <= bar


def _take_note(conn: Connection, work: Sequence[_Work], now: datetime) -> None:
    """Take account of firings that people have acknowledged since."""
    firing = [one for one in work if one.states.in_phase(FIRING, RECOVERING)]
    if firing:
        noted = stored_states.acknowledged_firings(conn)
        for one in firing:
            one.states = acknowledge(one.states, noted.get(one.rule.id, ()), now)


def _evaluate(one: _Work, seen: Seen, living: Sequence[str]) -> None:
    """The truth of a rule for every market it is about, at each of its bars."""
    truth = None
    if one.compiled is not None:
        try:
            truth = one.compiled.truth_in(seen.evaluation)
        except Exception as error:
            _logger.exception("The rule %s could not be evaluated.", one.rule.name)
            one.message = f"The rule could not be evaluated: {error}"
    left = set(one.states.symbols).difference(living)
    if left:
        one.states, ended = remove(one.states, left, one.bars[0])
        one.events += ended
    own = one.definition.symbols
    covered = [symbol for symbol in living if one.definition.covers(symbol)] if own else living
    one.states = one.states.with_symbols(covered, seen_at=one.bars[0] - _TICK)
    for bar in one.stepped:
        one.truth[bar] = _at_bar(one.states.symbols, seen, bar, truth)


def _at_bar(symbols: tuple[str, ...], seen: Seen, bar: datetime, truth: Truth | None) -> Truth:
    found = np.full(len(symbols), ERROR_TRUTH if truth is None else UNKNOWN, dtype=np.int8)
    if truth is not None:
        to, rows = seen.places(symbols, bar)
        found[to] = truth[rows]
    return found


def _since(work: Sequence[_Work], bar: datetime) -> datetime:
    """From when on silences matter: also those that kept back what may be told late now."""
    found = [each for one in work for each in one.stepped[:1]]
    for one in work:
        table = one.states.table
        fired = table[FIRED_AT, (table[PHASE] >= FIRING) & (table[TOLD_AT] == NONE)]
        found += [moment for us in fired.tolist() if (moment := to_moment(us)) is not None]
    return min(found, default=bar)


def _step(work: Sequence[_Work], silences: Sequence[Silence], now: datetime) -> None:
    for one in work:
        one.decide(one.events, silences, now)
    for bar in sorted({bar for one in work for bar in one.truth}):
        due = [one for one in work if bar in one.truth]
        judged = [Judged(one.definition, one.states, one.truth[bar]) for one in due]
        for one, (states, events) in zip(due, step_all(judged, bar), strict=True):
            one.states = states
            one.decide(events, silences, now)
    for one in work:
        one.decisions = without_superseded(one.decisions)


def _in_turn(work: Sequence[_Work], first: int | None = None) -> Iterator[list[_Work]]:
    """Rules as they are written, some at a time: at ``first`` so many, and then twice as many each time."""
    some: list[_Work] = []
    most, events = min(first or _RULES, _RULES), 0
    for one in work:
        some.append(one)
        events += len(one.decisions)
        if len(some) >= most or events >= _EVENTS:
            yield some
            some, events, most = [], 0, min(2 * most, _RULES)
    if some:
        yield some


def _explain(one: _Work, wanted: Collection[tuple[str, datetime]]) -> Parts:
    """What the parts of a rule were for symbols at bars."""
    if one.compiled is None or one.seen is None or one.message is not None:
        return {}
    return one.seen.explain(one.compiled, wanted)


def _events(one: _Work, parts: Parts, now: datetime) -> Iterator[StoredEvent]:
    for decision in one.decisions:
        event = decision.event
        yield StoredEvent(
            rule_id=one.rule.id,
            version=one.rule.version,
            symbol=event.symbol,
            kind=event.kind,
            at=event.at,
            began_at=event.began_at,
            fired_at=event.fired_at,
            severity=one.definition.severity,
            reason=event.reason,
            told=decision.reason,
            parts=parts.get((event.symbol, event.at)),
            recorded_at=now,
        )


def _changed(explained: Iterable[tuple[_Work, Parts]]) -> dict[str, list[Any]]:
    """The states that are others than before, of several rules, by column."""
    found: dict[str, list[Any]] = {}
    for one, parts in explained:
        columns = to_columns(one.states, changed(one.states, one.before))
        events = [each.event for each in one.decisions]
        fired = {event.symbol: event.at for event in events if event.kind == "fired"}
        symbols = columns["symbol"]
        columns["rule_id"] = [one.rule.id] * len(symbols)
        columns["fired_parts"] = [
            parts.get((symbol, fired[symbol])) if symbol in fired else None for symbol in symbols
        ]
        for name, values in columns.items():
            found.setdefault(name, []).extend(values)
    return found


def _progress(one: _Work, now: datetime) -> Progress:
    health = one.states.table[HEALTH]
    unknown = int((health != OK).sum())
    everywhere = unknown == len(health) > 0
    said = "error" if one.message or (health == ERROR).any() else "no_data" if everywhere else "ok"
    return Progress(
        one.rule.id,
        one.rule.version,
        one.bars[-1],
        said,
        one.message,
        unknown,
        len(health),
        now,
    )
