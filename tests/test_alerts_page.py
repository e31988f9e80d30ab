"""The Alerts page and the bell: what each person sees and may do, over a market that was judged."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import UTC, datetime, timedelta

import streamlit as st
from sqlalchemy import update

from core.store import audit
from core.store.alerts import past, watching
from core.store.alerts.past import Asked
from core.store.alerts.watching import Watch
from core.store.database import open_database
from core.store.sent import count_deliveries
from core.store.tables import deliveries
from core.ui.alerts import actions
from core.ui.alerts.bell import bell_of
from core.ui.alerts.changes import difference
from core.ui.alerts.history import history_csv
from core.ui.alerts.judging import late_words
from tests.alert_desk import (  # noqa: F401 - fixtures
    HOSTILE,
    HOUR,
    Desk,
    add_people,
    all_firing,
    desk,
    fired,
    lists,
    page,
    rows,
    serve,
    shown,
    templates,
    text,
)
from tests.alerted import NAMES, judge, rule, save, silence, store_market
from tests.pages import open_app, open_page, words
from tests.stored import list_events

# What fires now


def test_what_fires_is_listed_by_rule_with_the_values_when_it_fired_and_now(fired):
    at = page()
    said = shown(at)
    assert "3 critical and 3 warning alerts fire." in said
    (given,) = lists(at)
    assert [len(group["rows"]) for group in given["groups"]] == [3, 3]
    first = given["groups"][0]["rows"][0]
    assert first["key"] == "1.BTCUSDT"
    assert "close" in text(first["cells"][3])
    assert "→" in text(first["cells"][3])
    href = first["cells"][0][0]["href"]
    assert href.startswith("symbol?symbol=BTCUSDT&time=")
    assert first["tick"]
    assert first["acts"] == ["silence"]


def test_a_rule_that_sees_nothing_is_said_to_and_not_passed_over(fired):
    assert "Blind** sees nothing" in shown(page())


def test_a_firing_says_when_it_was_last_told_and_that_nobody_was(fired):
    assert "last told nobody yet" not in shown(page())
    with fired.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE alert_states SET told_at = NULL WHERE symbol = 'ETHUSDT'")
    assert shown(page()).count("last told nobody yet") == 2


def test_the_filters_of_the_address_narrow_what_is_listed(fired):
    assert {row["key"] for row in rows(page(rule="Up", market="ETHUSDT"))} == {"1.ETHUSDT"}
    assert len(rows(page(severity="warning"))) == 3
    actions.take_note([(1, "BTCUSDT")], "")
    assert [row["key"] for row in rows(page(noted="Acknowledged"))] == ["1.BTCUSDT"]
    assert "passes these filters" in shown(page(rule="Up", severity="warning"))


def test_a_message_leads_to_what_happened_at_its_bar(fired):
    with fired.engine.connect() as conn:
        bar = list_events(conn, limit=1)[0].at
    st.cache_data.clear()
    at = open_page("alerts.py", {"rule": "1", "at": f"{bar:%Y-%m-%dT%H:%MZ}"})
    with fired.engine.connect() as conn:
        n = len([one for one in list_events(conn, start=bar) if one.rule_id == 1])
    assert f"{n} event" in shown(at)
    assert at.selectbox(key="rule").value == "Up"


def test_texts_of_people_are_shown_as_texts(fired):
    actions.take_note(all_firing(), HOSTILE)
    silence(fired.engine, "severity = critical", at=datetime.now(UTC), reason=HOSTILE)
    for view in ("Now", "History", "Silences", "Channels", "Deliveries", "Changes"):
        at = page(view)
        for element in at.html:
            assert "<img" not in str(element.value)
        for element in [*at.markdown, *at.caption]:
            assert "<img" not in str(element.value)
            assert "](javascript" not in str(element.value)
            assert "https://evil" not in str(element.value)
    assert HOSTILE[:60] in shown(page("Now"))


def test_on_a_market_that_has_ended_the_page_says_that_rules_do_not_fire(
    templates, monkeypatch, tmp_path
):
    path = shutil.copyfile(templates["people"], tmp_path / "demo.sqlite")
    for ended in serve(monkeypatch, f"sqlite:///{path}", tmp_path, "demo"):
        assert ended.here.market.kind == "demo"
        at = page()
        said = shown(at)
        assert "Rules do not fire on this market any more" in said
        assert "on its history" in at.button(key="to_rules").label
        ended.sign_in("tom")
        assert not [one for one in page().button if one.key == "to_rules"]
        assert "nothing fires" not in said.lower()


def test_without_rules_the_page_says_what_they_are(desk):
    assert "There are no alert rules yet" in shown(page())
    assert "Nothing has happened yet" in shown(page("History"))
    assert "Nothing is silenced" in shown(page("Silences"))


# History and the log


def test_history_says_what_was_told_and_to_whom(fired):
    at = page("History")
    said = shown(at)
    assert "6 events" in said
    assert "message to Desk waits to be sent" in said
    assert "to be sent, but no channel wants it" in said


def test_messages_to_people_s_own_channels_are_not_told_to_others(fired):
    with fired.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE channels SET owner = 'tom'")
    fired.sign_in("ann")
    said = shown(page("History"))
    assert "message to" not in said
    fired.sign_in("tom")
    assert "message to Desk" in shown(page("History"))


def test_history_is_downloaded_with_nothing_that_a_spreadsheet_runs(fired):
    with fired.engine.connect() as conn:
        events = list_events(conn)
    found = list(csv.DictReader(io.StringIO(history_csv(events, {1: "=1+1", 2: "Hot"}))))
    assert len(found) == 6
    assert {one["rule"] for one in found} == {"'=1+1", "Hot"}
    assert json.loads(found[0]["values"])


def test_the_log_tells_a_change_in_words(fired):
    change = audit.Change(
        1, datetime.now(UTC), "ada", "change", "rule", "1", "Up",
        {"severity": "warning", "muted": False}, {"severity": "critical", "muted": True},
    )  # fmt: skip
    assert [text(line) for line in difference(change)] == [
        "severity warning → critical",
        "muted no → yes",
    ]


def test_the_log_narrows_to_what_was_changed_by_whom(fired):
    fired.sign_in("tom")
    actions.take_note([(1, "BTCUSDT")], "")
    fired.sign_in("ada")
    assert "tom acknowledged rule Up" in shown(page("Changes", by="tom"))
    assert "made rule" not in shown(page("Changes", by="tom"))
    assert "No change passes these filters" in shown(page("Changes", of="Silences"))


# The bell


def test_the_bell_counts_what_nobody_acknowledged_on_every_page(fired):
    at = open_app()
    labels = [one.proto.label for one in at.get("page_link")]
    assert "◆ 3 critical ◈ 3 warning" in labels
    actions.take_note([(1, name) for name in NAMES], "")
    st.cache_data.clear()
    labels = [one.proto.label for one in open_app().get("page_link")]
    assert "◈ 3 warning" in labels


def test_the_bell_does_not_ring_calm_when_nobody_judges():
    noon = datetime(2025, 6, 2, 12, tzinfo=UTC)
    watch = Watch(2, {}, 0, noon, noon + timedelta(seconds=4), noon - HOUR, 0)
    assert bell_of(watch, noon + HOUR / 2, live=True).words == "No alerts"
    late = bell_of(watch, noon + 3 * HOUR + HOUR / 4, live=True)
    assert late.words.replace("\u00a0", " ") == "rules were last judged 3 h ago"
    assert late.late
    never = Watch(1, {}, 0, None, None, noon, 0)
    assert late_words(never, noon + 2 * HOUR) == "rules have not been judged yet"
    assert late_words(never, noon + HOUR / 4) == ""
    assert (
        "1 rule cannot be judged"
        in bell_of(Watch(2, {"info": 1}, 0, noon, noon, noon, 1), noon, live=True).words
    )


def test_the_numbers_are_the_same_on_either_database(monkeypatch, new_url, tmp_path):
    url = new_url()
    engine = open_database(url)
    add_people(engine)
    engine.dispose()
    for here in serve(monkeypatch, url, tmp_path):
        bars = store_market(here.engine)
        made = bars[0] - timedelta(minutes=1)
        save(here.engine, rule("Up", "close > 0", severity="critical"), made)
        save(here.engine, rule("Off", "close > 0", enabled=False), made)
        judge(here.engine, bars[-2:])
        actions.take_note([(1, "BTCUSDT")], "seen")
        with here.engine.connect() as conn:
            watch = watching.load_watch(conn)
            standings = watching.load_standings(conn)
            health = {one.rule: one for one in watching.load_rule_health(conn)}
            asked = Asked(rule_ids=(1,), severities=("critical",), kinds=("fired",))
            assert past.count_asked(conn, asked) == 3
            assert [n for *_, n in past.count_fired(conn, asked)] == [3]
            assert len(past.list_asked(conn, asked, 2, 1)) == 2
            assert count_deliveries(conn, datetime.now(UTC)) == []
        assert (watch.rules, watch.open_by_severity, watch.acknowledged) == (1, {"critical": 2}, 1)
        assert watch.judged_bar == bars[-1]
        assert [one.acknowledgement is not None for one in standings] == [True, False, False]
        assert (health["Up"].symbols, health["Off"].enabled) == (3, False)
        assert "3 critical alerts fire" in shown(page())


def test_the_operator_sees_rules_and_outbox(fired):
    with fired.engine.begin() as conn:
        old = datetime.now(UTC) - HOUR
        conn.execute(update(deliveries).values(made_at=old))
    st.cache_data.clear()
    said = words(open_page("system.py")).replace("\u00a0", " ")
    assert "Messages to Desk have waited for 1 h." in said
    assert "Messages waiting" in said
    assert "Blind" in said
