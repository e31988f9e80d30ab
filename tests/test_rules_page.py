"""The Rules page: who may do what, the editor, the backtest, versions, files."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.alerts import compile_rule
from core.alerts.definition import RuleDefinition, parse_definition, to_body
from core.alerts.functions import FUNCTIONS
from core.alerts.history import backtest
from core.alerts.names import NAMES
from core.alerts.rule_files import FileRefused
from core.alerts.saving import saving_faults
from core.alerts.states import fresh
from core.errors import RuleError
from core.instance import Instance
from core.store.alerts import rules as store
from core.store.alerts.frame import load_alert_frame
from core.store.alerts.rules import StoredRule
from core.store.alerts.states import (
    Progress,
    StoredEvent,
    add_events,
    save_progress,
)
from core.store.alerts.trials import Asked
from core.store.audit import list_changes
from core.store.signals import market_range
from core.store.tables import alert_rule_versions, alert_rules
from core.ui.rules import completion
from core.ui.rules.drafts import Draft, recover
from core.ui.rules.importing import read_file
from core.ui.rules.templates import BY_KEY, TEMPLATES, Template
from core.ui.rules.trials import MOST_WAITING, TRIALS, Trials
from core.ui.rules.wording import clauses, lines
from tests.alert_rows import save_rows, to_rows
from tests.builders import make_frame
from tests.pages import copy_of_past, open_page, run, serve_copy, sign_in_as, words

NOW = datetime(2025, 11, 1, tzinfo=UTC)
HOT = parse_definition({"name": "Hot", "expression": "score > 52", "for": "2h"})


@pytest.fixture(scope="module")
def past(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = make_frame(["BTCUSDT", "ETHUSDT"], hours=24 * 40)
    return copy_of_past(sqlite_template, frame, tmp_path_factory.mktemp("past"))


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch, past: Path, tmp_path: Path) -> Iterator[Instance]:
    served = serve_copy(monkeypatch, past, tmp_path)
    yield served
    TRIALS.wait()
    served.engine.dispose()


@pytest.fixture
def sign_in(market: Instance, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have somebody of a role sit in front of the page."""

    return lambda role: sign_in_as(market, monkeypatch, role)


@pytest.fixture
def admin(sign_in: Callable[[str], None], market: Instance) -> Instance:
    sign_in("admin")
    return market


def keep(here: Instance, definition: RuleDefinition = HOT, by: str = "ada") -> StoredRule:
    with here.engine.begin() as conn:
        return store.create_rule(conn, definition, by=by, now=NOW)


def stored(here: Instance) -> list[StoredRule]:
    with here.engine.connect() as conn:
        return store.list_rules(conn)


def open_rules(**query: str) -> AppTest:
    return open_page("rules.py", query)


def act(element: Any) -> None:
    """Run the page with what was done to one of its elements."""
    at = element.run()
    assert not at.exception, at.exception[0].message


def open_dialog(module: str, call: str) -> AppTest:
    """A dialog that stays open: without a browser every run is one of the whole page."""
    script = f"from core.ui import loaders\nfrom core.ui.rules import {module}\n{module}.{call}"
    return run(AppTest.from_string(script, default_timeout=60))


def write(at: AppTest, key: str, expression: str) -> None:
    """What the field for the expression does when something is typed."""
    at.session_state["rule_drafts"][key].body["expression"] = expression
    run(at)


def said(at: AppTest) -> str:
    return words(at).replace("\u00a0", " ")


def given(at: AppTest) -> dict[str, Any]:
    """What the field for the expression was given."""
    for element in at.get("bidi_component"):
        if element.proto.component_name == "cryptosatx_rule_code":
            found: dict[str, Any] = json.loads(element.proto.json)
            return found
    raise AssertionError("there is no field")


@pytest.mark.parametrize("role", ["trader", "analyst"])
def test_rules_are_for_administrators(sign_in: Callable[[str], None], role: str) -> None:
    sign_in(role)
    at = open_rules(rule="new")
    assert "Not for this account" in said(at)
    assert not at.button


