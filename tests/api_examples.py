"""Makes core/api/examples.json: what each operation of the product's own answers, in short.

`python -m tests.api_examples` asks all of them over a stored simulated market and keeps the first rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.api import api_routes
from core.api.describing import EXAMPLES
from core.operations.every import all_operations
from core.operations.own import own_operations
from core.store import open_store
from core.store.backtests import load_runs
from tests.api import MODEL, Desk, make_template, serve

# The rows of a list that are shown.
ROWS = 1
# A market, and a bar at which it had a direction.
MARKET, TIME = "S1USDT", "2025-09-24T19:00:00Z"
# What is asked where the operation's own example is of what this market has not.
ASKED: Mapping[str, Mapping[str, Any]] = {
    "signals_newest": {},
    "signals_one": {"symbol": MARKET, "time": TIME},
    "verdicts_one": {"symbol": MARKET, "time": TIME},
    "plans_one": {"symbol": MARKET, "time": TIME},
    "symbols_list": {"search": MARKET},
    "liquidations_events": {},
    "liquidations_sums": {"step": "1h"},
    "accuracy_agreement": {"judge": MODEL},
    "accuracy_disagreements": {"judge": MODEL},
}


def answers(desk: Desk) -> dict[str, Any]:
    """The answer of each operation by its name."""
    with desk.here.engine.connect() as conn:
        waiting = [run.id for run in load_runs(conn, 5) if run.state == "waiting"]
    fires = next(one for one in desk.invoke("alerts_now")["standings"] if one["phase"] == "firing")
    about = {"rule_id": fires["rule_id"], "symbols": [fires["symbol"]]}
    asked = {**ASKED, "alerts_acknowledge": {**about, "note": "Looking into it."}}
    for rule in desk.invoke("alerts_rules")["items"]:
        if "<" in rule["definition"]["name"]:
            # What pages are attacked with is no example.
            desk.invoke("alerts_delete_rule", rule_id=rule["id"])
    asked |= {name: {"run_id": waiting[0]} for name in ("backtests_one", "backtests_cancel")}
    found = {}
    for operation in [*own_operations(), all_operations()["find_operations"]]:
        given = dict(asked.get(operation.name, operation.examples[0]))
        if operation.name == "alerts_change_rule":
            # A rule of the example's name has been made just before.
            given["name"] = "Hot funding, less noise"
        if "symbol" in given:
            given["symbol"] = MARKET
        found[operation.name] = short(desk.invoke(operation.name, **given))
    found["operations"] = short(desk.get("/operations").json())
    return found


def short(told: Any) -> Any:
    """The first rows of every list, and what else there is whole."""
    if isinstance(told, dict):
        return {name: short(one) for name, one in told.items()}
    return [short(one) for one in told[:ROWS]] if isinstance(told, list) else told


def main() -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        open_store(f"sqlite:///{folder / 'empty.sqlite'}").dispose()
        path = make_template(folder / "empty.sqlite", folder)
        for desk in serve(patch, f"sqlite:///{path}", folder):
            desk.client = TestClient(Starlette(routes=api_routes(all_operations())))
            made = answers(desk)
    EXAMPLES.write_bytes(orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
