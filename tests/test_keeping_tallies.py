"""Stored sums are those of the stored outcomes, however and whenever these came."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select, update

from core.accuracy.tallies import CELL, COLUMNS, COUNTS, DAY, SUMS, tally
from core.store import ledger
from core.store.opening import migrate
from core.store.signals import save_outcomes
from core.store.sums import ANY_BIN, BINS
from core.store.tables import outcomes, signals, tallies, tally_cells
from core.store.tallies import (
    check_tallies,
    keep_verdict_tallies,
    rebuild_tallies,
)
from tests.records import (
    NOW,
    load_plainly,
    make_record,
    store_outcomes,
    store_signals,
    store_verdict,
    tally_plainly,
)

FRAME, MADE = make_record()
LIVE_FROM = FRAME.index.get_level_values("time").max() - pd.Timedelta("3h")


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    """Signals are stored; what a test stores is not kept."""
    with engine.connect() as conn:
        store_signals(conn, FRAME, MADE, LIVE_FROM)
        conn.commit()
        yield conn
        conn.rollback()


def stored(conn: Connection, bins: bool = True) -> pd.DataFrame:
    """The stored sums of the finest cells, or those over all bins."""
    query = select(tally_cells, tallies).join(tallies).where(tallies.c.n > 0)
    result = conn.execute(query)
    found = pd.DataFrame(result.mappings().all(), columns=list(result.keys()))
    found = found[((found[list(BINS)] == ANY_BIN) != bins).all(axis=1)]
    return found.set_index([*CELL, DAY])[list(COLUMNS)].astype(float).sort_index()


def assert_same_sums(found: pd.DataFrame, plain: pd.DataFrame) -> None:
    assert len(found) == len(plain)
    assert (found.index == plain.index).all()
    pd.testing.assert_frame_equal(
        found[list(COUNTS)], plain[list(COUNTS)], check_exact=True, check_index_type=False
    )
    np.testing.assert_allclose(found[list(SUMS)], plain[list(SUMS)], rtol=1e-9, atol=1e-12)


PIECES = [
    (profile, resolved.iloc[part])
    for profile, _, resolved in MADE
    for part in np.array_split(np.random.default_rng(3).permutation(len(resolved)), 6)
]


def save_piece(conn: Connection, number: int) -> int:
    profile, resolved = PIECES[number]
    return save_outcomes(conn, resolved, profile, NOW)


def answer(conn: Connection, number: int) -> None:
    """Store verdicts on every seventh signal that is followed, beginning with this one."""
    asked = conn.scalars(
        select(signals.c.id).where(signals.c.direction != 0).order_by(signals.c.id)
    )
    chosen = [(at, one) for at, one in enumerate(asked) if at % 7 == number]
    ledger.hold(conn)
    for at, signal_id in chosen:
        store_verdict(conn, signal_id, at // 7)
    keep_verdict_tallies(conn, [signal_id for _, signal_id in chosen])


# Pieces of outcomes by number, again and again, and verdicts on some signals in between.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("outcomes"), st.integers(0, len(PIECES) - 1)),
        st.tuples(st.just("verdicts"), st.integers(0, 6)),
    ),
    min_size=1,
    max_size=10,
)


@given(steps=STEPS)
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_tallies_are_the_sums_of_what_is_stored_in_whatever_order_it_came(
    conn: Connection, steps: list[tuple[str, int]]
) -> None:
    asked: set[int] = set()
    for kind, number in steps:
        if kind == "outcomes":
            save_piece(conn, number)
        elif number not in asked:
            asked.add(number)
            answer(conn, number)
    try:
        plain = load_plainly(conn)
        if len(plain):
            assert_same_sums(stored(conn), tally(plain, CELL))
            whole = stored(conn, bins=False).droplevel(list(BINS))
            assert_same_sums(whole, tally(plain, [name for name in CELL if name not in BINS]))
        else:
            assert stored(conn).empty
        assert check_tallies(conn) == []
    finally:
        conn.rollback()


def test_everything_at_once_is_the_same_as_piece_by_piece(conn: Connection) -> None:
    store_outcomes(conn, MADE)
    answer(conn, 0)
    plain = tally_plainly(conn)
    assert_same_sums(stored(conn), plain)
    assert set(plain.index.get_level_values("recorded")) == {"live", "later"}
    assert len(set(plain.index.get_level_values("judge"))) == 4
    versions = plain.index.to_frame()[["profile_name", "profile_version"]].drop_duplicates()
    assert versions["profile_name"].tolist().count("aggressive") == 2
    assert {0, 1} == set(plain.index.get_level_values("traded").astype(int))


def test_what_was_there_is_not_counted_again(conn: Connection) -> None:
    profile, _, resolved = MADE[0]
    half = resolved.iloc[::2]
    assert save_outcomes(conn, half, profile, NOW) == len(half)
    assert save_outcomes(conn, resolved, profile, NOW) == len(resolved) - len(half)
    assert save_outcomes(conn, resolved, profile, NOW) == 0
    counted = stored(conn)["n"].sum()
    assert counted == len(resolved) == conn.scalar(select(func.count()).select_from(outcomes))
    assert_same_sums(stored(conn), tally_plainly(conn))


def test_two_workers_at_once_count_each_outcome_once(engine: Engine) -> None:
    with engine.begin() as conn:
        store_signals(conn, FRAME, MADE)
    start, failed = threading.Barrier(2, timeout=30), []

    def work(numbers: list[int]) -> None:
        start.wait()
        try:
            for number in numbers:
                with engine.begin() as conn:
                    save_piece(conn, number)
        except Exception as error:
            failed.append(error)
            raise

    orders = [list(range(len(PIECES))), list(range(len(PIECES)))[::-1]]
    workers = [threading.Thread(target=work, args=[order]) for order in orders]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed
    with engine.connect() as conn:
        assert_same_sums(stored(conn), tally_plainly(conn))


def test_a_wrong_sum_is_named_and_made_right(conn: Connection) -> None:
    store_outcomes(conn, MADE)
    answer(conn, 1)
    assert check_tallies(conn) == []
    right = stored(conn)
    cell_id, day = conn.execute(
        select(tallies.c.cell_id, tallies.c.day).where(tallies.c.n > 0).offset(5)
    ).first() or (
        0,
        0,
    )
    row = (tallies.c.cell_id == cell_id) & (tallies.c.day == day)
    conn.execute(update(tallies).where(row).values(wins=tallies.c.wins + 1))
    (wrong,) = check_tallies(conn)
    assert (wrong.column, wrong.stored, wrong.day) == ("wins", (wrong.computed or 0) + 1, day)
    assert f"wins on {day:%Y-%m-%d} of profile_name" in str(wrong)
    conn.execute(tallies.delete().where(row))
    (missing,) = check_tallies(conn)
    assert (missing.column, missing.stored) == ("n", None)
    assert "nothing is stored" in str(missing)
    assert rebuild_tallies(conn) > len(right)
    assert check_tallies(conn) == []
    assert_same_sums(stored(conn), right)


def test_of_many_wrong_sums_some_are_named(conn: Connection) -> None:
    store_outcomes(conn, MADE)
    conn.execute(update(tallies).values(n=tallies.c.n + 1))
    assert len(check_tallies(conn, limit=7)) == 7


def test_a_database_from_before_there_were_tallies_gets_them(engine: Engine) -> None:
    with engine.begin() as conn:
        store_signals(conn, FRAME, MADE)
        store_outcomes(conn, MADE)
        right = stored(conn)
        conn.execute(tallies.delete())
        conn.execute(tally_cells.delete())
    migrate(engine, "0006")
    migrate(engine)
    with engine.connect() as conn:
        assert_same_sums(stored(conn), right)
        assert check_tallies(conn) == []
