"""Everything that the description allows, and much that it does not, asked of the API at random.

It is asked of the application that `app.py` makes, with everything that stands before the API in it,
and with every operation; the sources are the stand-in world's. In CI the same requests each time;
`pytest -m long` goes on for API_FUZZ_SECONDS (600).
"""

from __future__ import annotations

import os
import runpy
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as any_
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config
from streamlit.runtime import Runtime

from core.market.demo import demo_tables
from core.operations.every import all_operations
from core.operations.sources import close_readers, source_operations
from core.store.backtests import load_runs
from tests.api import MODEL, PREFIX, Desk, make_template, serve
from tests.test_exchange_operations import END, small
from tests.test_exchange_operations import settings_of as settings_of_exchanges
from tests.test_source_operations import settings_of as settings_of_providers
from tests.world import World
from tests.world.directory import Directory

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROOT = Path(__file__).resolve().parents[1]
# What requests are made from, and whether they are about something that is there.
KINDS = tuple(
    (mode, there)
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    for there in (False, True)
)
OF_SOURCES = KINDS[:3]
# Headers of requests that are refused whatever they ask for, by what is strange about them.
STRANGE: Mapping[str, Mapping[str, str]] = {
    "path": {},
    "length": {"Content-Length": "-1"},
    "size": {"Content-Length": "99999999"},
    "form": {"Accept": "text/html"},
    "key": {"Authorization": "Bearer csx_none"},
}
# What is there: random values of these would hardly ever be.
THERE: dict[str, list[Any]] = {
    "symbol": ["S0USDT", "S1USDT", "BTCUSDT"],
    "symbols": [["S0USDT"], ["BTCUSDT", "ETHUSDT"]],
    "rule_id": [1, 2, 3],
    "based_on": [1, 2],
    "silence_id": [1, 2],
    "position": [1, 7, 700],
    "judge": ["rules", MODEL],
    "expression": ["score > 60", 'close > avg(close, "24h")'],
    "time": ["2025-09-20T12:00:00Z"],
    "cursor": [None],
    "version": [None],
    "history": [""],
    "channels": [[]],
    "profile": [None],
}


SOURCES = {one.name: one for one in source_operations()}


