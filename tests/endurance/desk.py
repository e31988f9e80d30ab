"""A live market with a past, people, alerts and liquidations that go on: what a desk looks at all day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random

import pandas as pd
from sqlalchemy import Engine

from core.accounts import Role, people
from core.backtest import decide
from core.bench import made_market
from core.jobs.round import newest_bar
from core.market.frame import SOURCES
from core.market.stream.batch import Batch, StreamState
from core.market.stream.events import Event
from core.outcomes import resolve
from core.rule_bench import made_rules
from core.signals import PROFILE_NAMES, load_profile
from core.store.leases import take_lease
from core.store.liquidations import save_batch
from core.store.rounds import announce_past, end_past, end_round, start_round
from core.store.signals import save_bars, save_outcomes, save_profile, save_signals
from tests.alerted import judge, rule, save

HOUR = timedelta(hours=1)
PASSWORD = "four unrelated words"
VENUES = ("binance", "bybit", "okx")
# Statistics need 30 days; signals, and what became of them, are kept of the last ones.
BAR_DAYS, RULES = 34, 20
# Of a liquidation a second, as on a calm day.
EVERY_SECONDS = 1.0


def fill_desk(engine: Engine, symbols: int, days: int) -> datetime:
    """Bars, signals of all modes with their outcomes, and rules; the bar whose round is still open."""
    bar = newest_bar(datetime.now(UTC))
    frame = _market(symbols, bar)
    times = frame.index.get_level_values("time")
    with engine.begin() as conn:
        save_bars(conn, frame)
    for name in PROFILE_NAMES:
        profile = load_profile(name)
        planned = decide(frame, profile)
        kept = planned[times > bar - timedelta(days=days)]
        ages = pd.DataFrame(0.5, index=kept.index, columns=list(SOURCES))
        with engine.begin() as conn:
            save_profile(conn, profile, bar)
            save_signals(conn, kept, ages, profile, bar)
            save_outcomes(conn, resolve(kept, frame), profile, bar)
    _fill_alerts(engine, bar)
    with engine.begin() as conn:
        start_round(conn, bar - HOUR, "desk", bar)
        end_round(conn, bar - HOUR, bar)
        start_round(conn, bar, "desk", bar)
        profiles = [load_profile(name) for name in PROFILE_NAMES]
        announce_past(conn, "past desk", "Live market", profiles, len(kept), bar)
        end_past(conn, bar, bar)
    Going(engine, symbols).report(past=600)
    return bar


def close_round(engine: Engine, bar: datetime) -> None:
    """As when the work of a bar is done: every open page is drawn anew."""
    with engine.begin() as conn:
        end_round(conn, bar, datetime.now(UTC))


def add_people(accounts: Engine, roles: Mapping[str, Role]) -> None:
    """People with the same password."""
    with accounts.begin() as conn:
        for username, role in roles.items():
            people.create_user(
                conn,
                username=username,
                name=username.title(),
                role=role,
                password=PASSWORD,
                now=datetime.now(UTC),
            )


class Going:
    """What a worker and the venues' streams do between two closes."""

    def __init__(self, engine: Engine, symbols: int) -> None:
        self._engine, self._symbols = engine, symbols
        self._random, self._number = Random(3), 0

    def report(self, past: int = 0) -> None:
        """That everybody is there, and an event; ``past`` more of them over the last hours."""
        now = datetime.now(UTC)
        times = [now - timedelta(minutes=number) for number in range(1, past + 1)]
        events = [self._event(time) for time in [*times, now]]
        with self._engine.begin() as conn:
            take_lease(conn, "worker desk", "desk", now, timedelta(minutes=1))
            for venue in VENUES:
                state = StreamState(venue, "live", heard_at=now, newest_at=now)
                mine = [event for event in events if event.venue == venue]
                save_batch(conn, Batch(mine, [], state, now))

    def _event(self, at: datetime) -> Event:
        self._number += 1
        chance, usd = self._random, self._random.lognormvariate(8, 1.5)
        return Event(
            venue=chance.choice(VENUES),
            symbol=f"S{chance.randrange(self._symbols):03d}USDT",
            liquidated_side=chance.choice(("long", "short")),
            price=100.0,
            quantity=usd / 100,
            usd=usd,
            occurred_at=at,
            received_at=at,
            identity=f"{at.timestamp():.6f}-{self._number}",
        )


def _market(symbols: int, bar: datetime) -> pd.DataFrame:
    frame = made_market(symbols, BAR_DAYS * 24)
    times = pd.date_range(end=bar, periods=BAR_DAYS * 24, freq="h")
    return frame.set_axis(frame.index.set_levels(times, level="time"))


def _fill_alerts(engine: Engine, bar: datetime) -> None:
    """Rules that hold for few markets, judged at the last two bars."""
    for number, made in enumerate(made_rules(RULES)):
        text = f"({made.rule.text}) and rank(volume_usd) <= 10"
        save(engine, rule(f"Rule {number}", text), bar - 3 * HOUR)
    judge(engine, [bar - HOUR, bar])
