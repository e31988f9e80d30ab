"""The record as a file: whole, and enough to recompute the chain and every figure."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import uvicorn
from sqlalchemy import Engine, func, select, text
from starlette.applications import Starlette
from typer.testing import CliRunner

from core import instance as instances
from core.__main__ import app
from core.accounts import passwords, people, sessions
from core.accuracy import summarise_tallies
from core.errors import StoreError
from core.store import ledger
from core.store.entries import snapshot
from core.store.export import SCHEMA, Chosen, write_record
from core.store.record import Filters, load_tallies
from core.store.tables import outcomes, signals, verdicts
from core.store.tallies import keep_verdict_tallies
from core.ui.routes import ROUTES
from tests.chained import market, save_record, save_verdict
from tests.server import free_port

RECIPE = Path(__file__).with_name("recipe.py")


def written(engine: Engine, form: str, chosen: Chosen | None = None) -> bytes:
    with snapshot(engine) as conn:
        return b"".join(write_record(conn, form, chosen))  # type: ignore[arg-type]


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    with engine.begin() as conn:
        conn.execute(text("INSERT INTO meta VALUES ('market', 'demo')"))
        save_record(conn)
    return engine


def test_every_outcome_is_there_once_for_every_judge(recorded: Engine) -> None:
    frame = pd.read_parquet(io.BytesIO(written(recorded, "parquet")))
    assert list(frame.columns) == SCHEMA.names
    with recorded.connect() as conn:
        count = conn.scalar(select(func.count()).select_from(outcomes))
        answered = (verdicts.c.signal_id == outcomes.c.signal_id) & (verdicts.c.state == "answered")
        judged = select(func.count()).select_from(outcomes).join(verdicts, answered)
        of_model = conn.scalar(judged)
        joined = select(signals, outcomes).join_from(
            outcomes, signals, signals.c.id == outcomes.c.signal_id
        )
        stored = conn.execute(joined).mappings()
        by_key = {(row["signal_id"], row["horizon"]): row for row in stored}
    by_judge = frame["judge"].value_counts()
    assert by_judge.to_dict() == {"rules": count, "careful / p1": of_model}
    assert not frame.duplicated(["signal_id", "horizon", "judge"]).any()
    for row in frame[frame["judge"] == "rules"].itertuples(index=False):
        held = by_key[row.signal_id, row.horizon]
        assert (row.symbol, row.time, row.exit_at) == (held.symbol, held.time, held.exit_at)
        assert (row.net_return, row.score, row.traded) == (held.net_return, held.score, held.traded)
    model = frame[frame["judge"] != "rules"]
    assert set(model["verdict"]) == {"DOWNSIZE"}
    assert set(model["multiplier"]) == {0.5}
    assert model["verdict_position"].notna().all()


def test_csv_and_parquet_hold_the_same(recorded: Engine) -> None:
    parquet = pd.read_parquet(io.BytesIO(written(recorded, "parquet")))
    times = ["time", "entry_at", "exit_at"]
    csv = pd.read_csv(io.BytesIO(written(recorded, "csv")), parse_dates=times)
    for name in SCHEMA.names:
        if parquet[name].dtype == np.float64:
            assert csv[name].equals(parquet[name].astype(csv[name].dtype)), name
        elif name in times:
            assert (csv[name] == parquet[name]).all(), name
    assert len(csv) == len(parquet)


def test_a_part_can_be_chosen(recorded: Engine) -> None:
    chosen = Chosen("bold", judge="rules")
    frame = pd.read_parquet(io.BytesIO(written(recorded, "parquet", chosen)))
    assert set(frame["profile_name"]) == {"bold"}
    assert set(frame["judge"]) == {"rules"}
    nobody = pd.read_parquet(io.BytesIO(written(recorded, "parquet", Chosen(judge="nobody"))))
    assert (len(nobody), list(nobody.columns)) == (0, SCHEMA.names)
    with pytest.raises(StoreError, match="a part of a chain proves nothing"):
        written(recorded, "jsonl", chosen)


def test_anyone_can_recompute_the_chain_from_json_lines(recorded: Engine) -> None:
    previous, count = bytes(32), 0
    for line in written(recorded, "jsonl").splitlines():
        entry, _, end = line.rpartition(b',"hash":"')
        previous, count = hashlib.sha256(previous + entry + b"}").digest(), count + 1
        told = json.loads(line)
        assert (told["hash"], told["position"]) == (previous.hex(), count)
        _, _, measured = end.partition(b'"measured":')
        assert bool(measured) == (told["kind"] == "signal")
        if measured:
            assert hashlib.sha256(measured[:-1]).hexdigest() == told["content"]["measured"]
            assert told["measured"]["close"] == told["content"]["last_price"]
    with recorded.connect() as conn:
        assert ledger.head(conn) == (count, previous)


def test_the_recipe_gives_the_figures_of_the_page(engine: Engine, tmp_path: Path) -> None:
    frame = market(hours=24 * 33, symbols=1)
    with engine.begin() as conn:
        save_record(conn, rows=24 * 25, frame=frame, every=3)
        directed = select(signals.c.id).where(signals.c.direction != 0)
        asked = set(conn.scalars(select(verdicts.c.signal_id)))
        new = [row for row in conn.scalars(directed.order_by(signals.c.id)) if row not in asked][
            ::3
        ]
        names = ("verdict", "risk_mode", "multiplier")
        for number, signal_id in enumerate(new):
            said = ("SKIP", "AVOID", 0.0) if number % 2 else ("DOWNSIZE", "REDUCED", 0.5)
            save_verdict(conn, signal_id, **dict(zip(names, said, strict=True)))
        keep_verdict_tallies(conn, new)
    file = tmp_path / "record.parquet"
    file.write_bytes(written(engine, "parquet"))
    command = [sys.executable, str(RECIPE), str(file)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    printed = {tuple(line.split(",")[:5]): line.split(",")[5:] for line in lines}
    with_interval = 0
    with engine.connect() as conn:
        for name, version, judge in {key[:3] for key in printed}:
            filters = Filters(profile_name=name, profile_version=version, judge=judge)
            tallies = load_tallies(conn, filters, ["verdict", "horizon", "traded"])
            for row in summarise_tallies(tallies).reset_index().itertuples(index=False):
                found = printed.pop((name, version, judge, row.horizon, row.verdict))
                shown = (row.n, row.win_rate, row.low, row.high, row.baseline, row.lift)
                np.testing.assert_allclose(
                    np.array(found, dtype=float), [*shown, row.expectancy_r], rtol=1e-9, atol=1e-12
                )
                with_interval += not np.isnan(row.low)
    assert printed == {}
    assert with_interval >= 4


def test_the_recipe_is_short() -> None:
    assert len(RECIPE.read_text().splitlines()) <= 30


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, engine: Engine, folder: Path) -> Iterator[str]:
    """The routes over a database, on a real socket."""
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("CRYPTOSATX_DATA", str(folder))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    port = free_port()
    config = uvicorn.Config(Starlette(routes=ROUTES), port=port, log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        for opened in instances._engines.values():
            opened.dispose()


def test_analysts_and_admins_can_download_the_record_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch, recorded: Engine, tmp_path: Path
) -> None:
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    now, tokens = datetime.now(UTC), {}
    with recorded.begin() as conn:
        for role in ("admin", "analyst", "trader"):
            person = people.create_user(
                conn, username=role, name=role, role=role, password="four unrelated words", now=now
            )
            tokens[role] = sessions.start(conn, person.id, now=now)
        tokens["guest"] = sessions.start(conn, None, now=now)
    with served(monkeypatch, recorded, tmp_path) as url:
        for token in ("", "nonsense", tokens["trader"], tokens["guest"]):
            cookies = {"cryptosatx_session": token}
            for form in ("csv", "parquet", "jsonl"):
                refused = httpx.get(f"{url}/record/ledger.{form}", cookies=cookies)
                assert (refused.status_code, "hash" in refused.text) == (403, False)
        for role in ("analyst", "admin"):
            with httpx.Client(cookies={"cryptosatx_session": tokens[role]}) as client:
                for form in ("csv", "parquet", "jsonl"):
                    head = client.head(f"{url}/record/ledger.{form}")
                    got = client.get(f"{url}/record/ledger.{form}")
                    assert (head.status_code, head.content) == (200, b"")
                    assert got.content == written(recorded, form)
                    assert got.headers["cache-control"] == "no-store"
                    assert got.headers["content-disposition"].endswith(f'.{form}"')
                some = client.get(f"{url}/record/ledger.csv", params={"profile": "bold"})
                assert b"aggressive" not in some.content
                part = client.get(f"{url}/record/ledger.jsonl", params={"profile": "bold"})
                assert part.status_code == 400
                assert client.get(f"{url}/record/ledger.exe").status_code == 404


def test_the_commands_write_the_record_and_verify_it(
    monkeypatch: pytest.MonkeyPatch, recorded: Engine, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", recorded.url.render_as_string(hide_password=False))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    with recorded.connect() as conn:
        length, head = ledger.head(conn)
    published = f"{length}:{head.hex()}"
    run = CliRunner()
    for name in ("record.csv", "record.jsonl"):
        done = run.invoke(app, ["export", str(tmp_path / name)])
        assert (done.exit_code, published in done.output) == (0, True)
        assert (tmp_path / name).read_bytes() == written(recorded, name.split(".")[1])
    told = run.invoke(app, ["verify", "--published", published])
    assert told.exit_code == 0, told.output
    assert f"all {length:,} entries of the ledger are what was written" in told.output
    assert f"Head: {published}" in told.output
    other = run.invoke(app, ["verify", "--published", f"{length + 1}:{head.hex()}"])
    assert other.exit_code == 1
    assert "the record was cut or rewritten" in other.output
    with recorded.begin() as conn:
        ledger.hold(conn)
        ledger.append(conn, "signal", [(10**6, b"{}")])
    broken = run.invoke(app, ["verify"])
    assert broken.exit_code == 1
    assert "signal 1000000: its row is missing" in broken.output