@pytest.mark.parametrize(
    "call",
    [
        "actions.save(None, {'name': 'x', 'expression': 'score > 1'}, based_on=0, note='')",
        "actions.switch(1, 'muted', to=True)",
        "actions.duplicate(1)",
        "actions.delete(1)",
        "actions.restore(1, 1, based_on=1)",
        "actions.import_rules([], {})",
    ],
)
def test_every_write_asks_for_the_role_itself(
    market: Instance, sign_in: Callable[[str], None], call: str
) -> None:
    rule = keep(market)
    sign_in("analyst")
    script = f"from core.ui.rules import actions\n{call}\nraise SystemExit('written')"
    at = run(AppTest.from_string(script, default_timeout=60))
    assert "Not for this account" in said(at)
    assert stored(market) == [rule]


def test_a_rule_is_written_with_a_fault_put_right_tried_and_saved(admin: Instance) -> None:
    at = open_rules()
    assert "There are no rules yet" in said(at)
    act(at.button("rule_first").click())
    write(at, "new", "scor > 52")
    fault = given(at)["check"]
    assert (fault["state"], fault["start"], fault["end"]) == ("fault", 0, 4)
    assert fault["reason"] == "There is no scor."
    assert fault["fixes"][0] == "score"
    assert "name, expression" in said(at)
    assert at.button("rule_save").disabled
    write(at, "new", "score > 52 and known(close)")
    assert given(at)["check"]["state"] == "ok"
    assert "score is above 52" in said(at)
    act(at.text_input("rule new 0 name").set_value("Hot"))
    assert "The condition holds now for" in said(at)
    act(at.segmented_control("rule_view").set_value("On history"))
    act(at.button("rule_try").click())
    TRIALS.wait()
    run(at)
    assert re.search(r"(About|Once|Twice|\d+ times).* in 39 days|times a week", said(at))
    assert stored(admin) == []
    at.text_input("rule new 0 note").set_value("To see when it is hot.")
    act(at.button("rule_save").click())
    (rule,) = stored(admin)
    assert (rule.name, rule.author, rule.note) == ("Hot", "an_admin", "To see when it is hot.")
    assert str(at.query_params["rule"]) == str(rule.id)
    assert "Everything is saved" in said(at)


def test_a_warning_stands_beside_what_is_written_and_forbids_nothing(admin: Instance) -> None:
    at = open_rules(rule="new")
    write(at, "new", 'funding_rate > 0.0001 and change(change(close, "25d"), "25d") > 1')
    act(at.text_input("rule new 0 name").set_value("Odd"))
    check = given(at)["check"]
    (doubt,) = check["doubts"]
    assert (check["state"], doubt["start"], doubt["end"]) == ("ok", 0, 21)
    assert doubt["fixes"] == [{"start": 0, "end": 12, "put": "funding_rate_8h"}]
    assert "it looks back 50 days, and 40 days are stored here" in said(at)
    write(at, "new", 'symbol == "BTCUSD" and score > 60')
    (doubt,) = given(at)["check"]["doubts"]
    assert doubt["reason"] == "No market BTCUSD is known here."
    assert doubt["fixes"] == [{"start": 10, "end": 18, "put": '"BTCUSDT"'}]
    write(at, "new", "coverage > 60 and scor > 60")
    check = given(at)["check"]
    assert (check["reason"], len(check["doubts"])) == ("There is no scor.", 1)
    write(at, "new", "coverage > 60")
    assert "are stored here" not in said(at)
    act(at.button("rule_save").click())
    assert stored(admin)[0].definition.expression == "coverage > 60"


