"""A record of many outcomes, made by the database itself: noise with the spread of a real one."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine, text

from core.market.demo import END
from core.outcomes import HORIZONS
from core.signals import FACTORS, PROFILE_NAMES, load_profile
from core.store.bulk import floats, insert_new, times
from core.store.signals import save_bars, save_profile
from core.store.tables import factor_days
from core.store.tallies import rebuild_tallies
from tests.builders import make_frame

# A model is asked about live signals only, and signals were live for so long.
LIVE_DAYS = 60
MODEL = "gpt-x / 1"
CHUNK_DAYS = 5
_DEVIATION = 5.65  # of the score, in points: the modes then speak in 3, 15 and 48 % of the hours

_JSON = {
    "reasons": '["funding rate 0.01 % per 8 h, usual", "price momentum 1.31, usually 0.02"]',
    "plan": '{"binding_cap":"size","entry_price":100.5,"quantity":12.25,"stop_price":98.5}',
    "nothing": "[]",
}

_SIGNALS = """
WITH base AS MATERIALIZED (
  SELECT h.time, m.symbol, 50 + {deviation} * 1.732 * ({u} + {u} + {u} + {u} - 2) AS score,
         {u} AS c, {u} AS a
  FROM made_hours h CROSS JOIN made_markets m WHERE h.chunk = {chunk}),
said AS MATERIALIZED (
  SELECT b.*, p.name, p.version, {u} AS v,
         CASE WHEN score >= p.threshold THEN 1 WHEN score <= 100 - p.threshold THEN -1 ELSE 0 END
         AS direction
  FROM base b CROSS JOIN made_modes p)
INSERT INTO signals (symbol, time, profile_name, profile_version, measurement, last_price, score,
  coverage, agreement, direction, verdict, risk_mode, multiplier, conviction, risk_points, reasons,
  plan, recorded_at)
SELECT symbol, time, name, version, '0123456789abcdef', 100 + a, score,
  CASE WHEN c < 0.6 THEN 1.0 WHEN c < 0.9 THEN 0.94 ELSE 0.74 END, a, direction,
  CASE WHEN direction = 0 OR v < 0.02 THEN 'SKIP' WHEN v < 0.06 THEN 'WAIT'
       WHEN v < 0.58 THEN 'DOWNSIZE' ELSE 'CONFIRM' END,
  CASE WHEN direction = 0 OR v < 0.02 THEN 'AVOID' WHEN v < 0.3 THEN 'REDUCED'
       WHEN v < 0.9 THEN 'NORMAL' ELSE 'AGGRESSIVE' END,
  CASE WHEN direction = 0 OR v < 0.06 THEN 0 WHEN v < 0.58 THEN 0.5 WHEN v < 0.9 THEN 1 ELSE 1.5 END,
  2 * abs(score - 50), 1,
  {reasons}, CASE WHEN direction = 0 THEN NULL ELSE {plan} END,
  CASE WHEN time >= {live_from} THEN {soon} ELSE {later} END
FROM said
"""

_OUTCOMES = """
WITH made AS MATERIALIZED (
  SELECT s.id, s.time, s.direction, s.verdict, h.name, h.hours, {u} AS b,
         0.008 * sqrt(h.hours) * 1.732 * ({u} + {u} + {u} + {u} - 2) AS move
  FROM signals s CROSS JOIN made_horizons h
  WHERE s.id > {first} AND s.direction <> 0 AND {ended} <= {end})
INSERT INTO outcomes (signal_id, horizon, entry_at, exit_at, entry_price, exit_price, gross_return,
  net_return, long_net_return, r_multiple, barrier, barrier_r, mae_r, mfe_r, traded,
  funding_assumed, recorded_at)
SELECT id, name, time, {ended}, 100, 100 * (1 + move), direction * move, direction * move - 0.0014,
  move - 0.0014, (direction * move - 0.0014) / 0.012,
  CASE WHEN b < 0.3 THEN 'stop' WHEN b < 0.5 THEN 'target' ELSE 'horizon' END,
  (direction * move - 0.0014) / 0.012, -b, 1 - b, verdict IN ('CONFIRM', 'DOWNSIZE'), b < 0.01,
  {later}
FROM made
"""

_VERDICTS = """
WITH made AS MATERIALIZED (
  SELECT s.id, s.time, s.verdict AS rules, s.multiplier AS most, {u} AS v FROM signals s
  WHERE s.direction <> 0 AND s.profile_name = 'balanced' AND s.time >= {live_from})
INSERT INTO verdicts (signal_id, endpoint, model, prompt_version, temperature, state, verdict,
  risk_mode, multiplier, reasons, attempts, question, raw_reply, asked_at, recorded_at)
SELECT id, 'https://model.example/v1', 'gpt-x', '1', 0, 'answered',
  CASE WHEN v < 0.6 THEN rules WHEN v < 0.8 THEN 'WAIT' ELSE 'SKIP' END,
  CASE WHEN v < 0.6 THEN 'NORMAL' ELSE 'AVOID' END, CASE WHEN v < 0.6 THEN most ELSE 0 END,
  {nothing}, 1, {text}, {text}, time, time
