"""Every question of the Accuracy page over ten million outcomes, or one million on SQLite.

RECORD_SYMBOLS (500; a tenth of it on SQLite) and RECORD_DAYS (415) shorten it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, text

from core.accuracy.tallies import DAILY, LATER, R_COUNTS
from core.market.demo import END
from core.signals import PROFILE_NAMES, load_profile
from core.store.record import (
    Filters,
    count_unfinished,
    load_factor_days,
    load_options,
    load_pairs,
    load_tallies,
    load_totals,
    settled,
)
from core.store.record_lists import list_disagreements, list_signals
from tests.endurance.figures import length, say
from tests.endurance.long_record import MODEL, fill_record, fill_tallies

SYMBOLS = int(length("RECORD_SYMBOLS", 500))
DAYS = int(length("RECORD_DAYS", 415))
TIMES = 3
# The page has half a second for a change of a filter, and draws in most of it.
LIMIT_MS = 250
KEYS = ["verdict", "direction", "horizon", "traded"]
SCORES = ("n", "wins", "sum_claimed", "sum_claimed_squared", "sum_claimed_wins")

Question = Callable[[Connection], object]


def questions(profile_name: str) -> Iterator[tuple[str, Question]]:
    """What the page asks, by what it shows; those of single symbols come last."""
    version = load_profile(profile_name).version
    all_ = Filters(profile_name, version)
    short = replace(all_, direction=-1)
    rare = replace(short, verdicts=("SKIP",), horizons=("24h",), recorded=LATER)
    month = replace(all_, start=(END - timedelta(days=30)).date(), end=END.date())
    model = replace(all_, judge=MODEL)
    some = replace(all_, symbols=("S3USDT",))
    ten = replace(all_, symbols=tuple(f"S{number}USDT" for number in range(10)))
    yield "the version that is meant", lambda c: settled(c, Filters(profile_name))
    yield "what there is to choose from", load_options
    yield "verdicts by horizon", lambda c: load_tallies(c, all_, KEYS, DAILY)
    yield "how R was spread", lambda c: load_totals(c, all_, ["horizon", "traded"], R_COUNTS)
    yield "only short", lambda c: load_tallies(c, short, KEYS, DAILY)
    yield "only a month", lambda c: load_tallies(c, month, KEYS, DAILY)
    covered = replace(all_, least_coverage=0.9)
    yield "only well covered", lambda c: load_tallies(c, covered, KEYS, DAILY)
    yield "scores", lambda c: load_tallies(c, all_, ["horizon", "score_bin"], SCORES)
    yield (
        "scores, well covered",
        lambda c: load_tallies(c, covered, ["horizon", "score_bin"], SCORES),
    )
    yield "unfinished", lambda c: count_unfinished(c, all_)
    yield "signals behind all", lambda c: list_signals(c, all_, 50)
    yield "signals behind all, page 400", lambda c: list_signals(c, all_, 50, 20_000)
    yield "signals behind a rare cell", lambda c: list_signals(c, rare, 50)
    yield "rules against model", lambda c: load_pairs(c, model)
    yield "disagreements", lambda c: list_disagreements(c, model, 50)
    yield "disagreements, page 400", lambda c: list_disagreements(c, model, 50, 20_000)
    yield "of the model", lambda c: load_tallies(c, model, KEYS, DAILY)
    windows = load_profile(profile_name).windows_version
    yield "factors", lambda c: load_factor_days(c, windows)
    yield "one symbol", lambda c: load_tallies(c, some, KEYS, DAILY)
    yield "signals of one symbol", lambda c: list_signals(c, some, 50)
    yield "unfinished of one symbol", lambda c: count_unfinished(c, some)
    yield "ten symbols", lambda c: load_tallies(c, ten, KEYS, DAILY)


@pytest.mark.long
def test_every_question_of_the_page_is_answered_at_once(engine: Engine) -> None:
    small = engine.dialect.name == "sqlite"
    began = time.monotonic()
    outcomes = fill_record(engine, SYMBOLS // 10 if small else SYMBOLS, DAYS)
    filled = time.monotonic()
    rows = fill_tallies(engine)
    say(
        f"{engine.dialect.name}: {outcomes:,} outcomes in {filled - began:.0f} s; their "
        f"{rows:,} sums in {time.monotonic() - filled:.0f} s",
        *sizes(engine),
    )
    parts = [(name, *question) for name in PROFILE_NAMES for question in questions(name)]
    found = [(name, asked, *timed(engine, ask)) for name, asked, ask in parts]
    table = pd.DataFrame(found, columns=["profile", "question", "first", "then", "rows"])
    say("milliseconds:", table.to_string(index=False))
    whole = table[~table["question"].str.contains("symbol")]
    assert outcomes > 15 * SYMBOLS * DAYS * (0.1 if small else 1)
    assert whole["then"].max() <= LIMIT_MS


def timed(engine: Engine, ask: Question) -> tuple[float, float, int]:
    """Milliseconds of the first time and of the best of those after it, and how many rows came."""
    took = []
    for _ in range(TIMES):
        with engine.connect() as conn:
            began = time.monotonic()
            found = ask(conn)
            took.append(1000 * (time.monotonic() - began))
    rows = len(found) if isinstance(found, (pd.DataFrame, dict)) else 1
    return round(took[0], 1), round(min(took[1:]), 1), rows


def sizes(engine: Engine) -> list[str]:
    """Bytes of the tables and indexes of the record, where the database can tell."""
    if engine.dialect.name == "sqlite":
        query = (
            "SELECT name, sum(pgsize) FROM dbstat WHERE name LIKE '%tall%' OR name LIKE '%pair%' "
            "OR name LIKE '%signals%' OR name LIKE '%outcomes%' GROUP BY name ORDER BY name"
        )
    else:
        query = (
            "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'i') AND "
            "(relname LIKE '%tall%' OR relname LIKE '%pair%' OR relname LIKE '%signals%' "
            "OR relname LIKE '%outcomes%') "
            "ORDER BY relname"
        )
    with engine.connect() as conn:
        rows = conn.execute(text(query)).all()
    return [f"{name}: {size / 1e6:,.1f} MB" for name, size in rows if size > 1e6]