def test_a_backtest_is_what_the_machine_gives_and_is_made_once(admin: Instance) -> None:
    rule = keep(admin)
    at = open_rules(rule=str(rule.id), view="On history")
    assert "39 days are stored" in said(at)
    act(at.button("rule_try").click())
    TRIALS.wait()
    run(at)
    with admin.engine.connect() as conn:
        first, last = market_range(conn) or (NOW, NOW)
        frame = load_alert_frame(conn, "balanced", ["score"], start=first, end=last)
    start = max(last - timedelta(days=39), first - timedelta(hours=1))
    history = backtest(HOT, frame, start, last)
    assert len(history) > 5
    assert history.summary[1:] in said(at)
    assert f"**{len(history)}**" in said(at)
    kept = TRIALS.find(asked_of(admin, HOT, start, last))
    assert kept is not None
    assert kept.state == "done"
    assert kept.history is not None
    pd.testing.assert_frame_equal(kept.history.firings, history.firings)
    at = open_rules(rule=str(rule.id), view="On history")
    assert history.summary[1:] in said(at)
    assert TRIALS.ask(admin.engine, kept.asked) is kept


def asked_of(here: Instance, definition: RuleDefinition, start: datetime, end: datetime) -> Asked:
    address = str(here.engine.url)
    return Asked(address, definition, start, end, ("BTCUSDT", "ETHUSDT"))


def test_what_is_written_is_compared_with_what_is_saved(admin: Instance) -> None:
    rule = keep(admin)
    at = open_rules(rule=str(rule.id), view="On history")
    write(at, str(rule.id), "score > 54")
    act(at.button("rule_try").click())
    TRIALS.wait()
    run(at)
    TRIALS.wait()
    run(at)
    assert "Against the version that is saved" in said(at)
    assert "of the same market at the same bar in both" in said(at)
    table = at.table[0].value
    assert list(table.columns) == ["Saved", "As written"]
    assert int(table["Saved"].iloc[0]) > int(table["As written"].iloc[0]) > 0


def test_a_rule_without_data_says_which(admin: Instance) -> None:
    rule = keep(admin, parse_definition({"name": "Asked", "expression": 'model_verdict == "WAIT"'}))
    at = open_rules(rule=str(rule.id))
    assert "not known of 2" in said(at)
    assert "Nothing is stored of **Model's verdict**" in said(at)
    act(at.segmented_control("rule_view").set_value("On history"))
    act(at.button("rule_try").click())
    TRIALS.wait()
    run(at)
    assert "What is not known neither fires nor ends" in said(at)


def test_a_trial_can_be_cancelled_and_only_so_many_wait(admin: Instance) -> None:
    trials, gate = Trials(), threading.Event()
    trials._pool.submit(gate.wait)
    span = (NOW - timedelta(days=9), NOW)
    asked = [
        asked_of(admin, HOT.model_copy(update={"expression": f"score > {n}"}), *span)
        for n in range(MOST_WAITING + 1)
    ]
    waiting = [trials.ask(admin.engine, one) for one in asked[:MOST_WAITING]]
    assert trials.ask(admin.engine, asked[0]) is waiting[0]
    with pytest.raises(RuleError, match="wait already"):
        trials.ask(admin.engine, asked[MOST_WAITING])
    for one in asked[:MOST_WAITING]:
        trials.cancel(one)
    gate.set()
    trials.wait()
    assert {one.state for one in waiting} == {"cancelled"}
    assert all(one.history is None for one in waiting)
    again = trials.ask(admin.engine, asked[0])
    trials.wait()
    assert again.state == "done"


