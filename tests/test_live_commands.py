"""The commands of a live market's operator."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from core.market import recording
from core.market.demo import END, demo_tables
from core.market.sources import BUDGETS
from core.store import held_market, open_store
from core.store.observations import save_observations
from core.worker import Worker
from tests.server import free_port
from tests.typing_commands import typed
from tests.world import World

SEEN = END + timedelta(minutes=1)


@pytest.fixture
def core(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """Runs a command on the live market; its output, and the exit code if it is not 0."""
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("DATABASE_URL", "CRYPTOSATX_EXCHANGES", "COINAPI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PORT", str(probe.getsockname()[1]))

    return partial(typed, monkeypatch, capsys)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(demo_tables(days=2, end=END), lambda: datetime.now(UTC)) as world:
        yield world


def addresses(world: World) -> str:
    return ",".join(f"{name}={url}" for name, url in world.endpoints.items())


def test_what_was_observed_is_written_as_a_recording(
    core: Callable[..., str], tmp_path: Path
) -> None:
    tables = demo_tables(days=3)
    engine = open_store(f"sqlite:///{tmp_path}/live.sqlite", "live")
    with engine.begin() as conn:
        save_observations(conn, tables, SEEN)
    engine.dispose()
    assert f"candles_1h: {len(tables['candles_1h']):,} rows" in core("record", str(tmp_path / "it"))
    found = recording.load(tmp_path / "it")
    pd.testing.assert_frame_equal(found, recording.assemble(tables).frame, check_index_type=False)
    assert (pd.read_parquet(tmp_path / "it" / "funding.parquet")["seen_at"] == SEEN).all()


def test_a_part_of_it_can_be_written(core: Callable[..., str], tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path}/live.sqlite", "live")
    with engine.begin() as conn:
        save_observations(conn, demo_tables(days=3), SEEN)
    engine.dispose()
    core("record", str(tmp_path / "it"), "--start", f"{END - timedelta(hours=5):%Y-%m-%dT%H:%M}")
    times = recording.load(tmp_path / "it").index.get_level_values("time")
    assert times.min() == END - timedelta(hours=5)


def test_without_observations_there_is_nothing_to_record(
    core: Callable[..., str], tmp_path: Path
) -> None:
    assert "start a worker first" in core("record", str(tmp_path / "it"))
    assert not (tmp_path / "it").exists()
    assert "write it like" in core("record", str(tmp_path / "it"), "--start", "yesterday-ish")


def test_other_markets_have_no_observations(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    assert "set CRYPTOSATX_MARKET=live" in core("record", "nowhere")


def test_a_worker_of_another_market_works_through_its_past_and_stays(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[str] = []
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    monkeypatch.setattr("core.commands.worker.fill", lambda market, _: filled.append(market.key))
    monkeypatch.setattr(Worker, "run", lambda _: True)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert "serves Simulated market." in core("worker")
    assert filled == ["demo"]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto``, and no exchange answers."""
    monkeypatch.setenv("CRYPTOSATX_MARKET", "auto")
    monkeypatch.setenv("CRYPTOSATX_LIMITS", "attempts=1,connect=1")
    silent = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("CRYPTOSATX_ENDPOINTS", ",".join(f"{name}={silent}" for name in BUDGETS))


def test_a_worker_waits_for_no_exchange_unless_told_to(
    core: Callable[..., str], nowhere: None, tmp_path: Path
) -> None:
    said = core("worker")
    assert said.endswith("exit 1")
    assert "no exchange answered: " in said
    assert "Set CRYPTOSATX_MARKET=live to wait for one." in said
    assert not list(tmp_path.iterdir())


def test_a_worker_takes_the_live_market_when_an_exchange_answers(
    core: Callable[..., str], world: World, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_ENDPOINTS", addresses(world))
    monkeypatch.setattr(Worker, "run", lambda _: True)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert "works on binance, bybit, okx." in core("worker")


def test_auto_records_what_was_followed_before_whoever_answers_now(
    core: Callable[..., str], nowhere: None, tmp_path: Path
) -> None:
    assert "set CRYPTOSATX_MARKET=live" in core("record", str(tmp_path / "it"))
    open_store(f"sqlite:///{tmp_path}/live.sqlite", "live").dispose()
    assert "start a worker first" in core("record", str(tmp_path / "it"))


def test_the_doctor_says_which_market_auto_is_and_why(
    core: Callable[..., str], world: World, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = " ".join(core("doctor").split())
    assert "Simulated market, because no exchange answered" in said
    monkeypatch.setenv("CRYPTOSATX_ENDPOINTS", addresses(world))
    said = core("doctor")
    assert "Live market, because" in said
    assert said.count("answered in") == 5


def test_the_doctor_leaves_an_empty_database_to_whoever_comes_first(
    core: Callable[..., str], nowhere: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/ours.sqlite"
    monkeypatch.setenv("DATABASE_URL", url)
    core("doctor")
    assert held_market(url) is None
    open_store(url, "live").dispose()
    assert "Live market, because the database of DATABASE_URL holds it" in core("doctor")


def test_the_doctor_asks_every_source_once(
    core: Callable[..., str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_ENDPOINTS", addresses(world))
    monkeypatch.setenv("COINGLASS_API_KEY", "key")
    monkeypatch.setenv("LUNARCRUSH_API_KEY", "key")
    monkeypatch.setenv("COINAPI_API_KEY", "key")
    before = {name: source.requests for name, source in world.sources.items()}
    said = core("doctor")
    assert "not ok" not in said
    assert said.count("answered in") == len(BUDGETS)
    assert "its clock says" in said
    assert "of the clocks of 3 exchanges" in said
    assert {name: before[name] + 1 for name in BUDGETS} == {
        name: world.sources[name].requests for name in BUDGETS
    }


def test_the_doctor_finds_a_limit_that_a_worker_would_refuse(
    core: Callable[..., str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_ENDPOINTS", addresses(world))
    monkeypatch.setenv("CRYPTOSATX_LIMITS", "total=abc")
    said = core("doctor")
    assert "total=abc cannot be used" in said
    assert said.endswith("exit 1")


def test_the_doctor_asks_the_exchanges_where_auto_found_none(
    core: Callable[..., str], nowhere: None
) -> None:
    said = core("doctor")
    assert "because no exchange answered" in said
    assert said.count("Check this machine's network") >= 3
    assert said.endswith("exit 1")


def test_the_doctor_says_when_this_machines_clock_is_wrong(
    core: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with World(
        demo_tables(days=2, end=END), lambda: datetime.now(UTC) + timedelta(minutes=2)
    ) as ahead:
        monkeypatch.setenv("CRYPTOSATX_ENDPOINTS", addresses(ahead))
        said = core("doctor")
    assert "clock is 120 s behind the exchanges' clocks" in said
    assert said.endswith("exit 1")


def test_the_doctor_says_which_source_does_not_answer(
    core: Callable[..., str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_ENDPOINTS", addresses(world))
    monkeypatch.setenv("CRYPTOSATX_LIMITS", "attempts=1")
    with world.failing("okx", "500"):
        said = core("doctor")
    assert said.endswith("exit 1")
    assert "okx is not working (500)" in said
    assert said.count("not ok") == 1