@pytest.fixture
def desk(
    monkeypatch: pytest.MonkeyPatch,
    sqlite_template: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    """The application as it is served, over a stored market, between stand-ins of all sources."""
    path = make_template(sqlite_template, tmp_path_factory.mktemp("fuzz"))
    # An application finds its pages beside the script that the last one has set.
    monkeypatch.setattr(config, "_main_script_path", str(ROOT / "app.py"))
    monkeypatch.setattr(Runtime, "_instance", None)
    with World(small(demo_tables(days=5, end=END)), lambda: END) as world, Directory() as directory:
        settings = {**ROOMY, **settings_of_sources(world, directory)}
        for desk in serve(monkeypatch, f"sqlite:///{path}", tmp_path, **settings):
            app = runpy.run_path(str(ROOT / "app.py"))["app"]
            monkeypatch.setattr(app, "_user_lifespan", nothing)
            with TestClient(app, follow_redirects=False) as desk.client:
                yield desk
        close_readers()


# Of each address and each key as many as it likes.
ROOMY = {
    "CRYPTOSATX_API_CALLS_PER_MINUTE": "1000000",
    "CRYPTOSATX_EDGE_LIMITS": "requests=1000000",
}


@asynccontextmanager
async def nothing(_app: Any) -> AsyncIterator[None]:
    """In place of what opens databases and keeps a worker."""
    yield


def without_lifespan(app: ASGIApp) -> ASGIApp:
    """The application without its start and end, which it has behind it: the fuzzer would end it with
    the process."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("There is none.")
        await app(scope, receive, send)

    return asked


def settings_of_sources(world: World, directory: Directory) -> dict[str, str]:
    """Where all of them are, with their keys, and how often they may be asked."""
    told = [settings_of_exchanges(world), settings_of_providers(directory)]
    several = {
        "CRYPTOSATX_ENDPOINTS": [one.endpoints for one in told],
        "CRYPTOSATX_BUDGETS": [one.budgets for one in told],
        "CRYPTOSATX_LIMITS": [told[1].limits],
    }
    settings = {
        name: ",".join(f"{key}={value}" for one in many for key, value in one.items())
        for name, many in several.items()
    }
    keyed = ("COINGLASS", "LUNARCRUSH", "COINAPI", "COINGECKO")
    return settings | {f"{name}_API_KEY": directory.key for name in keyed}


class Fuzz:
    """Asks every operation; counts what came back."""

    def __init__(self, desk: Desk) -> None:
        app = without_lifespan(desk.client.app)
        schema = schemathesis.openapi.from_asgi(f"{PREFIX}/openapi.json", app)
        self.operations = [one.ok() for one in schema.get_all_operations()]
        self.statuses: Counter[tuple[str, int]] = Counter()
        self._key = desk.key()
        with desk.here.engine.connect() as conn:
            THERE["run_id"] = [run.id for run in load_runs(conn, 5)]

    def ask_all(self, examples: int, seed: int, until: float = float("inf")) -> None:
        """So many requests of each kind for each operation; those of sources, of which there are many
        that are all made in the same way, are asked less."""
        for operation in self.operations:
            of_source = name_of(operation) in SOURCES
            many = max(1, examples // 3) if of_source else examples
            for mode, there in OF_SOURCES if of_source else KINDS:
                if monotonic() < until:
                    self._ask(operation, mode, many, seed, there=there)

    def ask_strangely(self) -> None:
        """What is refused before an operation hears of it: by its address, its headers, its key."""
        for operation in self.own():
            inside = [one.name for one in operation.path_parameters]
            for kind, headers in STRANGE.items():
                # A body is sent with its length.
                if (kind == "path" and not inside) or (
                    "Content-Length" in headers and writes(operation)
                ):
                    continue
                path = dict.fromkeys(inside, "\0" if kind == "path" else "1")
                case = operation.Case(path_parameters=path)
                if writes(operation):
                    case.body, case.media_type = {}, "application/json"
                self._check(case, CHECKS, headers)

    def own(self) -> list[Any]:
        """The operations that ask no source."""
        return [one for one in self.operations if name_of(one) not in SOURCES]

    def _ask(
        self, operation: Any, mode: GenerationMode, examples: int, seed: int, *, there: bool
    ) -> None:
        known = known_values(name_of(operation))

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(
            operation.as_strategy(generation_mode=mode), any_.randoms(use_true_random=False)
        )
        def once(case: Case, chance: Any) -> None:
            if there:
                _point_at_what_is_there(case, chance, known)
            checks = (
                CHECKS
                if there or mode is GenerationMode.POSITIVE
                else [*CHECKS, negative_data_rejection]
            )
            self._check(case, checks)

        once()

    def _check(
        self, case: Case, checks: list[Any], headers: Mapping[str, str] | None = None
    ) -> None:
        own = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        # Those of the case go before others, and it may have made up a key.
        case.headers = {**(case.headers or {}), **own}
        answer = case.call(headers=own)
        self.statuses[case.operation.label, answer.status_code] += 1
        case.validate_response(answer, checks=checks, headers=own)

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    def ended(self, status: int) -> set[str]:
        """The operations of which a request ended so."""
        return {label for label, one in self.statuses if one == status}


def name_of(operation: Any) -> str:
    """The name of an operation of the description."""
    return str(operation.definition.raw["operationId"])


def writes(operation: Any) -> bool:
    return bool(operation.method == "post")


def known_values(name: str) -> Mapping[str, list[Any]]:
    """Values of parameters of which there is something; of a source's those of its example."""
    if name not in SOURCES:
        return THERE
    return {key: [value] for key, value in SOURCES[name].examples[0].items()}


def _point_at_what_is_there(case: Case, chance: Any, known: Mapping[str, list[Any]]) -> None:
    for part in (case.path_parameters, case.query, case.body):
        if not isinstance(part, dict):
            continue
        for name in [name for name in part if name in known]:
            value = chance.choice(known[name])
            if value is None:
                del part[name]
            else:
                part[name] = value
        inner = part.get("parameters")
        if isinstance(inner, dict):
            inner.update({name: chance.choice(known[name]) for name in inner if name in known})


def test_whatever_is_asked_for_is_answered_as_described(desk: Desk) -> None:
    fuzz = Fuzz(desk)
    assert len(fuzz.operations) == len(all_operations()) + 2
    fuzz.ask_all(examples=3, seed=1)
    assert fuzz.requests > 1_200
    assert {status for _, status in fuzz.statuses} <= {200, 304, 400, 404, 415, 422, 424}
    # Most were answered and not only refused.
    assert len(fuzz.ended(200)) >= 320, fuzz.statuses


def test_what_is_refused_before_an_operation_hears_of_it_is_told_as_described(desk: Desk) -> None:
    fuzz = Fuzz(desk)
    fuzz.ask_strangely()
    own = {one.label for one in fuzz.own()}
    assert fuzz.ended(401) == fuzz.ended(406) == own
    reading = {one.label for one in fuzz.own() if not writes(one)}
    assert fuzz.ended(400) == fuzz.ended(413) == reading
    assert {status for _, status in fuzz.statuses} == {400, 401, 406, 413}


@pytest.mark.long
def test_whatever_is_asked_for_is_answered_as_described_for_ten_minutes(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = float(os.environ.get("API_FUZZ_SECONDS", "600"))
    fuzz, until, seed = Fuzz(desk), monotonic() + seconds, 100
    while monotonic() < until:
        seed += 1
        fuzz.ask_all(examples=10, seed=seed, until=until)
    with capsys.disabled():
        counts = Counter(dict.fromkeys((), 0))
        for (_, status), n in fuzz.statuses.items():
            counts[status] += n
        print(f"\n{fuzz.requests:,} requests in {seconds:g} s: {dict(sorted(counts.items()))}")  # noqa: T201
    assert not [one for one in fuzz.statuses if one[1] >= 500]
