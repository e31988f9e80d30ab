"""The table of Coinglass against a list of its endpoints, where one lies beside the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.operations.sources.table import load_table

LIST = Path(__file__).resolve().parents[2] / "shared" / "payloads" / "coinglass_endpoints.json"


@pytest.mark.long
def test_the_table_holds_every_endpoint_with_its_parameters() -> None:
    if not LIST.is_file():
        pytest.skip(f"there is no {LIST}")
    table = load_table("coinglass")
    ours = {
        one.path: {taken.name: taken.needed for taken in table.taken(one)}
        for one in table.endpoints
    }
    listed: list[dict[str, Any]] = json.loads(LIST.read_text(encoding="utf-8"))
    theirs = {
        one["path"]: {told["name"]: told["required"] for told in one["params"]} for one in listed
    }
    assert ours == theirs
    for one in listed:
        kinds = {taken.name: taken.kind.type for taken in table.taken(_named(table, one["path"]))}
        for told in one["params"]:
            if told["type"] in ("integer", "number"):
                # A number of few values is said as a choice.
                assert kinds[told["name"]] in ("whole", "number", "choice"), (one["path"], told)


def _named(table: Any, path: str) -> Any:
    return next(one for one in table.endpoints if one.path == path)