def test_faults_stand_beside_their_fields_and_nothing_typed_is_lost(admin: Instance) -> None:
    rule = keep(admin)
    key = f"rule {rule.id} 0"
    at = open_rules(rule=str(rule.id), view="When and where")
    at.text_input(f"{key} cooldown").set_value("4 hours")
    act(at.text_input(f"{key} repeat").set_value("30 sec"))
    assert "Cooldown: '4 hours' is no duration" in said(at)
    assert "Repeat every: '30 sec' is no duration" in said(at)
    assert at.button("rule_save").disabled
    act(at.segmented_control("rule_view").set_value("Message"))
    act(at.text_input(f"{key} title").set_value("{{ rul }}"))
    assert "there is no rul; did you mean rule?" in said(at)
    assert "cooldown, repeat every (in “When and where”); title of the message" in said(at)
    assert str(at.query_params["view"]) == "Message"
    act(at.button("rule_all").click())
    assert "view" not in at.query_params
    assert ", not saved" in said(at)
    act(at.button(f"rule_open_{rule.id}").click())
    act(at.segmented_control("rule_view").set_value("When and where"))
    assert at.text_input(f"{key} cooldown").value == "4 hours"
    at.text_input(f"{key} cooldown").set_value("4h")
    act(at.text_input(f"{key} repeat").set_value(""))
    act(at.segmented_control("rule_view").set_value("Message"))
    act(at.text_input(f"{key} title").set_value("{{ rule }} at {{ at }}"))
    act(at.button("rule_save").click())
    (saved,) = stored(admin)
    assert saved.definition.cooldown == timedelta(hours=4)
    assert (saved.version, saved.definition.title) == (2, "{{ rule }} at {{ at }}")


def test_hours_markets_and_an_end_are_chosen_and_saved(admin: Instance) -> None:
    rule = keep(admin)
    key = f"rule {rule.id} 0"
    at = open_rules(rule=str(rule.id), view="When and where")
    act(at.toggle(f"{key} active_hours").set_value(True))
    at.text_input(f"{key} start").set_value("22:00")
    act(at.text_input(f"{key} end").set_value("6"))
    assert "Active hours: '6' is no time of the day" in said(at)
    at.text_input(f"{key} end").set_value("06:00")
    at.multiselect(f"{key} symbols").set_value(["ETHUSDT"])
    act(at.toggle(f"{key} muted").set_value(True))
    act(at.button("rule_save").click())
    (saved,) = stored(admin)
    assert saved.definition.symbols == ("ETHUSDT",)
    assert saved.definition.muted
    assert saved.definition.active_hours is not None
    assert saved.definition.active_hours.minutes == 8 * 60


def test_somebody_who_saved_meanwhile_is_named_and_both_are_shown(admin: Instance) -> None:
    rule = keep(admin)
    at = open_rules(rule=str(rule.id))
    write(at, str(rule.id), "score > 54")
    theirs = HOT.model_copy(update={"severity": "critical"})
    with admin.engine.begin() as conn:
        store.change_rule(conn, rule.id, theirs, based_on=1, by="grace", now=NOW)
    act(at.button("rule_save").click())
    assert "grace saved version 2" in said(at)
    run(at)
    assert "grace saved version 2 of this rule while you were writing on version 1" in said(at)
    assert "<del>warning</del> <ins>critical</ins>" in said(at)
    assert "<del>52</del><ins>54</ins>" in said(at)
    assert stored(admin)[0].version == 2
    act(at.button("rule_mine").click())
    act(at.button("rule_save").click())
    (saved,) = stored(admin)
    assert (saved.version, saved.definition.expression) == (3, "score > 54")
    assert saved.definition.severity == "critical"
    with admin.engine.begin() as conn:
        store.change_rule(conn, rule.id, theirs, based_on=3, by="grace", now=NOW)
    # Nothing was written meanwhile: the newest is simply shown.
    run(at)
    assert given(at)["text"] == "score > 52"


def test_versions_show_what_differs_and_an_earlier_one_comes_back(admin: Instance) -> None:
    rule = keep(admin)
    with admin.engine.begin() as conn:
        changed = HOT.model_copy(update={"expression": "score > 60 and known(close)"})
        store.change_rule(conn, rule.id, changed, based_on=1, by="grace", now=NOW, note="Rarer.")
    at = open_rules(rule=str(rule.id), view="Versions")
    assert "**Version 2** · as it is now · grace" in said(at)
    assert "Rarer." in said(at)
    assert "score &gt; <del>52</del><ins>60 and known(close)</ins>" in said(at)
    act(at.button("rule_restore_1").click())
    (saved,) = stored(admin)
    assert (saved.version, saved.definition) == (3, HOT)
    assert saved.note == "Restored from version 1."
    assert given(at)["text"] == "score > 52"


