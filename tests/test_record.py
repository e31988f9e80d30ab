"""Reading the record gives what the plain computation gives, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, select

from core.accuracy.tallies import CELL, COLUMNS, RULES, tally
from core.errors import StoreError
from core.store import ledger
from core.store.record import (
    Filters,
    count_unfinished,
    load_options,
    load_pairs,
    load_tallies,
    load_totals,
    settled,
)
from core.store.record_lists import list_disagreements, list_signals
from core.store.tables import outcomes, signals, verdicts
from core.store.tallies import check_tallies, keep_verdict_tallies
from tests.records import (
    PROFILES,
    load_plainly,
    make_record,
    store_outcomes,
    store_signals,
    store_verdict,
)

FRAME, MADE = make_record()
NEWEST = FRAME.index.get_level_values("time").max()
MODEL = "gpt-b / 1"
OLD, NEW, OTHER = PROFILES
EVERY = Filters(OLD.name, OLD.version)


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as conn:
        store_signals(conn, FRAME, MADE, NEWEST - pd.Timedelta("2h"))
        ledger.hold(conn)
        asked = conn.scalars(select(signals.c.id).where(signals.c.direction != 0)).all()
        for number, signal_id in enumerate(asked):
            if number % 3 == 0:
                store_verdict(conn, signal_id, number // 3)
        keep_verdict_tallies(conn, asked)
        store_outcomes(conn, MADE)
        yield conn


def plainly(conn: Connection, filters: Filters) -> pd.DataFrame:
    """The outcomes that pass, by pandas."""
    f, rows = filters, load_plainly(conn)
    days = rows["exit_at"].dt.floor("D")
    wanted = (
        (rows["profile_name"] == f.profile_name)
        & (rows["profile_version"] == f.profile_version)
        & (rows["judge"] == f.judge)
    )
    for name, values in (
        ("recorded", (f.recorded,) if f.recorded else ()),
        ("verdict", f.verdicts),
        ("risk_mode", f.risk_modes),
        ("direction", (f.direction,) if f.direction else ()),
        ("horizon", f.horizons),
        ("symbol", f.symbols),
    ):
        if values:
            wanted &= rows[name].isin(values)
    if f.least_coverage is not None:
        wanted &= rows["coverage"] >= f.least_coverage - 1e-9
    if f.start is not None:
        wanted &= days >= pd.Timestamp(f.start, tz="UTC")
    if f.end is not None:
        wanted &= days <= pd.Timestamp(f.end, tz="UTC")
    return rows[wanted]


FIRST, LAST = (NEWEST - pd.Timedelta("3D")).date(), (NEWEST - pd.Timedelta("1D")).date()
FILTERS = [
    EVERY,
    replace(EVERY, judge=MODEL),
    Filters(NEW.name, NEW.version, recorded="later", horizons=("1h", "24h")),
    replace(EVERY, verdicts=("CONFIRM", "WAIT"), direction=-1, least_coverage=0.7),
    replace(EVERY, risk_modes=("NORMAL",), start=FIRST, end=LAST),
    replace(EVERY, symbols=("S1USDT",), judge=MODEL, verdicts=("DOWNSIZE", "SKIP")),
    replace(EVERY, symbols=("S0USDT", "S1USDT"), start=FIRST, horizons=("4h",), direction=1),
]


def test_sums_and_lists_are_of_the_outcomes_that_pass(conn: Connection) -> None:
    for filters in FILTERS:
        passed = plainly(conn, filters)
        assert 5 < len(passed) < 10_000, filters
        for by in ([], ["verdict", "horizon"], list(CELL)):
            found = load_tallies(conn, filters, by)
            plain = tally(passed, by)
            assert found.index.names == plain.index.names
            pd.testing.assert_frame_equal(found, plain, check_index_type=False, rtol=1e-9)
            if by:
                whole = load_totals(conn, filters, by, COLUMNS)
                expected = plain.groupby(level=by).sum()
                pd.testing.assert_frame_equal(whole, expected, check_index_type=False, rtol=1e-9)
        listed = list_signals(conn, filters, limit=10_000)
        assert len(listed) == len(passed)
        assert listed["exit_at"].is_monotonic_decreasing
        keys = ["signal_id", "horizon"]
        both = listed.merge(passed, on=keys, suffixes=("", "_plain"))
        assert len(both) == len(listed)
        np.testing.assert_array_equal(both["net_return"], both["net_return_plain"])
        pages = [list_signals(conn, filters, 7, offset) for offset in range(0, 35, 7)]
        pd.testing.assert_frame_equal(
            pd.concat(pages, ignore_index=True), listed.iloc[:35], check_dtype=False
        )


def test_options_are_the_cells_that_there_are(conn: Connection) -> None:
    options = load_options(conn)
    names = [name for name in CELL if name not in ("coverage_bin", "score_bin")]
    plain = tally(load_plainly(conn), names)["n"].reset_index()
    found = options.set_index(names).sort_index()
    of_cell = plain.groupby(names)
    assert found["last_n"].tolist() == of_cell["n"].last().tolist()
    assert found["first_day"].tolist() == of_cell["day"].min().tolist()
    assert found["last_day"].tolist() == of_cell["day"].max().tolist()
    assert set(options["judge"]) == {RULES, "gpt-a / 1", "gpt-b / 1", "gpt-b / 2"}


def test_the_version_that_is_meant_is_the_one_whose_signals_are_newest(conn: Connection) -> None:
    newest = conn.scalars(
        select(signals.c.profile_version)
        .where(signals.c.profile_name == OLD.name, signals.c.direction != 0)
        .order_by(signals.c.time.desc(), signals.c.id.desc())
    ).first()
    assert settled(conn, Filters(OLD.name)).profile_version == newest
    assert settled(conn, EVERY) == EVERY
    nobody = settled(conn, Filters("nobody"))
    assert nobody.profile_version == ""
    assert load_tallies(conn, nobody, ["verdict"]).empty
    assert list_signals(conn, nobody, 10).empty
    assert count_unfinished(conn, nobody)["1h"] == (0, 0)


def test_only_so_many_single_symbols_are_added_up(conn: Connection) -> None:
    many = replace(EVERY, symbols=tuple(f"S{n}USDT" for n in range(11)))
    with pytest.raises(StoreError, match=r"11 symbols are chosen.* choose at most 10"):
        load_tallies(conn, many, ["verdict"])


def test_unfinished_outcomes_are_pending_or_overdue(engine: Engine) -> None:
    gone = MADE[0][2].sample(40, random_state=1).index
    with engine.begin() as conn:
        store_signals(conn, FRAME, MADE)
        ledger.hold(conn)
        of_model = conn.scalars(select(signals.c.id).where(signals.c.direction != 0)).all()[::3]
        for number, signal_id in enumerate(of_model):
            store_verdict(conn, signal_id, number)
        keep_verdict_tallies(conn, of_model)
        store_outcomes(
            conn, [(p, planned, r.drop(gone, errors="ignore")) for p, planned, r in MADE]
        )
        assert check_tallies(conn) == []
        waiting = 0
        for filters in FILTERS:
            for horizon, found in count_unfinished(conn, filters).items():
                assert found == unfinished_plainly(conn, filters, horizon)
                waiting += found.overdue
        every = count_unfinished(conn, EVERY)
        assert sum(found.overdue for found in every.values()) == len(gone)
        assert every["1h"].pending <= every["24h"].pending > 0
        assert waiting > len(gone)


def unfinished_plainly(conn: Connection, filters: Filters, horizon: str) -> tuple[int, int]:
    """Pending and overdue by pandas: signals that pass, without those that have an outcome."""
    signal = pd.DataFrame(conn.execute(select(signals)).mappings().all())
    signal = signal[signal["direction"].abs() == 1]
    answered = pd.DataFrame(conn.execute(select(verdicts)).mappings().all()).set_index("signal_id")
    signal["recorded_soon"] = signal["recorded_at"] - signal["time"] <= pd.Timedelta("2h")
    exit_at = signal["time"] + pd.Timedelta(horizon)
    f = filters
    judged = signal.set_index("id")[["verdict", "risk_mode"]]
    if f.judge != RULES:
        model, prompt = f.judge.split(" / ")
        of = (answered["model"] == model) & (answered["prompt_version"] == prompt)
        judged = answered[of & (answered["state"] == "answered")][["verdict", "risk_mode"]]
    judged = judged.reindex(signal["id"]).set_axis(signal.index)
    wanted = judged["verdict"].notna()
    wanted &= (signal["profile_name"] == f.profile_name) & (
        signal["profile_version"] == f.profile_version
    )
    if f.recorded:
        wanted &= signal["recorded_soon"] == (f.recorded == "live")
    for values, column in (
        (f.verdicts, judged["verdict"]),
        (f.risk_modes, judged["risk_mode"]),
        (f.symbols, signal["symbol"]),
        ((f.direction,) if f.direction else (), signal["direction"]),
    ):
        if values:
            wanted &= column.isin(values)
    if f.least_coverage:
        wanted &= signal["coverage"] >= f.least_coverage
    if f.start:
        wanted &= exit_at >= pd.Timestamp(f.start, tz="UTC")
    if f.end:
        wanted &= exit_at < pd.Timestamp(f.end, tz="UTC") + pd.Timedelta("1D")
    there = conn.scalars(select(outcomes.c.signal_id).where(outcomes.c.horizon == horizon)).all()
    wanted &= ~signal["id"].isin(there)
    pending = exit_at > NEWEST
    return int((wanted & pending).sum()), int((wanted & ~pending).sum())


def test_rules_and_model_are_compared_signal_by_signal(conn: Connection) -> None:
    asked = replace(EVERY, judge=MODEL)
    rows = load_plainly(conn)
    of_model = rows[
        (rows["judge"] == MODEL)
        & (rows["profile_name"] == OLD.name)
        & (rows["profile_version"] == OLD.version)
    ]
    one_each = of_model.drop_duplicates("signal_id")
    by_day = load_pairs(conn, asked)
    pairs = by_day.groupby(["rules", "model"])["n"].sum()
    bars = one_each.groupby(one_each["time"].dt.floor("D")).size()
    assert (by_day.groupby("day")["n"].sum().reindex(bars.index) >= bars).all()
    plain = one_each.groupby(["rules_verdict", "model_verdict"]).size()
    assert (pairs.reindex(plain.index) >= plain).all()
    differing = list_disagreements(conn, asked, 1_000)
    assert (differing["verdict"] != differing["model_verdict"]).all()
    apart = pairs.reset_index().query("rules != model")["n"].sum()
    assert len(differing) == apart > 3
    assert differing["time"].is_monotonic_decreasing
    r = of_model[of_model["horizon"] == "4h"].set_index("signal_id")["r_multiple"].astype(float)
    for row in differing.itertuples():
        expected = r.get(row.signal_id, np.nan)
        assert row.r_4h == expected or (np.isnan(row.r_4h) and np.isnan(expected))
    page = list_disagreements(conn, asked, 2, 1)
    assert page["signal_id"].tolist() == differing["signal_id"].tolist()[1:3]
    assert load_pairs(conn, replace(asked, symbols=("S0USDT",)))["n"].sum() < pairs.sum()
    with pytest.raises(ValueError, match="name the model"):
        load_pairs(conn, EVERY)
