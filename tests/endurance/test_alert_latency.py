"""From the close of a bar to the message at a receiver: 500 rules, 300 symbols.

The hour between two closes is left out, so CLOSE_SECONDS has to be long enough for its statistics.

ALERT_SYMBOLS, ALERT_RULES, ALERT_BARS and ALERT_LATENCY (of the exchanges, seconds) change it. The rules
are those of the bench: on this noise 1 in 20 pairs of rule and market changes at every bar, 7,000 events
an hour. ALERT_LARGEST has them hold for so many of the largest markets only: for ten, a thirtieth of that.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, func, select

from core.alerts.definition import parse_definition
from core.alerts.delivery import Sealer
from core.alerts.delivery.targets import Target, Written
from core.market.demo import END
from core.rule_bench import made_rules
from core.store.alerts.rules import create_rule
from core.store.channels import Who, create_channel
from core.store.tables import alert_events, alert_progress, signals
from tests.endurance.clocks import CloseClock
from tests.endurance.figures import length, say, wait_for
from tests.endurance.markets import fill, made_tables
from tests.endurance.outside import outside
from tests.endurance.working import Working, end, live_settings, write_tables
from tests.stored import rounds_done
from tests.world.receiver import SECRET, Receiver

SYMBOLS = int(length("ALERT_SYMBOLS", 300))
RULES = int(length("ALERT_RULES", 500))
CLOSES = int(length("ALERT_BARS", 5))
LATENCY_S = length("ALERT_LATENCY", 0.05)
SECONDS = length("CLOSE_SECONDS", 120)
LARGEST = int(length("ALERT_LARGEST", 0))
LIMIT_S = 2.0
DAYS, CHANNELS = 34, 10
HOUR = timedelta(hours=1)


def save_rules(engine: Engine, key: str, receiver: Receiver, now: datetime) -> None:
    sealer = Sealer([key])
    with engine.begin() as conn:
        ids = [
            create_channel(
                conn,
                name=f"channel {number}",
                written=Written(
                    Target("webhook", receiver.url(f"/{number}"), SECRET), "Webhook", "here", 10_000
                ),
                sealer=sealer,
                owner=None,
                who=Who("ada", is_admin=True),
                now=now,
            )
            for number in range(CHANNELS)
        ]
        for number, made in enumerate(made_rules(RULES)):
            text = made.rule.text
            if LARGEST:
                text = f"({text}) and rank(volume_usd) <= {LARGEST}"
            body = {
                "name": f"Rule {number}",
                "expression": text,
                "channels": [ids[number % CHANNELS]],
            }
            create_rule(conn, parse_definition(body), by="ada", now=now)


@pytest.mark.long
def test_messages_arrive_two_seconds_after_the_close(engine: Engine, tmp_path: Path) -> None:
    first = END - timedelta(hours=CLOSES + 4)
    tables = made_tables(SYMBOLS, END, DAYS)
    fill(engine, tables, first)
    write_tables(tmp_path / "tables", tables)
    key = Fernet.generate_key().decode()
    clock = CloseClock(first, time.time(), SECONDS)
    with (
        Receiver() as receiver,
        outside(tmp_path / "tables", clock, latency_s=LATENCY_S, rate=20) as world,
    ):
        save_rules(engine, key, receiver, first)
        settings = live_settings(
            world.endpoints,
            CRYPTOSATX_SECRET_KEY=key,
            CRYPTOSATX_PRIVATE_TARGETS="127.0.0.1",
        )
        url = engine.url.render_as_string(hide_password=False)
        working = Working(
            url, clock, settings, tmp_path / "spool", hasty=False, log=tmp_path / "workers.txt"
        )
        working.tick_seconds = 1.0
        worker = working.start()
        try:
            # To look more often would take the time of those who are measured.
            wait_for(
                lambda: len(rounds_done(engine)) > CLOSES + 1,
                (CLOSES + 3) * SECONDS + 240,
                look_seconds=5.0,
            )
            end(worker)
        finally:
            working.kill()
        found = arrived(receiver, clock)
    bars = sorted(found)[2:]
    after = np.concatenate([found[bar] for bar in bars])
    rows = [
        {
            **parts_of(engine, bar),
            "events": events_at(engine, bar),
            "messages": len(found[bar]),
            "first": min(found[bar]),
            "p95": np.quantile(found[bar], 0.95),
            "last": max(found[bar]),
        }
        for bar in bars
    ]
    table = pd.DataFrame(rows, index=pd.Index(bars, name="bar")).round(2)
    say(f"{engine.dialect.name}, {RULES} rules, {SYMBOLS} symbols, seconds after the close:")
    say(table.to_string())
    say(f"{len(after):,} messages, after the close: {_quantiles(after)}")
    since = np.concatenate([np.array(found[bar]) - table.loc[bar, "decided"] for bar in bars])
    say(f"after the signals: {_quantiles(since)}")
    assert receiver.repeated == 0
    assert np.quantile(after, 0.95) <= LIMIT_S


def _quantiles(seconds: np.ndarray) -> str:
    return f"median {np.median(seconds):.2f} s, p95 {np.quantile(seconds, 0.95):.2f} s"


def arrived(receiver: Receiver, clock: CloseClock) -> dict[datetime, list[float]]:
    """By bar, how many seconds after its close each message came: around a close they are real ones."""
    shift = time.time() - time.monotonic()
    found = defaultdict(list)
    for one in receiver.received:
        bar = datetime.fromisoformat(one.json["data"]["at"].replace(" UTC", "+00:00"))
        hours = (bar - clock.first) / HOUR
        closed = clock.began + hours * clock.seconds
        found[bar].append(one.at + shift - closed if one.at < 1e9 else one.at - closed)
    return dict(found)


def events_at(engine: Engine, bar: datetime) -> int:
    with engine.connect() as conn:
        of_bar = select(func.count()).select_from(alert_events).where(alert_events.c.at == bar)
        return conn.scalar(of_bar) or 0


def parts_of(engine: Engine, bar: datetime) -> dict[str, float]:
    """When the parts of a bar's round were over, in seconds after the close."""
    with engine.connect() as conn:
        decided = conn.scalar(select(func.max(signals.c.recorded_at)).where(signals.c.time == bar))
        judged = conn.scalar(
            select(func.max(alert_events.c.recorded_at)).where(alert_events.c.at == bar)
        )
        rules = conn.scalar(select(func.count()).select_from(alert_progress))
    return {
        "decided": (decided - bar).total_seconds() if decided else float("nan"),
        "judged": (judged - bar).total_seconds() if judged else float("nan"),
        "rules": rules or 0,
    }