def test_a_rule_is_disabled_muted_copied_and_deleted(admin: Instance) -> None:
    rule = keep(admin)
    at = open_rules()
    act(at.button(f"rule_enabled_{rule.id}").click())
    act(at.button(f"rule_muted_{rule.id}").click())
    (saved,) = stored(admin)
    assert (saved.definition.enabled, saved.definition.muted, saved.version) == (False, True, 3)
    act(at.button(f"rule_copy_{rule.id}").click())
    copy = next(one for one in stored(admin) if one.id != rule.id)
    assert (copy.name, copy.definition.enabled) == ("Hot copy", False)
    assert str(at.query_params["rule"]) == str(copy.id)
    act(at.button(f"rule_delete_{copy.id}").click())
    assert "**Hot copy** is judged no more" in said(at)
    assert len(stored(admin)) == 2
    dialog = open_dialog("listing", f"draw_delete(loaders.load_rule({copy.id}))")
    dialog.button("rule_delete_sure").click().run()  # which ends in a rule that is not there
    assert [one.id for one in stored(admin)] == [rule.id]
    with admin.engine.connect() as conn:
        done = [change.action for change in list_changes(conn, subject="rule")]
    assert done == ["delete", "create", "mute", "disable", "create"]
    assert "There is no rule" in said(open_rules(rule="99"))
    assert "There is no rule" in said(open_rules(rule="new rule"))


def test_a_rule_that_the_language_refuses_by_now_can_be_disabled(admin: Instance) -> None:
    broken = {**to_body(HOT), "expression": "gone > 1"}
    with admin.engine.begin() as conn:
        made = alert_rules.insert().values(name="Hot", version=1, created_at=NOW)
        conn.execute(made.values(id=1))
        version = {"rule_id": 1, "version": 1, "note": "", "author": "ada", "made_at": NOW}
        conn.execute(alert_rule_versions.insert().values(**version, body=broken))
    (rule,) = stored(admin)
    at = open_rules(rule="1")
    assert given(at)["check"]["reason"] == "There is no gone."
    act(at.button(f"rule_enabled_{rule.id}").click())
    assert not stored(admin)[0].definition.enabled


FILE = """\
rules:
- name: Hot
  expression: score > 60
- name: Calm
  expression: volatility_ratio < 1
"""


def test_a_file_is_shown_before_anything_of_it_is_saved(admin: Instance) -> None:
    keep(admin)
    act(open_rules().button("rule_import").click())
    at = open_dialog("importing", "draw_import()")
    act(at.text_area("rules_pasted").set_value(FILE.replace("volatility_ratio", "volatilty_ratio")))
    assert "1 fault; nothing was saved" in said(at)
    assert "**Line 5**" in said(at)
    assert "volatility" in said(at)
    assert "**Line 3**" not in said(at)
    act(at.text_area("rules_pasted").set_value(FILE.replace("score > 60", "score > 160")))
    assert "1 warning.** Such a rule can be saved" in said(at)
    assert "**Line 3**" in said(at)
    assert "score is 0 to 100, so this never holds" in said(at)
    act(at.text_area("rules_pasted").set_value(f"{FILE}  symbols: [BTCUSD]\n"))
    assert "1 warning" in said(at)
    assert "no market BTCUSD is known here; did you mean BTCUSDT?" in said(at)
    act(at.text_area("rules_pasted").set_value(FILE))
    assert "warning" not in said(at)
    assert "1 new, 1 changed, 0 the same" in said(at)
    assert "<del>52</del><ins>60</ins>" in said(at)
    assert len(stored(admin)) == 1
    act(at.button("rules_import_save").click())
    assert {one.name: one.version for one in stored(admin)} == {"Calm": 1, "Hot": 2}