FROM made
"""


def fill_record(engine: Engine, symbols: int, days: int, end: datetime = END) -> int:
    """Signals of every mode and hour, their outcomes, a model's verdicts, and their sums.

    What triggers, keys and the ledger would say is passed over. How many outcomes there are.
    """
    words = _words(engine, end)
    with engine.connect() as conn:
        _stand_aside(conn)
        _note_what_is_made(conn, symbols, days, end)
        conn.commit()
        for chunk in range(-(-days // CHUNK_DAYS)):
            first = conn.scalar(text("SELECT coalesce(max(id), 0) FROM signals"))
            for statement in (_SIGNALS, _OUTCOMES):
                filled = statement.format(**words, chunk=chunk, first=first)
                conn.exec_driver_sql(filled.replace("%", "%%"))
            conn.commit()
        conn.exec_driver_sql(_VERDICTS.format(**words))
        _fill_factor_days(conn, days, end)
        if engine.dialect.name == "postgresql":
            # One that has grown for years knows by itself how large its tables are.
            conn.exec_driver_sql("ANALYZE")
        conn.commit()
        return conn.scalar(text("SELECT count(*) FROM outcomes")) or 0


def fill_tallies(engine: Engine) -> int:
    with engine.begin() as conn:
        return rebuild_tallies(conn)


def _words(engine: Engine, end: datetime) -> dict[str, object]:
    live_from, at = (
        f"'{moment:%Y-%m-%d %H:%M:%S}.000000'" for moment in (end - timedelta(days=LIVE_DAYS), end)
    )
    cast = "" if engine.dialect.name == "sqlite" else "::json"
    shared: dict[str, object] = {
        "deviation": _DEVIATION,
        **{name: f"'{value}'{cast}" for name, value in _JSON.items()},
    }
    if engine.dialect.name == "sqlite":
        return {
            **shared,
            "u": "(random() / 18446744073709551616.0 + 0.5)",
            "live_from": live_from,
            "soon": "substr(time, 1, 17) || '03.000000'",
            "later": at,
            "end": at,
            "ended": "datetime(time, '+' || hours || ' hours') || '.000000'",
            "text": "hex(zeroblob(500))",
        }
    return {
        **shared,
        "u": "random()",
        "live_from": f"timestamptz {live_from[:-1]}+00'",
        "soon": "time + interval '3 seconds'",
        "later": f"timestamptz {at[:-1]}+00'",
        "end": f"timestamptz {at[:-1]}+00'",
        "ended": "time + hours * interval '1 hour'",
        "text": "repeat(md5(id::text), 30)",
    }


def _stand_aside(conn: Connection) -> None:
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA foreign_keys=OFF")
    else:
        conn.exec_driver_sql("SET session_replication_role = replica")


def _note_what_is_made(conn: Connection, symbols: int, days: int, end: datetime) -> None:
    """Small tables that the statements above multiply, the profiles, and bars at both ends."""
    frame = make_frame(symbols, hours=24)
    newest = frame.index.get_level_values("time").max()
    for shift in (timedelta(), timedelta(days=days)):
        moved = frame.reset_index()
        moved["time"] = moved["time"] + (pd.Timestamp(end) - newest) - shift
        save_bars(conn, moved.set_index(["symbol", "time"]).sort_index())
    kinds = (
        "(time timestamptz, chunk integer)" if conn.dialect.name != "sqlite" else "(time, chunk)"
    )
    conn.exec_driver_sql(f"CREATE TEMP TABLE made_hours {kinds}")
    conn.exec_driver_sql("CREATE TEMP TABLE made_markets (symbol varchar(32))")
    conn.exec_driver_sql(
        "CREATE TEMP TABLE made_modes (name varchar(64), version varchar(16), threshold float)"
    )
    conn.exec_driver_sql("CREATE TEMP TABLE made_horizons (name varchar(8), hours integer)")
    hours = pd.date_range(end=end, periods=days * 24, freq="h")
    rows = [
        {"time": time, "chunk": number // (24 * CHUNK_DAYS)}
        for number, time in enumerate(times(conn, hours))
    ]
    conn.execute(text("INSERT INTO made_hours VALUES (:time, :chunk)"), rows)
    names = frame.index.get_level_values("symbol").unique()
    conn.execute(text("INSERT INTO made_markets VALUES (:s)"), [{"s": name} for name in names])
    for name in PROFILE_NAMES:
        profile = load_profile(name)
        save_profile(conn, profile, end)
        row = {"n": name, "v": profile.version, "t": profile.threshold}
        conn.execute(text("INSERT INTO made_modes VALUES (:n, :v, :t)"), row)
    for horizon in HORIZONS:
        row = {"n": horizon, "h": int(pd.Timedelta(horizon) / pd.Timedelta("1h"))}
        conn.execute(text("INSERT INTO made_horizons VALUES (:n, :h)"), row)


def _fill_factor_days(conn: Connection, days: int, end: datetime) -> None:
    of = pd.date_range(end=pd.Timestamp(end).floor("D"), periods=days, freq="D")
    pairs = [(one, other) for at, one in enumerate(FACTORS) for other in FACTORS[at + 1 :]]
    pairs += [(factor, horizon) for factor in FACTORS for horizon in HORIZONS]
    chance, n = np.random.default_rng(1), len(of) * len(pairs)
    insert_new(
        conn,
        factor_days,
        {
            "windows_version": [load_profile().windows_version] * n,
            "day": [day for day in times(conn, of) for _ in pairs],
            "factor": [one for _ in of for one, _ in pairs],
            "other": [other for _ in of for _, other in pairs],
            "n": [12_000] * n,
            "sum_product": floats(chance.normal(size=n) * 100, "sum_product"),
            "sum_factor_squared": floats(chance.uniform(11_000, 13_000, n), "sum_factor_squared"),
            "sum_other_squared": floats(chance.uniform(11_000, 13_000, n), "sum_other_squared"),
        },
    )
