"""Everything that the description of the sources' operations allows, asked of the API at random."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.api import api_routes
from core.market.demo import demo_tables
from core.operations.every import all_operations
from core.operations.sources import close_readers
from tests.api import Desk, make_template, serve
from tests.test_api_fuzz import Fuzz
from tests.test_exchange_operations import END, small
from tests.test_exchange_operations import settings_of as settings_of_exchanges
from tests.test_source_operations import settings_of as settings_of_providers
from tests.world import World
from tests.world.directory import Directory


@pytest.fixture
def desk(
    monkeypatch: pytest.MonkeyPatch,
    sqlite_template: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    path = make_template(sqlite_template, tmp_path_factory.mktemp("fuzz"))
    with World(small(demo_tables(days=5, end=END)), lambda: END) as world, Directory() as directory:
        told = [settings_of_exchanges(world), settings_of_providers(directory)]
        both = {
            "CRYPTOSATX_ENDPOINTS": [one.endpoints for one in told],
            "CRYPTOSATX_BUDGETS": [one.budgets for one in told],
            "CRYPTOSATX_LIMITS": [told[1].limits],
        }
        settings = {
            name: ",".join(f"{key}={value}" for one in many for key, value in one.items())
            for name, many in both.items()
        }
        keys = {f"{name}_API_KEY": directory.key for name in ("COINGLASS", "LUNARCRUSH", "COINAPI")}
        calls = {"CRYPTOSATX_API_CALLS_PER_MINUTE": "1000000"}
        for desk in serve(monkeypatch, f"sqlite:///{path}", tmp_path, **settings, **keys, **calls):
            desk.client = TestClient(Starlette(routes=api_routes(all_operations())))
            yield desk
        close_readers()


@pytest.mark.long
def test_whatever_is_asked_of_sources_is_answered_as_described(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = float(os.environ.get("API_FUZZ_SECONDS", "600"))
    fuzz, until, seed = Fuzz(desk), monotonic() + seconds, 0
    fuzz.operations = [one for one in fuzz.operations if "/sources/" in one.path]
    assert len(fuzz.operations) > 172
    while monotonic() < until:
        seed += 1
        fuzz.ask_all(examples=3, seed=seed, until=until)
    counts: dict[int, int] = {}
    for (_, status), number in fuzz.statuses.items():
        counts[status] = counts.get(status, 0) + number
    with capsys.disabled():
        print(f"\n{fuzz.requests:,} requests in {seconds:g} s: {dict(sorted(counts.items()))}")  # noqa: T201
    assert not [status for status in counts if status >= 500]
