"""Everything that the description allows, and much that it does not, asked of the API at random.

In CI the same few hundred requests each time; `pytest -m long` goes on for API_FUZZ_SECONDS (600).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
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

from tests.api import MODEL, PREFIX, Desk, make_template, serve

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BOTH = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
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


@pytest.fixture
def desk(
    monkeypatch: pytest.MonkeyPatch,
    sqlite_template: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    path = make_template(sqlite_template, tmp_path_factory.mktemp("fuzz"))
    calls = {"CRYPTOSATX_API_CALLS_PER_MINUTE": "1000000"}
    yield from serve(monkeypatch, f"sqlite:///{path}", tmp_path, **calls)


class Fuzz:
    """Asks every operation; counts what came back."""

    def __init__(self, desk: Desk) -> None:
        app: Any = desk.client.app
        schema = schemathesis.openapi.from_asgi(f"{PREFIX}/openapi.json", app)
        self.operations = [one.ok() for one in schema.get_all_operations()]
        self.statuses: Counter[tuple[str, int]] = Counter()
        self._client, self._key = TestClient(app, raise_server_exceptions=True), desk.key()
        with desk.here.engine.connect() as conn:
            from core.store.backtests import load_runs

            THERE["run_id"] = [run.id for run in load_runs(conn, 5)]

    def ask_all(self, examples: int, seed: int, until: float = float("inf")) -> None:
        """So many requests of each kind for each operation."""
        for operation in self.operations:
            for mode in BOTH:
                for there in (False, True):
                    if monotonic() < until:
                        self._ask(operation, mode, examples, seed, there=there)

    def _ask(
        self, operation: Any, mode: GenerationMode, examples: int, seed: int, *, there: bool
    ) -> None:
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
                _point_at_what_is_there(case, chance)
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {self._key}"}
            answer = case.call(session=self._client)
            self.statuses[operation.label, answer.status_code] += 1
            checks = (
                CHECKS
                if there or mode is GenerationMode.POSITIVE
                else [*CHECKS, negative_data_rejection]
            )
            case.validate_response(answer, checks=checks)

        once()

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    def ended(self, status: int) -> set[str]:
        """The operations of which a request ended so."""
        return {label for label, one in self.statuses if one == status}


def _point_at_what_is_there(case: Case, chance: Any) -> None:
    for part in (case.path_parameters, case.query, case.body):
        if not isinstance(part, dict):
            continue
        for name in [name for name in part if name in THERE]:
            value = chance.choice(THERE[name])
            if value is None:
                del part[name]
            else:
                part[name] = value
        inner = part.get("parameters")
        if isinstance(inner, dict):
            inner.update({name: chance.choice(THERE[name]) for name in inner if name in THERE})


def test_whatever_is_asked_for_is_answered_as_described(desk: Desk) -> None:
    fuzz = Fuzz(desk)
    fuzz.ask_all(examples=4, seed=1)
    assert len(fuzz.operations) == 46
    assert fuzz.requests > 500
    assert {status for _, status in fuzz.statuses} <= {200, 304, 400, 404, 415, 422}
    # Most were answered and not only refused.
    assert len(fuzz.ended(200)) >= 40, fuzz.statuses


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
