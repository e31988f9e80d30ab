"""The API: the figures of the pages, pages of lists, tags, and every error in one form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import insert
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.accuracy import confusion, correlations, information, reliability, value_of_caution
from core.accuracy.record import KEYS, record_of
from core.accuracy.tallies import DAILY
from core.api import answering, api_routes, serving
from core.errors import StoreError
from core.market import liquidation_sums as sums
from core.market.liquidation_windows import Stretch, usual_venues, venues_known
from core.operations import Operation, Parameters, Registry
from core.operations.own import own_operations
from core.operations.own.signals import SHOWN, SORTED
from core.overview import chosen, market_rows
from core.plan import Account, plan
from core.store.audit import list_changes
from core.store.liquidations import save_liquidations
from core.store.record import Filters
from core.store.tables import alert_events
from core.ui import liquidation_view, loaders, session
from core.verdicts import as_frame, settle_row
from tests.api import MODEL, NOW, PREFIX, Desk, add_runs, liquidations, make_template, serve
from tests.builders import make_frame
from tests.pages import open_page, store_past, table

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(sqlite_template, tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def shared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """For tests that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    path = folder / "api.sqlite"
    path.write_bytes(template.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        yield from serve(patch, f"sqlite:///{path}", folder)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, template: Path, tmp_path: Path) -> Iterator[Desk]:
    """A copy of its own."""
    path = tmp_path / "api.sqlite"
    path.write_bytes(template.read_bytes())
    yield from serve(monkeypatch, f"sqlite:///{path}", tmp_path)


def plain(value: Any) -> Any:
    """A figure as JSON has it."""
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.item() if hasattr(value, "item") else value


def same(found: dict[str, Any], expected: Any, *names: str) -> None:
    """These fields are those of a row, missing as null."""
    for name in names:
        told = plain(expected[name])
        assert found[name] == (pytest.approx(told) if isinstance(told, float) else told), name


# The figures are those of the pages: what their loaders give, put together as the pages do.


def test_the_newest_signals_are_those_of_the_page_in_every_order_and_filter(shared: Desk) -> None:
    rows = market_rows(
        loaders.load_newest("balanced"),
        loaders.load_closes(24),
        loaders.load_coins(),
        loaders.load_newest_verdicts("balanced"),
    )
    for sort, order in SORTED.items():
        expected = chosen(rows, order=order)
        found = shared.invoke("signals_newest", sort=sort)["items"]
        assert [one["symbol"] for one in found] == expected.index.tolist(), sort
        for one, (_, row) in zip(found, expected.iterrows(), strict=True):
            same(one, row, "score", "coverage", "verdict", "multiplier", "change_24h", "last_price")
            assert one["factors"]["liquidations"] == plain(row["factor_liquidations"])
    for show, words in SHOWN.items():
        found = shared.invoke("signals_newest", show=show, sort="symbol")["items"]
        expected = chosen(rows, show=words).index
        assert [one["symbol"] for one in found] == sorted(expected), show
    assert [one["symbol"] for one in shared.invoke("signals_newest", search="eth")["items"]] == [
        "ETHUSDT"
    ]


