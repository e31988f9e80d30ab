"""Stored counts of pairs are those of the stored verdicts, however and whenever these came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, select, update

from core.accuracy.tallies import DAY, RULES
from core.store import ledger
from core.store.opening import migrate
from core.store.pairs import PAIR
from core.store.record import Filters, load_pairs
from core.store.record_lists import list_disagreements
from core.store.signals import save_bars, save_profile, save_signals
from core.store.tables import pair_days, signals, verdicts
from core.store.tallies import check_tallies, keep_verdict_tallies, rebuild_tallies
from core.store.verifying import verify
from tests.records import (
    MODELS,
    NOW,
    PROFILES,
    ages,
    make_record,
    store_outcomes,
    store_signals,
    store_verdict,
)

FRAME, MADE = make_record()
NEWEST = FRAME.index.get_level_values("time").max()
LIVE_FROM = NEWEST - pd.Timedelta("3h")
SYMBOLS = tuple(FRAME.index.get_level_values("symbol").unique())
JUDGES = [f"{model} / {prompt}" for model, prompt in MODELS]
PARTS = 5


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    """There are bars and profiles; what a test stores is not kept."""
    with engine.connect() as conn:
        save_bars(conn, FRAME)
        for profile, _, _ in MADE:
            save_profile(conn, profile, NOW)
        conn.commit()
        yield conn
        conn.rollback()


def save_part(conn: Connection, number: int) -> None:
    """Signals of every fifth bar of all profiles, those of the newest bars as if they were live."""
    for profile, planned, _ in MADE:
        part = planned[np.arange(len(planned)) % PARTS == number]
        live = part.index.get_level_values("time") >= LIVE_FROM
        save_signals(conn, part[~live], ages(part[~live]), profile, NOW)
        for row in range(live.sum()):
            one = part[live].iloc[[row]]
            at = one.index.get_level_values("time")[0] + pd.Timedelta("3s")
            save_signals(conn, one, ages(one), profile, at)


def answer(conn: Connection, number: int) -> None:
    """Verdicts on every third followed signal that has none yet, in no order."""
    query = (
        select(signals.c.id)
        .outerjoin(verdicts, verdicts.c.signal_id == signals.c.id)
        .where(signals.c.direction != 0, verdicts.c.id.is_(None))
        .order_by(signals.c.id)
    )
    chosen = conn.scalars(query).all()[number % 3 :: 3]
    ledger.hold(conn)
    for signal_id in np.random.default_rng(number).permutation(chosen).tolist():
        store_verdict(conn, signal_id, signal_id + number)
    keep_verdict_tallies(conn, chosen)


def pairs_plainly(conn: Connection) -> pd.DataFrame:
    """Every signal that a model judged, by pandas alone."""
    query = select(
        *(column.label(f"signal_{column.name}") for column in signals.c),
        *(column.label(f"verdict_{column.name}") for column in verdicts.c),
    ).join_from(signals, verdicts, verdicts.c.signal_id == signals.c.id)
    result = conn.execute(query)
    rows = pd.DataFrame(result.mappings().all(), columns=list(result.keys()))
    rows = rows[(rows["verdict_state"] == "answered") & (rows["signal_direction"].abs() == 1)]
    time = pd.to_datetime(rows["signal_time"], utc=True)
    soon = pd.to_datetime(rows["signal_recorded_at"], utc=True) - time <= pd.Timedelta("2h")
    return pd.DataFrame(
        {
            "profile_name": rows["signal_profile_name"],
            "profile_version": rows["signal_profile_version"],
            "judge": rows["verdict_model"] + " / " + rows["verdict_prompt_version"],
            "recorded": np.where(soon, "live", "later"),
            "rules": rows["signal_verdict"],
            "model": rows["verdict_verdict"],
            "direction": rows["signal_direction"].astype(int),
            "coverage_bin": np.floor(rows["signal_coverage"].astype(float) * 10 + 1e-9).astype(int),
            DAY: time.dt.floor("D").dt.as_unit("us"),
            "symbol": rows["signal_symbol"],
        }
    )


def stored(conn: Connection) -> dict[tuple[object, ...], int]:
    keys = [pair_days.c[name] for name in (*PAIR, DAY)]
    return {tuple(row[:-1]): row[-1] for row in conn.execute(select(*keys, pair_days.c.n))}


def counted(rows: pd.DataFrame) -> dict[tuple[object, ...], int]:
    return rows.groupby([*PAIR, DAY]).size().to_dict()


STEPS = st.lists(
    st.tuples(st.sampled_from(["signals", "verdicts"]), st.integers(0, PARTS - 1)),
    min_size=1,
    max_size=8,
)


@given(steps=STEPS)
@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_pairs_are_counted_once_in_whatever_order_signals_and_verdicts_came(
    conn: Connection, steps: list[tuple[str, int]]
) -> None:
    try:
        for kind, number in [("signals", 0), *steps, ("verdicts", 0)]:
            (save_part if kind == "signals" else answer)(conn, number)
        plain = counted(pairs_plainly(conn))
        assert stored(conn) == plain
        assert len(plain) > 5
        assert check_tallies(conn) == []
    finally:
        conn.rollback()


@pytest.fixture
def judged(conn: Connection) -> Connection:
    for number in range(PARTS):
        save_part(conn, number)
        answer(conn, number)
    return conn


FILTERS = st.builds(
    Filters,
    profile_name=st.sampled_from([profile.name for profile in PROFILES]),
    profile_version=st.sampled_from([None, *(profile.version for profile in PROFILES)]),
    judge=st.sampled_from(JUDGES),
    recorded=st.sampled_from([None, "live", "later"]),
    verdicts=st.sampled_from([(), ("SKIP",)]),
    risk_modes=st.sampled_from([(), ("NORMAL",)]),
    traded=st.sampled_from([None, True]),
    direction=st.sampled_from([None, 1, -1]),
    horizons=st.sampled_from([(), ("24h",)]),
    least_coverage=st.sampled_from([None, 0.6, 0.75, 1.0]),
    symbols=st.sampled_from([(), SYMBOLS, SYMBOLS[:1]]),
    start=st.sampled_from([None, (NEWEST - pd.Timedelta("2D")).date()]),
    end=st.sampled_from([None, (NEWEST - pd.Timedelta("1D")).date()]),
)


@given(asked=st.lists(FILTERS, min_size=20, max_size=20))
@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_counts_are_of_the_signals_that_pass(judged: Connection, asked: list[Filters]) -> None:
    rows = pairs_plainly(judged)
    for filters in asked:
        passed = rows[passes(rows, filters)]
        if filters.profile_version is not None:
            plain = passed.groupby([DAY, "rules", "model"]).size()
            found = load_pairs(judged, filters).set_index([DAY, "rules", "model"])["n"]
            assert found.to_dict() == plain.to_dict()
        # What is not chosen of all symbols is read from the counts, what is from the signals.
        every = replace(filters, symbols=SYMBOLS)
        pd.testing.assert_frame_equal(
            load_pairs(judged, every), load_pairs(judged, replace(filters, symbols=()))
        )


def passes(rows: pd.DataFrame, filters: Filters) -> pd.Series:
    f = filters
    wanted = (rows["profile_name"] == f.profile_name) & (rows["judge"] == f.judge)
    wanted &= rows["profile_version"] == f.profile_version
    for name, value in (("recorded", f.recorded), ("direction", f.direction)):
        if value is not None:
            wanted &= rows[name] == value
    if f.least_coverage is not None:
        wanted &= rows["coverage_bin"] >= int(f.least_coverage * 10 + 1e-9)
    if f.symbols:
        wanted &= rows["symbol"].isin(f.symbols)
    if f.start is not None:
        wanted &= rows[DAY] >= pd.Timestamp(f.start, tz="UTC")
    if f.end is not None:
        wanted &= rows[DAY] <= pd.Timestamp(f.end, tz="UTC")
    return wanted


def test_the_rules_are_not_compared_with_themselves(judged: Connection) -> None:
    for symbols in ((), SYMBOLS):
        with pytest.raises(ValueError, match="name the model"):
            load_pairs(judged, Filters(PROFILES[0].name, judge=RULES, symbols=symbols))


def test_a_changed_a_missing_and_an_added_count_are_named_and_made_right(
    judged: Connection,
) -> None:
    right = stored(judged)
    row = judged.execute(select(pair_days).order_by(*pair_days.primary_key).offset(3)).first()
    assert row is not None
    key = [column == row._mapping[column.name] for column in pair_days.primary_key]
    judged.execute(update(pair_days).where(*key).values(n=pair_days.c.n + 1))
    (wrong,) = check_tallies(judged)
    assert (wrong.stored, wrong.computed, wrong.day) == (row.n + 1, row.n, row.day)
    said = f"n on {row.day:%Y-%m-%d} of profile_name {row.profile_name}, "
    assert str(wrong).startswith(said)
    assert f"judge {row.judge}, " in str(wrong)
    assert str(wrong).endswith(f"{row.n + 1} is stored, {row.n} follows from the verdicts")
    judged.execute(delete(pair_days).where(*key))
    (missing,) = check_tallies(judged)
    assert (missing.stored, missing.computed) == (None, row.n)
    assert f"nothing is stored, {row.n} follows" in str(missing)
    judged.execute(pair_days.insert().values({**row._mapping, "judge": "gpt-z / 1"}))
    assert {(one.stored, one.computed) for one in check_tallies(judged)} == {
        (None, row.n),
        (row.n, None),
    }
    assert len(check_tallies(judged, limit=1)) == 1
    rebuild_tallies(judged)
    assert check_tallies(judged) == []
    assert stored(judged) == right


def test_verifying_names_a_changed_count(engine: Engine) -> None:
    with engine.begin() as conn:
        store_signals(conn, FRAME, MADE)
    with engine.begin() as conn:
        ledger.hold(conn)
        followed = conn.scalars(select(signals.c.id).where(signals.c.direction != 0).limit(9)).all()
        for number, signal_id in enumerate(followed):
            store_chained(conn, signal_id, number)
        keep_verdict_tallies(conn, followed)
    with engine.begin() as conn:
        assert verify(conn).fault is None
        conn.execute(update(pair_days).values(n=pair_days.c.n + 2))
        fault = verify(conn).fault
    assert fault is not None
    assert fault.startswith("The sums behind the Accuracy page were changed: n on ")
    assert "follows from the verdicts" in fault


def store_chained(conn: Connection, signal_id: int, number: int) -> None:
    from tests.chained import save_verdict

    said = ["CONFIRM", "DOWNSIZE", "WAIT", "SKIP"][number % 4]
    save_verdict(conn, signal_id, verdict=said)


@pytest.mark.parametrize("revision", ["0006", "0008"])
def test_a_database_from_before_pairs_were_counted_gets_them(engine: Engine, revision: str) -> None:
    with engine.begin() as conn:
        store_signals(conn, FRAME, MADE, LIVE_FROM)
        store_outcomes(conn, MADE)
        answer(conn, 1)
        right = stored(conn)
    migrate(engine, revision)
    with engine.connect() as conn:
        assert "pair_days" not in conn.dialect.get_table_names(conn)
    migrate(engine)
    with engine.connect() as conn:
        assert stored(conn) == right
        assert check_tallies(conn) == []
        assert conn.scalar(select(func.sum(pair_days.c.n))) == len(pairs_plainly(conn))


def test_disagreements_are_paged_over_days_as_they_are_listed(judged: Connection) -> None:
    asked = Filters(PROFILES[0].name, PROFILES[0].version, judge=JUDGES[1])
    pairs = load_pairs(judged, asked)
    apart = pairs[pairs["rules"] != pairs["model"]]
    whole = list_disagreements(judged, asked, 10_000)
    assert len(whole) == apart["n"].sum() > 10
    assert apart["day"].nunique() > 3
    # Symbols are not counted by day: theirs are all gone through.
    pd.testing.assert_frame_equal(
        list_disagreements(judged, replace(asked, symbols=SYMBOLS), 10_000), whole
    )
    for size in (3, 7):
        pages = [
            list_disagreements(judged, asked, size, start)
            for start in range(0, len(whole) + size, size)
        ]
        pd.testing.assert_frame_equal(pd.concat(pages, ignore_index=True), whole, check_dtype=False)
    none = list_disagreements(judged, replace(asked, direction=1, profile_version="none"), 5)
    assert none.empty
    assert list(none) == list(whole)