def test_a_file_with_a_channel_that_is_not_here_is_refused_with_its_line() -> None:
    text = FILE + "  channels: [7]\n  title: '{{ nothing }}'\n"
    with pytest.raises(FileRefused) as refused:
        read_file(text, "rules.yaml", {3: "desk"})
    assert [(fault.line, fault.where) for fault in refused.value.faults] == [
        (6, "rule 'Calm', channels"),
        (7, "rule 'Calm', title"),
    ]
    assert "there are 'desk': write one of these, " in str(refused.value)


def test_of_a_file_all_is_saved_or_nothing(admin: Instance) -> None:
    rule = keep(admin)
    script = (
        "import streamlit as st\n"
        "from core.alerts.rule_files import load_rules\n"
        "from core.errors import RuleError\n"
        "from core.ui.rules import actions\n"
        "try:\n"
        f"    actions.import_rules(load_rules({FILE!r})[::-1], {{'Hot': 7}})\n"
        "except RuleError as error:\n"
        "    st.error(str(error))\n"
    )
    at = run(AppTest.from_string(script, default_timeout=60))
    assert "ada saved version 1 of this rule meanwhile" in at.error[0].value
    assert stored(admin) == [rule]


def test_a_draft_that_the_browser_kept_is_put_back_and_nonsense_is_not() -> None:
    draft = Draft("new", 0, to_blank(), to_blank())
    assert not recover(draft, "nonsense")
    assert not recover(draft, {"body": {"symbols": "BTCUSDT", "muted": "yes", "for": 4, "x": 1}})
    assert draft.changed == ()
    assert recover(draft, {"body": {"expression": "score > 61", "for": "4 h"}, "based_on": 3})
    assert set(draft.changed) == {"expression", "for"}
    assert (draft.based_on, draft.fresh) == (0, False)


def to_blank() -> dict[str, Any]:
    blank = parse_definition({"name": "-", "expression": "-"})
    return to_body(blank) | {"name": "", "expression": ""}


def test_the_list_says_how_rules_stand_and_finds_them(admin: Instance) -> None:
    hot = keep(admin)
    cold = keep(admin, parse_definition({"name": "*Cold* [x]", "expression": "score < 45"}))
    with admin.engine.begin() as conn:
        save_progress(conn, [Progress(hot.id, 1, NOW, "ok", None, 1, 2, NOW)])
        row = to_rows(fresh(("BTCUSDT",)))[0]
        row |= {"rule_id": hot.id, "phase": "firing", "fired_parts": None}
        save_rows(conn, [row])
        event = StoredEvent(
            hot.id, 1, "BTCUSDT", "fired", NOW, NOW, NOW, "warning", "", "told", None, NOW
        )
        add_events(conn, [event])
    at = open_rules()
    assert "**1 market**" in said(at)
    assert "no data of 1 of 2 markets" in said(at)
    assert "not judged yet" in said(at)
    assert "1 Nov 2025, 00:00" in said(at)
    assert "do not fire any more" in said(at)
    names = [button.label for button in at.button if "Cold" in button.label]
    assert names == ["**\\*Cold\\* \\[x\\]**"]
    act(at.text_input("rules_search").set_value("45"))
    shown = [button.key for button in at.button if str(button.key).startswith("rule_open_")]
    assert shown == [f"rule_open_{cold.id}"]
    act(at.text_input("rules_search").set_value("nothing has this"))
    assert "No rule passes" in said(at)