def test_the_page_of_signals_lists_what_the_api_lists(
    shared: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.accounts import sessions

    with shared.here.accounts.begin() as conn:
        token = sessions.start(conn, 1, now=datetime.now(UTC))
    monkeypatch.setattr(session, "_browser_token", lambda: token)
    drawn = table(open_page("signals.py"))
    assert drawn is not None
    found = shared.invoke("signals_newest")["items"]
    text = json.dumps(drawn)
    places = [text.index(one["symbol"]) for one in found]
    assert places == sorted(places)
    for one in found:
        assert f'"{one["score"]:.1f}"' in text or f"{one['score']:.1f}" in text


def test_one_signal_its_verdicts_and_its_plan_are_those_of_the_page(shared: Desk) -> None:
    history = loaders.load_history("S0USDT", "balanced")
    said = loaders.load_past_verdicts("S0USDT", "balanced")
    time = said.index[0].to_pydatetime()
    stored = loaders.load_signal("S0USDT", "balanced", time)
    model = loaders.load_verdict("S0USDT", "balanced", time)
    assert stored is not None
    assert model is not None
    row = settle_row(stored, model)
    about = {"symbol": "S0USDT", "time": time.isoformat()}
    found = shared.invoke("signals_one", **about)
    same(found, row, "score", "verdict", "multiplier", "rules_verdict", "atr", "volatility_ratio")
    assert found["values"]["close"] == row["close"]
    assert sum(part["points"] or 0 for part in found["factors"]) == pytest.approx(row["score"] - 50)
    outcomes = loaders.load_outcomes_of("S0USDT", "balanced", time)
    for one in found["outcomes"]:
        same(one, outcomes.loc[one["horizon"]], "net_return", "r_multiple", "barrier", "traded")
    assert len(found["outcomes"]) == 3
    origin = loaders.load_origin("S0USDT", "balanced", time)
    assert origin is not None
    assert origin.entry is not None
    assert found["ledger"] == {"position": origin.entry.position, "hash": origin.entry.hash.hex()}

    both = shared.invoke("verdicts_one", **about)
    assert both["verdict"] == plain(row["verdict"])
    assert both["model"]["model"] == "gpt-a"
    assert both["model"]["verdict"] == model["verdict"]

    account = Account(equity_usd=25_000, risk_fraction=0.02, leverage=10)
    for each in history.index[history["multiplier"] > 0][:5]:
        kept = loaders.load_signal("S0USDT", "balanced", each.to_pydatetime())
        verdict = loaders.load_verdict("S0USDT", "balanced", each.to_pydatetime())
        assert kept is not None
        expected = plan(as_frame(settle_row(kept, verdict)), account).iloc[0]
        told = shared.invoke(
            "plans_one", symbol="S0USDT", time=each.isoformat(), equity_usd=25_000,
            risk_fraction=0.02, leverage=10,
        )  # fmt: skip
        same(told, expected, "entry_price", "stop_price", "target_price", "quantity", "no_plan")
        same(told, expected, "risk_usd", "liquidation_price", "binding_cap", "size_multiplier")


def test_the_record_is_that_of_the_accuracy_page(shared: Desk) -> None:
    for asked, changes in (
        ({}, {}),
        ({"judge": MODEL}, {"judge": MODEL}),
        ({"direction": "SHORT", "horizon": ["4h"]}, {"direction": -1, "horizons": ("4h",)}),
        ({"verdict": ["WAIT"]}, {"verdicts": ("WAIT",)}),
        ({"symbol": ["S0USDT"]}, {"symbols": ("S0USDT",)}),
    ):
        filters = loaders.load_settled(Filters("balanced", **changes))
        wider = loaders.load_settled(
            Filters("balanced", **{n: v for n, v in changes.items() if n != "verdicts"})
        )
        record = record_of(
            loaders.load_tallies(filters, KEYS, DAILY), loaders.load_tallies(wider, KEYS, DAILY)
        )
        found = shared.invoke("accuracy_summary", **asked)
        assert found["looks"] == record.looks
        assert len(found["rows"]) == len(record.trades) + len(record.shadows) > 0
        for one in found["rows"]:
            part = record.trades if one["traded"] else record.shadows
            row = part.loc[(one["verdict"], one["horizon"])]
            same(one, row, *(name for name in row.index if name in one))
        unfinished = loaders.load_unfinished(filters)
        assert {
            one["horizon"]: (one["pending"], one["overdue"]) for one in found["unfinished"]
        } == {horizon: tuple(each) for horizon, each in unfinished.items()}
    split = shared.invoke("accuracy_summary", split="symbol", symbol=["S0USDT", "S1USDT"])["rows"]
    whole = shared.invoke("accuracy_summary")["rows"]
    assert {one["group"] for one in split} == {"S0USDT", "S1USDT"}
    for one in whole:
        key = ("verdict", "horizon", "traded")
        parts = [row["n"] for row in split if all(row[name] == one[name] for name in key)]
        assert sum(parts) == one["n"]


def test_scores_factors_agreement_and_caution_are_those_of_the_accuracy_page(shared: Desk) -> None:
    filters = loaders.load_settled(Filters("balanced"))
    bins = ("n", "wins", "sum_claimed", "sum_claimed_squared", "sum_claimed_wins")
    tallies = loaders.load_tallies(filters, ("horizon", "score_bin"), bins)
    for one in shared.invoke("accuracy_scores")["horizons"]:
        part = tallies[tallies.index.get_level_values("horizon") == one["horizon"]]
        for told, (_, row) in zip(one["bins"], reliability(part).iterrows(), strict=True):
            same(told, row, "n", "claimed", "win_rate", "low", "high", "note")
    profile = loaders.load_stored_profile("balanced", filters.profile_version or "")
    assert profile is not None
    days = loaders.load_factor_days(profile.windows_version, None, None)
    found = shared.invoke("accuracy_factors")
    for told, row in zip(found["information"], information(days).to_dict("records"), strict=True):
        same(told, row, "factor", "horizon", "ic", "low", "high", "n", "note")
    matrix = correlations(days)
    for told in found["correlations"]:
        same(told, matrix.loc[told["factor"]], *matrix.columns)
    pairs = confusion(loaders.load_pairs(Filters("balanced", judge=MODEL)))
    told = shared.invoke("accuracy_agreement", judge=MODEL)
    assert told["n"] == pairs.n > 0
    assert told["kappa"] == pytest.approx(pairs.kappa)
    assert {(one["rules"], one["model"]): one["n"] for one in told["pairs"]} == {
        (rules, model): pairs.table.loc[rules, model]
        for rules in pairs.table.index
        for model in pairs.table.columns
    }
    worth = value_of_caution(loaders.load_tallies(filters, KEYS, DAILY))
    for one in shared.invoke("accuracy_caution")["rows"]:
        row = worth.loc[(one["verdict"], one["horizon"])]
        same(one, row, "n", "loss_avoided_r", "gain_missed_r", "value_r", "low", "high")


def test_single_outcomes_and_disagreements_are_those_of_the_accuracy_page(shared: Desk) -> None:
    found = [one for page in shared.pages("/accuracy/outcomes", 37) for one in page]
    expected = loaders.load_signals_behind(Filters("balanced"), 10_000)
    assert [(one["signal_id"], one["horizon"]) for one in found] == list(
        zip(expected["signal_id"], expected["horizon"], strict=True)
    )
    same(found[0], expected.iloc[0], "symbol", "verdict", "net_return", "r_multiple", "traded")
    few = {"symbol": ["S1USDT"], "horizon": ["4h"], "start": "2025-09-12", "end": "2025-09-20"}
    listed = [one for page in shared.pages("/accuracy/outcomes", 7, **few) for one in page]
    assert listed == [
        one
        for one in found
        if one["symbol"] == "S1USDT"
        and one["horizon"] == "4h"
        and "2025-09-12" <= one["exit_at"] < "2025-09-21"
    ]
    told = [one for page in shared.pages("/accuracy/disagreements", 9, judge=MODEL) for one in page]
    apart = loaders.load_disagreements(Filters("balanced", judge=MODEL), 10_000)
    assert [one["signal_id"] for one in told] == apart["signal_id"].tolist() != []


def test_liquidations_are_those_of_the_page(shared: Desk) -> None:
    streams = loaders.load_streams()
    known = venues_known(loaders.load_liquidation_pairs(NOW), streams)
    venues, left_out = usual_venues(known)
    asked = liquidation_view.Asked("7 d", venues, left_out)
    tally = liquidation_view.read_tally(asked, NOW)
    found = shared.invoke("liquidations_totals", window="7d")
    assert (found["long_usd"], found["short_usd"]) == (tally.longs, tally.shorts) != (0, 0)
    by_symbol = sums.rank(tally.rows, "symbol")
    assert [one["name"] for one in found["by_symbol"]] == by_symbol.index.tolist()
    assert [one["long_usd"] for one in found["by_symbol"]] == by_symbol["long_usd"].tolist()
    told = shared.invoke("liquidations_events", least_usd=210)["items"]
    read = loaders.load_liquidations(
        NOW - timedelta(days=7), NOW, venues, limit=1_000, least_usd=210
    )
    assert sorted(one["identity"] for one in told) == sorted(read["identity"]) != []
    slots = shared.invoke("liquidations_sums", step="5m")["items"]
    assert sum(one["long_usd"] for one in slots) == pytest.approx(tally.longs)
    # An hour may have passed since the pages' figures were read.
    starts = [plain(Stretch.of("7 d", at).start) for at in (NOW, datetime.now(UTC))]
    assert found["start"] in starts


def test_alerts_rules_and_runs_are_those_of_the_pages(shared: Desk) -> None:
    found = shared.invoke("alerts_now")
    standings = loaders.load_standings()
    assert [(one["rule"], one["symbol"], one["phase"]) for one in found["standings"]] == [
        (one.rule, one.symbol, one.phase) for one in standings
    ]
    assert {one["phase"] for one in found["standings"]} >= {"firing"}
    rules = shared.invoke("alerts_rules")["items"]
    for one, now in zip(rules, loaders.load_rules_now(), strict=True):
        assert one["id"] == now.rule.id
        assert one["firing"] == now.firing
        assert one["definition"]["expression"] == now.rule.definition.expression
    whole = shared.invoke("alerts_rule", rule_id=rules[0]["id"])
    assert [one["version"] for one in whole["versions"]] == [1]
    assert [one["reason"] for one in shared.invoke("alerts_silences")["items"]] == ["maintenance"]
    runs = shared.invoke("backtests_list")["items"]
    assert [one["id"] for one in runs] == [run.id for run in loaders.load_runs()]
    done = next(one["id"] for one in runs if one["state"] == "done")
    result = loaders.load_result(done)
    assert result is not None
    record = record_of(result["tallies"], result["tallies"])
    told = shared.invoke("backtests_one", run_id=done)["rows"]
    assert len(told) == len(record.trades) + len(record.shadows) > 0
    for one in told:
        part = record.trades if one["traded"] else record.shadows
        same(one, part.loc[(one["verdict"], one["horizon"])], "n", "win_rate", "lift", "low")
    assert not shared.invoke("backtests_one", run_id=runs[0]["id"])["rows"]


def test_a_rule_is_tried_and_an_expression_is_checked_as_on_the_page(shared: Desk) -> None:
    from core.ui.loaders import load_newest_rows

    found = shared.invoke("alerts_check_expression", expression="close > 0")
    rows = load_newest_rows("close > 0", (), "balanced")
    assert [(one["symbol"], one["truth"]) for one in found["markets"]] == [
        (one.symbol, one.truth) for one in rows.markets
    ]
    assert found["valid"]
    wrong = shared.invoke("alerts_check_expression", expression="scor > 60")
    assert (wrong["valid"], wrong["fixes"]) == (False, ["score", "zscore"])
    told = shared.invoke("alerts_preview_rule", expression="score > 50", days=5, cooldown="4h")
    assert told["firings"] == len(told["newest"]) > 0
    assert "cooldown" in told["held_back"]


# Pages of lists.

LISTS: dict[str, tuple[str, dict[str, Any]]] = {
    "/signals": ("symbol", {"sort": "score_low"}),
    "/signals/S0USDT/history": ("time", {}),
    "/bars/S0USDT": ("time", {}),
    "/symbols": ("symbol", {}),
    "/liquidations/events": ("identity", {}),
    "/liquidations/sums": ("slot", {"step": "1m"}),
    "/accuracy/outcomes": ("signal_id", {}),
    "/accuracy/disagreements": ("signal_id", {"judge": MODEL}),
    "/ledger/entries": ("position", {}),
    "/alerts/events": ("id", {}),
    "/backtests": ("id", {}),
}


def add_rows(desk: Desk, number: int) -> None:
    """Something new of everything that is listed, newer than what was there."""
    engine, now = desk.here.engine, datetime.now(UTC)
    hours = pd.Timedelta(hours=24 * 24 + number)
    newer = make_frame(2, hours=24, seed=number)
    index = newer.index.set_levels(newer.index.levels[1] + hours, level=1)
    store_past(engine, newer.set_axis(index))
    other = make_frame([f"A{number}USDT"], hours=24 * 10, seed=number)
    store_past(engine, other)
    add_runs(engine, 1)
    with engine.begin() as conn:
        events = liquidations(5, now + timedelta(minutes=number))
        save_liquidations(
            conn,
            [
                one._replace(identity=f"{20_000 + 100 * number + at}")
                for at, one in enumerate(events)
            ],
        )
        for symbol in ("S0USDT", f"A{number}USDT"):
            conn.execute(
                insert(alert_events).values(
                    rule_id=1, version=1, symbol=symbol, kind="fired", at=now, severity="info",
                    reason="", told="told", recorded_at=now, fired_at=now, began_at=now,
                )
            )  # fmt: skip


def test_a_list_is_complete_and_without_repeats_while_rows_are_added(desk: Desk) -> None:
    def keys(path: str, rows: list[dict[str, Any]]) -> list[str]:
        order = ("slot", "symbol", "venue", "horizon", "identity", LISTS[path][0])
        return [json.dumps([row.get(name) for name in order]) for row in rows]

    before = {
        path: keys(path, [row for page in desk.pages(path, 1_000, **asked) for row in page])
        for path, (_, asked) in LISTS.items()
    }
    walks = {
        path: desk.pages(path, max(1, len(before[path]) // 6), **asked)
        for path, (_, asked) in LISTS.items()
    }
    found: dict[str, list[str]] = {path: [] for path in LISTS}
    for number in range(40):
        if number < 3:
            add_rows(desk, number + 1)
        for path, walk in list(walks.items()):
            page = next(walk, None)
            if page is None:
                del walks[path]
            else:
                found[path] += keys(path, page)
    assert not walks
    for path in LISTS:
        assert len(before[path]) >= 4, path
        assert len(found[path]) == len(set(found[path])), path
        assert [key for key in found[path] if key in set(before[path])] == before[path], path


def test_a_cursor_is_refused_for_another_question_and_when_it_was_changed(shared: Desk) -> None:
    cursor = shared.get("/symbols", limit=1).json()["next_cursor"]
    assert shared.get("/symbols", limit=3, cursor=cursor).json()["items"]
    for asked in ({"cursor": cursor, "search": "x"}, {"cursor": cursor[:-3] + "AAA"}):
        problem = shared.get("/symbols", **asked)
        assert problem.status_code == 422
        assert problem.json()["errors"][0]["field"] == "cursor"
    assert shared.get("/backtests", cursor=cursor).status_code == 422


# Tags.


def test_what_has_not_changed_is_not_sent_again(desk: Desk) -> None:
    def again(path: str, tag: str) -> int:
        headers = {"Authorization": f"Bearer {desk._own}", "If-None-Match": tag}
        return desk.client.get(f"{PREFIX}{path}", headers=headers).status_code

    paths = ["/signals", "/signals/S0USDT", "/ledger/head", "/accuracy/summary", "/alerts/rules"]
    tags = {}
    for path in paths:
        answer = desk.get(path)
        tags[path] = answer.headers["etag"]
        assert "private" in answer.headers["cache-control"]
        assert again(path, tags[path]) == 304
        assert again(path, f'"other", {tags[path]}') == 304
        assert again(path, '"other"') == 200
    assert again("/signals?limit=2", tags["/signals"]) == 200
    add_rows(desk, 1)
    desk.invoke("alerts_create_rule", name="Another", expression="score > 60")
    for path in paths:
        assert again(path, tags[path]) == 200, path


def test_a_condition_makes_no_error_look_unchanged(shared: Desk) -> None:
    def status(path: str) -> int:
        headers = {"Authorization": f"Bearer {shared._own}", "If-None-Match": "*"}
        return shared.client.get(f"{PREFIX}{path}", headers=headers).status_code

    assert status("/signals/S0USDT") == 304
    assert shared.get("/signals/NOSUCHUSDT").status_code == status("/signals/NOSUCHUSDT") >= 400
    assert status("/signals?limit=0") == 422


def test_another_version_has_other_tags(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [shared.get(path).headers["etag"] for path in ("/signals", "/signals/S0USDT")]
    assert [tag[:2] for tag in before] == ["W/", "W/"]
    answering._form_of.cache_clear()
    monkeypatch.setattr(answering, "product_version", lambda: "another")
    after = [shared.get(path).headers["etag"] for path in ("/signals", "/signals/S0USDT")]
    answering._form_of.cache_clear()
    assert not set(before) & set(after)


def test_what_is_read_can_be_asked_for_without_its_body(shared: Desk) -> None:
    headers = {"Authorization": f"Bearer {shared._own}"}
    for path in ("/signals", "/operations", "/docs", "/openapi.json"):
        answer = shared.client.head(f"{PREFIX}{path}", headers=headers)
        assert answer.status_code == 200, path
    assert shared.client.head(f"{PREFIX}/signals").status_code == 401
    assert shared.client.head(f"{PREFIX}/invoke", headers=headers).status_code == 405


# Errors.


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["type"].startswith("urn:cryptosatx:problem:")
    assert set(told) == {"type", "title", "status", "detail", "errors"}
    return told


def test_every_refusal_is_a_problem(shared: Desk) -> None:
    own = {"Authorization": f"Bearer {shared._own}"}
    client, invoke = shared.client, f"{PREFIX}/invoke"
    is_problem(shared.get("/nothing"), 404)
    is_problem(client.get("/api/v2/signals"), 404)
    is_problem(client.get("/api/"), 404)
    is_problem(client.get(f"{PREFIX}/signals/a%0Ab", headers=own), 422)
    is_problem(client.get("/api/a%0Ab"), 404)
    refused = client.put(f"{PREFIX}/alerts/rules", headers=own)
    is_problem(refused, 405)
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    is_problem(client.get(f"{PREFIX}/signals", headers={**own, "Accept": "text/html"}), 406)
    is_problem(client.post(invoke, headers=own, content=b"{"), 415)
    typed = {**own, "Content-Type": "application/json"}
    is_problem(client.post(invoke, headers=typed, content=b"{"), 400)
    is_problem(client.post(invoke, headers=typed, content=b"[]"), 422)
    is_problem(client.post(invoke, headers=typed, content=b'{"operation": 7}'), 422)
    is_problem(client.post(invoke, headers=typed, content=b" " * 70_000), 413)
    pieces = (b" " * 10_000 for _ in range(8))
    is_problem(client.post(invoke, headers=typed, content=pieces), 413)
    assert (
        "signals_newest"
        not in is_problem(client.post(invoke, headers=typed, json={"operation": "rm"}), 404)[
            "detail"
        ]
    )
    twice = client.get(f"{PREFIX}/signals?mode=balanced&mode=bold", headers=own)
    assert is_problem(twice, 422)["errors"][0]["message"] == "is given more than once"
    missing = is_problem(shared.get("/signals/S0USDT", time="2025-09-05T01:30:00Z"), 404)
    assert "The one before is at 2025-09-05T01:00Z." in missing["detail"]
    is_problem(shared.get("/backtests/none"), 404)
    is_problem(shared.get("/ledger/entries/999999"), 404)


def test_parameters_that_are_not_right_are_named_one_by_one(shared: Desk) -> None:
    asked = {"mode": "bold", "limit": 5_000, "colour": "red"}
    told = is_problem(shared.get("/signals", **asked), 422)
    assert {one["field"] for one in told["errors"]} == {"mode", "limit", "colour"}
    near = is_problem(shared.get("/signals/BTCUSD"), 422)["errors"][0]
    assert near["field"] == "symbol"
    assert "did you mean BTCUSDT" in near["message"]
    assert "did you mean BTCUSDT" in is_problem(shared.get("/bars/btcusdt"), 422)["detail"]
    for name, asked in (
        ("alerts_events", {"symbol": "BTCUSD"}),
        ("alerts_preview_rule", {"expression": "score > 60", "symbol": ["BTCUSD"]}),
        ("alerts_create_rule", {"name": "x", "expression": "score > 60", "symbols": ["BTCUSD"]}),
        ("liquidations_events", {"symbol": ["BTCUSD"]}),
        ("accuracy_summary", {"symbol": ["BTCUSD"]}),
        ("backtests_request", {"name": "x", "symbols": ["BTCUSD"]}),
    ):
        assert "BTCUSD" in shared.refusal(name, **asked)["errors"][0]["message"], name
    hostile = shared.refusal("signals_one", symbol="' OR 1=1 --")
    assert hostile["status"] == 422
    rule = shared.refusal("alerts_create_rule", name="x", expression="scor > 60")
    assert rule["errors"][0]["message"].startswith("at character 1: There is no scor.")
    taken = shared.invoke("alerts_rules")["items"][0]["definition"]["name"].swapcase()
    twice = shared.refusal("alerts_create_rule", name=taken, expression="score > 60")
    assert twice["errors"][0]["field"] == "name"
    assert "upper and lower case make no other name" in twice["errors"][0]["message"]


class Nothing(Parameters):
    pass


def broken(error: Exception) -> TestClient:
    """An API whose one operation fails."""

    def run(context: Any, asked: Nothing) -> None:
        raise error

    registry = Registry()
    registry.add(
        Operation("breaks", "x", "x.", "x", "trader", "signals.read", Nothing, run, path="/breaks")
    )
    return TestClient(Starlette(routes=api_routes(registry)))


def test_what_fails_here_says_nothing_of_the_inside(
    shared: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"Authorization": f"Bearer {shared._own}"}
    told = broken(RuntimeError("password=hunter2")).get(f"{PREFIX}/breaks", headers=own)
    assert "hunter2" not in is_problem(told, 500)["detail"]
    assert "hunter2" in caplog.text
    away = broken(StoreError("The database does not answer.")).get(f"{PREFIX}/breaks", headers=own)
    is_problem(away, 503)
    assert away.headers["retry-after"]


def test_a_database_that_is_away_is_told_as_such(desk: Desk) -> None:
    path = Path(str(desk.here.engine.url.database))
    desk.here.engine.dispose()
    for each in path.parent.glob("api.sqlite*"):
        each.unlink()
    path.mkdir()
    answer = desk.get("/signals")
    is_problem(answer, 503)
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("kind", ["new_sqlite", "new_postgres"])
def test_an_answer_that_takes_too_long_is_broken_off_in_the_database(
    kind: str, request: pytest.FixtureRequest
) -> None:
    from time import monotonic

    from sqlalchemy import text

    from core.errors import TookTooLong
    from core.store.bounded import bounded
    from core.store.database import open_database

    url: str = request.getfixturevalue(kind)()
    engine = open_database(url)
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        if kind == "new_sqlite"
        else "SELECT pg_sleep(60)"
    )
    with pytest.raises(TookTooLong), bounded(engine, monotonic() + 0.2) as conn:
        conn.execute(text(endless))
    # The next one on the same connection has its own time.
    with bounded(engine, monotonic() + 60) as conn:
        assert conn.scalar(text("SELECT 1")) == 1
    with pytest.raises(TookTooLong), bounded(engine, monotonic() - 1):
        pass
    engine.dispose()


def test_too_much_at_once_is_turned_away(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "WAITING", 0)
    is_problem(shared.get("/signals"), 503)


# Writing.


def test_rules_are_written_through_the_api_as_on_the_page(desk: Desk) -> None:
    made = desk.post("/alerts/rules", {"name": "Hot", "expression": "score > 62", "for": "2h"})
    assert made.status_code == 200
    rule = made.json()
    assert (rule["version"], rule["author"], rule["definition"]["for"]) == (1, "ada", "2h")
    changed = desk.invoke(
        "alerts_change_rule", rule_id=rule["id"], based_on=1, name="Hot", expression="score > 64",
        active_from="22:00", active_until="06:00", weekdays=["fri"], note="less noise",
    )  # fmt: skip
    assert changed["version"] == 2
    assert changed["definition"]["active_hours"]["weekdays"] == ["fri"]
    late = desk.refusal(
        "alerts_change_rule", rule_id=rule["id"], based_on=1, name="Hot", expression="score > 1"
    )
    assert "ada saved version 2" in late["detail"]
    muted = desk.invoke("alerts_switch_rule", rule_id=rule["id"], switch="muted", to=True)
    assert muted["definition"]["muted"]
    desk.invoke("alerts_delete_rule", rule_id=rule["id"])
    assert desk.refusal("alerts_rule", rule_id=rule["id"])["status"] == 404
    with desk.here.engine.connect() as conn:
        log = list_changes(conn, subject="rule", subject_id=rule["id"])
    assert [(one.action, one.by) for one in log] == [
        (action, "ada") for action in ("delete", "mute", "change", "create")
    ]


def test_firings_are_acknowledged_silences_made_and_runs_asked_for(desk: Desk) -> None:
    firing = next(one for one in desk.invoke("alerts_now")["standings"] if one["phase"] == "firing")
    about = {"rule_id": firing["rule_id"], "symbols": [firing["symbol"]]}
    assert desk.invoke("alerts_acknowledge", **about, note="Looking.") == {"firings": 1}
    noted = next(
        one
        for one in desk.invoke("alerts_now")["standings"]
        if (one["rule_id"], one["symbol"]) == (firing["rule_id"], firing["symbol"])
    )
    assert (noted["acknowledged_by"], noted["note"]) == ("ada", "Looking.")
    assert desk.refusal("alerts_acknowledge", **about)["status"] == 422
    ends = (NOW + timedelta(hours=2)).isoformat()
    made = desk.invoke("alerts_silence", matchers=["symbol =~ BTC*"], reason="x", ends_at=ends)
    assert desk.invoke("alerts_end_silence", silence_id=made["id"]) == {"done": True}
    run = desk.invoke("backtests_request", name="From outside", mode="aggressive")
    assert desk.invoke("backtests_one", run_id=run["id"])["state"] == "waiting"
    assert desk.invoke("backtests_cancel", run_id=run["id"])["state"] == "cancelled"
    assert desk.refusal("backtests_cancel", run_id=run["id"])["status"] == 422
    assert desk.refusal("backtests_request", name="x", history="none")["status"] == 422
    with desk.here.engine.connect() as conn:
        log = {(one.by, one.action, one.subject) for one in list_changes(conn)}
    assert log >= {
        ("ada", "acknowledge", "rule"),
        ("ada", "create", "silence"),
        ("ada", "end", "silence"),
        ("ada", "ask", "backtest"),
        ("ada", "cancel", "backtest"),
    }


# The description.


def test_the_description_names_every_operation_and_all_of_its_parameters(shared: Desk) -> None:
    told = shared.client.get(f"{PREFIX}/openapi.json").json()
    operations = {
        one["operationId"]: one for path in told["paths"].values() for one in path.values()
    }
    own = {one.name: one for one in own_operations()}
    assert set(operations) >= {*own, "invoke", "operations"}
    for name, one in operations.items():
        assert one["summary"], name
        assert one["description"], name
        for parameter in one.get("parameters", ()):
            assert parameter["description"], (name, parameter["name"])
            if parameter["name"] != "cursor":
                own[name].check({**own[name].examples[0], parameter["name"]: parameter["example"]})
    for schema in told["components"]["schemas"].values():
        assert "$ref" not in json.dumps(schema.get("title", ""))
    listed = shared.get("/operations").json()["items"]
    assert {one["name"] for one in listed} == set(operations) - {"invoke", "operations"}
    assert all(one["allowed"] for one in listed)


def test_the_reference_needs_nothing_from_elsewhere(shared: Desk) -> None:
    page = shared.client.get(f"{PREFIX}/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    for one in shared.get("/operations").json()["items"]:
        assert f"<code>{one['name']}</code>" in page.text


def test_the_address_of_the_api_is_the_one_that_people_use(
    monkeypatch: pytest.MonkeyPatch, template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "api.sqlite"
    path.write_bytes(template.read_bytes())
    url = "https://signals.example/"
    for desk in serve(monkeypatch, f"sqlite:///{path}", tmp_path, CRYPTOSATX_URL=url):
        told = desk.client.get(f"{PREFIX}/openapi.json").json()
        assert told["servers"] == [{"url": "https://signals.example/api/v1"}]


def numbered(told: Any, place: str = "") -> dict[str, Any]:
    """Every value of an answer by its place, but when and where it was written down."""
    if isinstance(told, dict):
        pairs = [(name, one) for name, one in told.items() if name not in ("recorded_at", "ledger")]
    elif isinstance(told, list):
        pairs = [(str(number), one) for number, one in enumerate(told)]
    else:
        return {place: told}
    found: dict[str, Any] = {}
    for name, one in pairs:
        found |= numbered(one, f"{place}.{name}")
    return found


def test_on_postgresql_the_figures_are_the_same(
    monkeypatch: pytest.MonkeyPatch, new_postgres: Callable[[], str], tmp_path: Path, shared: Desk
) -> None:
    from core.store.database import open_database
    from tests.api import add_people, fill

    url = new_postgres()
    engine = open_database(url)
    add_people(engine)
    fill(engine)
    engine.dispose()
    names = ["signals_one", "plans_one", "verdicts_one", "signals_history", "bars_list"]
    asked: list[tuple[str, dict[str, Any]]] = [(name, {"symbol": "S0USDT"}) for name in names]
    asked += [
        ("accuracy_summary", {"symbol": ["S1USDT"]}),
        ("accuracy_agreement", {"judge": MODEL}),
    ]
    asked += [("accuracy_scores", {}), ("accuracy_factors", {}), ("accuracy_options", {})]
    expected = {name: numbered(shared.invoke(name, **given)) for name, given in asked}
    for desk in serve(monkeypatch, url, tmp_path):
        for name, given in asked:
            # A sum of fractions depends on the order of its parts in its last digits.
            assert numbered(desk.invoke(name, **given)) == pytest.approx(expected[name]), name
        for path, (_, given) in LISTS.items():
            rows = [json.dumps(row) for page in desk.pages(path, 50, **given) for row in page]
            assert len(rows) == len(set(rows)) > 0, path


def test_the_running_server_answers_programs_beside_the_pages(tmp_path: Path) -> None:
    import httpx

    from core.accounts.home import open_accounts
    from core.settings import load_settings
    from tests.api import add_key, add_people
    from tests.server import Server

    accounts = open_accounts(load_settings({"CRYPTOSATX_DATA": str(tmp_path)}))
    add_people(accounts)
    key = add_key(accounts, "ann")
    accounts.dispose()
    server = Server(tmp_path)
    server.start()
    try:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            own = {"Authorization": f"Bearer {key}"}
            told = client.get(f"{PREFIX}/market", headers=own)
            assert told.json()["kind"] == "demo"
            assert "script-src" in told.headers["content-security-policy"]
            is_problem(client.get(f"{PREFIX}/market"), 401)
            is_problem(client.get(f"{PREFIX}/sources", headers=own), 403)
            is_problem(client.get("/api/v0"), 404)
            is_problem(client.get(f"{PREFIX}/a%0Ab"), 404)
            asked = {"operation": "ledger_head"}
            assert client.post(f"{PREFIX}/invoke", headers=own, json=asked).status_code == 200
            assert client.get(f"{PREFIX}/openapi.json").json()["openapi"] == "3.1.0"
            assert client.get(f"{PREFIX}/docs", headers={"Accept": "text/html"}).status_code == 200
            assert client.get("/health").status_code == 200
    finally:
        server.stop()
