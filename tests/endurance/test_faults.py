"""Every fault of every source, alone and three at a time, while the whole path is at work."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from core.jobs.live import LiveCollector
from core.jobs.streams import Streams, WithStreams
from core.market.demo import END
from core.market.recording import assemble
from core.settings import load_settings
from core.store.health import load_health
from core.store.liquidations import load_gaps, load_streams
from core.worker import Worker
from tests.endurance.figures import length, say, wait_for
from tests.endurance.markets import Tables, demo_without_late_candles
from tests.endurance.publishing import VENUES, Publisher
from tests.endurance.truth import (
    LIQUIDATIONS,
    stored_frame,
    wrong_liquidations,
    wrong_numbers,
    wrong_signals,
)
from tests.endurance.working import hasten, settings_of
from tests.live_market import FastClock
from tests.stored import rounds_done
from tests.world import World
from tests.world.faults import FAULTS, SOCKET

# Of the path with streams; the one with providers takes as long again.
SECONDS = length("FAULTS_SECONDS", 600) / 2
SEED = int(length("FAULTS_SEED", 1))
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SUIUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT"]
HOUR_SECONDS = 4.0
# A fault lasts until it shows, but for two bars at least and not longer than this.
SHORTEST, LONGEST = 2 * HOUR_SECONDS, 25.0
RECOVERED_WITHIN = 60.0
PATHS = {
    "streams": {"LUNARCRUSH_API_KEY": "key"},
    "providers": {"LUNARCRUSH_API_KEY": "key", "COINGLASS_API_KEY": "key"},
}
Episode = dict[str, set[str]]


def episodes(sources: list[str], half: int, chance: random.Random) -> Iterator[Episode]:
    """Half of the faults alone, the other path has the others; then three at a time for ever."""
    alone = [*FAULTS, *SOCKET]
    random.Random(SEED).shuffle(alone)
    for fault in alone[half::2]:
        yield {chance.choice(_able(sources, fault)): {fault}}
    while True:
        episode: Episode = {}
        for fault in chance.sample([*FAULTS, *SOCKET], 3):
            episode.setdefault(chance.choice(_able(sources, fault)), set()).add(fault)
        yield episode


def _able(sources: list[str], fault: str) -> list[str]:
    return [one for one in sources if fault not in SOCKET or one in VENUES]


@dataclass
class Path_:
    """The whole path from the world to the database, at work."""

    engine: Engine
    world: World
    collector: LiveCollector
    publisher: Publisher
    worker: Worker
    tables: Tables
    half: int
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def stop(self) -> None:
        self.publisher.stop()
        self.worker.stop()
        self.thread.join(30)

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self.errors.append(error)
            raise

    def forget_remarks(self) -> None:
        """What was odd before must not count for what is odd now."""
        for watched in self.collector._http._watched.values():
            watched._remarks.clear()

    def shows(self, source: str, faults: set[str]) -> bool:
        """Whether what the System page reads says that something is the matter."""
        with self.engine.connect() as conn:
            health, streams, gaps = load_health(conn), load_streams(conn), load_gaps(conn)
        lasting = set(gaps.loc[gaps["ended_at"].isna(), "venue"])
        down = set(streams.index[streams["state"] != "live"]) | lasting
        if faults <= set(SOCKET):
            return source in down
        state = health.loc[source, "state"]
        said = bool(state["troubles"] or state.get("remarks"))
        return said or not health.loc[source, "healthy"]

    def well(self) -> bool:
        """Everything answers again, is followed again, and bars get their rounds."""
        with self.engine.connect() as conn:
            health, streams = load_health(conn), load_streams(conn)
        followed = streams.loc[list(self.collector.contracts), "state"]
        return bool(health["healthy"].all() and (followed == "live").all())

    def rounds(self) -> int:
        return len(rounds_done(self.engine))


@pytest.fixture(params=list(PATHS))
def path(
    request: pytest.FixtureRequest,
    sqlite_engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path_]:
    hasten(monkeypatch.setattr)
    hours = int((SECONDS + 240) / HOUR_SECONDS)
    tables = demo_without_late_candles(SYMBOLS, END, 13 + hours // 24 + 1)
    first = tables["candles_1h"]["open_at"].min().to_pydatetime() + timedelta(days=13)
    clock = FastClock(first, time.time(), HOUR_SECONDS)
    engine, keys = sqlite_engine, PATHS[request.param]
    if request.param == "streams":
        del tables["liquidations_4h"]
    with World(tables, clock) as world:
        settings = load_settings(settings_of(world.endpoints, **keys))
        with (
            Publisher(world, clock, SYMBOLS, 60, quiet_minutes=6) as publisher,
            LiveCollector(settings, clock) as live,
        ):
            streams = Streams(engine, live.contracts, "me", tmp_path, world.endpoints, clock)
            mixed = "COINGLASS_API_KEY" in keys
            collector = live if mixed else WithStreams(live, engine, live.contracts)
            worker = Worker(engine, collector, "me", clock, batches=1, tick_seconds=0.1)
            found = Path_(
                engine, world, live, publisher, worker, tables, list(PATHS).index(request.param)
            )
            with streams:
                found.thread.start()
                yield found
                found.stop()


@pytest.mark.long
def test_every_fault_shows_passes_and_leaves_no_wrong_number(path: Path_) -> None:
    chance = random.Random(f"{SEED} {path.half}")
    wait_for(lambda: path.rounds() > 1 and path.well(), 60)
    with path.engine.connect() as conn:
        # Ranks of coins are asked for once a day, and no number of the market comes from them.
        sources = sorted(load_health(conn).index.drop("coingecko", errors="ignore"))
    began, silent, lasting = time.monotonic(), [], []
    for number, episode in enumerate(episodes(sources, path.half, chance)):
        if time.monotonic() - began > SECONDS:
            break
        unseen = suffer(path, episode)
        silent += [f"{source}: {', '.join(sorted(episode[source]))}" for source in unseen]
        recovered = recover(path)
        lasting += [f"{episode}: {recovered}"] if isinstance(recovered, str) else []
        say(f"{number}: {episode}, unseen {unseen}, well again after {recovered}")
        assert not path.errors
    path.stop()
    assert not path.thread.is_alive()
    stored = stored_frame(path.engine, SYMBOLS)
    wrong = [*wrong_numbers(stored, path.tables), *wrong_signals(path.engine, stored)]
    if "liquidations_4h" not in path.tables:
        wrong += wrong_liquidations(stored, sent_by(path.publisher), path.publisher.sent[0].at)
    report(path, stored, number)
    assert not wrong, "\n".join([f"{len(wrong)} wrong numbers", *wrong[:20]])
    assert not lasting, "\n".join(["did not recover", *lasting])
    assert not silent, "\n".join(["showed nowhere", *silent])


def suffer(path: Path_, episode: Episode) -> list[str]:
    """The sources whose faults never showed."""
    path.forget_remarks()
    before, began = path.rounds(), time.monotonic()
    for source, faults in episode.items():
        path.world.fail(source, *faults)
    unseen = set(episode)
    while (passed := time.monotonic() - began) < LONGEST:
        unseen -= {source for source in unseen if path.shows(source, episode[source])}
        if passed > SHORTEST and not unseen and path.rounds() >= before:
            break
        time.sleep(0.2)
    for source in episode:
        path.world.heal(source)
    return sorted(unseen)


def recover(path: Path_) -> float | str:
    """Seconds until everything was well and another bar had its round; else why not."""
    before, began = path.rounds(), time.monotonic()
    while time.monotonic() - began < RECOVERED_WITHIN:
        if path.rounds() > before and path.well():
            return round(time.monotonic() - began, 1)
        time.sleep(0.2)
    with path.engine.connect() as conn:
        return (
            f"{ {name: state['troubles'] for name, state in load_health(conn)['state'].items()} } "
            f"{load_streams(conn)['state'].to_dict()}"
        )


def sent_by(publisher: Publisher) -> pd.DataFrame:
    sent = pd.DataFrame(publisher.sent)
    return sent.assign(long=[number % 3 > 0 for number in range(len(sent))])


def report(path: Path_, stored: pd.DataFrame, episodes: int) -> None:
    since = path.publisher.sent[0].at
    during = stored[stored.index.get_level_values("time") > since]
    known = during.notna().mean().round(3).to_dict()
    true = assemble(path.tables).frame.reindex(during.index)
    equal = {
        name: round(float(np.isclose(during[name], true[name], rtol=1e-9).mean()), 3)
        for name in true
    }
    hours = during.index.get_level_values("time").nunique()
    say(
        f"{episodes} episodes in {hours} bars of {len(SYMBOLS)} symbols, {path.rounds()} rounds done",
        f"present during the faults: {known}",
        f"as in the undisturbed tables: {equal}",
        f"liquidations of {int(during[LIQUIDATIONS[0]].notna().sum())} bars known",
    )