# Of each template what holds on calm days, and what then happens at the last bar.
CALM = {
    "open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0, "volume_usd": 1e6, "atr": 1.0,
    "funding_rate_8h": 1e-4, "open_interest": 1e6, "z_funding_rate": 0.0, "z_long_short_ratio": 0.0,
    "long_liquidations_usd": 1e4, "short_liquidations_usd": 1e4, "volatility_ratio": 1.0,
    "coverage": 1.0, "direction": 0.0, "verdict": "SKIP", "model_verdict": "SKIP",
    "age_candles": 0.0, "age_funding": 0.5, "age_open_interest": 0.5, "worker_lag": 5.0,
    "outcome_count_confirm_30d_4h": 80.0, "win_rate_confirm_30d_4h": 0.5,
}  # fmt: skip
HAPPENS: dict[str, dict[str, object]] = {
    "confirmed": {"direction": -1.0, "verdict": "CONFIRM"},
    "crowded_longs": {"z_funding_rate": 1.8, "z_long_short_ratio": 1.4},
    "crowded_shorts": {
        "funding_rate_8h": -1e-4,
        "z_funding_rate": -1.8,
        "z_long_short_ratio": -1.4,
    },
    "cascade": {"short_liquidations_usd": 5e6, "close": 104.0},
    "funding_flip": {"funding_rate_8h": -5e-2},
    "interest_surge": {"open_interest": 1.2e6},
    "volatility": {"volatility_ratio": 1.6},
    "breakout": {"close": 90.0, "volume_usd": 9e6},
    "stale_source": {"age_open_interest": 5.0},
    "low_coverage": {"coverage": 0.5},
    "disagreement": {"verdict": "CONFIRM", "model_verdict": "WAIT"},
    "worker_lag": {"worker_lag": 300.0},
    "win_rate": {"win_rate_confirm_30d_4h": 0.3},
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.key)
def test_a_template_holds_when_its_thing_happens_and_not_before(template: Template) -> None:
    times = pd.date_range("2025-09-01", periods=24 * 9, freq="h", tz="UTC")
    index = pd.MultiIndex.from_product([["BTCUSDT"], times], names=["symbol", "time"])
    frame = pd.DataFrame(dict(CALM), index)
    wave = 1 + 0.01 * np.sin(np.arange(len(times)))
    for name in ("close", "volume_usd", "open_interest", "long_liquidations_usd"):
        frame[name] *= wave
    # Nothing of the calm is a record of its week.
    frame.iloc[-100, frame.columns.get_loc("close")] = 103.0
    frame.iloc[-101, frame.columns.get_loc("close")] = 97.0
    for name, value in HAPPENS[template.key].items():
        frame.iloc[-1, frame.columns.get_loc(name)] = value
    truth = compile_rule(template.definition.expression).evaluate(frame)
    assert truth.iloc[-1] is np.True_ or truth.iloc[-1] is True
    assert not truth.iloc[-40:-1].any()
    assert truth.iloc[-40:-1].notna().all()
    assert saving_faults(to_body(template.definition), ()) == {}


def test_a_template_fills_a_new_rule(admin: Instance) -> None:
    at = open_rules(rule="new")
    act(at.button("rule_template_crowded_longs").click())
    assert "z_funding_rate" in given(at)["text"]
    assert at.text_input("rule new 1 name").value == "Crowded longs"
    act(at.button("rule_save").click())
    assert stored(admin)[0].definition == BY_KEY["crowded_longs"].definition


def test_every_name_and_function_can_be_completed_with_its_meaning() -> None:
    offered = {one["word"]: one for one in completion.words()}
    for name in NAMES:
        assert offered[name.name]["meaning"] == name.meaning
        assert offered[name.name]["texts"] == list(name.values)
    for function in FUNCTIONS:
        assert offered[function.name]["takes"] == list(function.takes)


@pytest.mark.parametrize("example", [one.example for one in (*NAMES, *FUNCTIONS)])
def test_every_example_of_the_language_can_be_said_in_words(example: str) -> None:
    said = " ".join(lines([clauses(example)]))
    assert "(" not in said.replace("(known", "") or "÷" in said or "×" in said or " − " in said
    assert not re.search(r"[a-z]_[a-z]", said)
