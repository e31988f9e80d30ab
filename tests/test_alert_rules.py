"""Rules as they are stored and changed, and what goes with a change of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from core.alerts.definition import to_body
from core.alerts.rule_files import FileRefused, Here, dump_rules, read_rules
from core.errors import RuleError
from core.store import audit
from core.store import channels as channels_store
from core.store.alerts import changing
from core.store.alerts import rules as store
from core.store.alerts.watching import load_watch
from core.store.channels import Who
from core.store.tables import alert_progress, alert_rule_versions, alert_rules
from tests.alerted import rule, save
from tests.channelled import add_channel

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_rule_with_an_error_is_told_of_until_it_is_switched_off(engine: Engine) -> None:
    failing = save(engine, rule("Old", "score > 60"), NOON)
    save(engine, rule("Good", "score > 60"), NOON)
    with engine.begin() as conn:
        conn.execute(
            alert_progress.insert().values(
                rule_id=failing.id, version=1, bar=NOON, health="error", message="gone",
                unknown=0, symbols=0, stepped_at=NOON,
            )
        )  # fmt: skip
        assert load_watch(conn).failing == 1
        changing.switch(conn, failing.id, "enabled", to=False, by="ada", now=NOON + HOUR)
        watch = load_watch(conn)
        assert (watch.failing, watch.rules, watch.judged_bar) == (0, 1, NOON)
        changing.switch(conn, failing.id, "enabled", to=True, by="ada", now=NOON + 2 * HOUR)
        assert load_watch(conn).failing == 1


def test_names_that_differ_only_by_case_are_not_made(engine: Engine) -> None:
    said = "There is a rule called Warm already, and upper and lower case"
    save(engine, rule("Warm", "score > 60"), NOON)
    other = save(engine, rule("Cold", "score > 60"), NOON)
    with engine.begin() as conn:
        with pytest.raises(RuleError, match=said) as refused:
            store.create_rule(conn, rule("warm", "score > 70"), by="ada", now=NOON)
        assert refused.value.field == "name"
        with pytest.raises(RuleError, match=said):
            store.change_rule(
                conn, other.id, rule("WARM", "score > 60"), based_on=1, by="ada", now=NOON
            )
        store.change_rule(
            conn, other.id, rule("COLD", "score > 60"), based_on=1, by="ada", now=NOON
        )
        assert store.free_name(conn, "warm") == "warm 2"


def test_names_that_were_saved_once_stay(engine: Engine) -> None:
    save(engine, rule("Warm", "score > 60"), NOON)
    warm = rule("warm", "score > 60")
    with engine.begin() as conn:
        conn.execute(alert_rules.insert().values(id=99, name="warm", version=1, created_at=NOON))
        version = {"rule_id": 99, "version": 1, "note": "", "author": "ada", "made_at": NOON}
        conn.execute(alert_rule_versions.insert().values(body=to_body(warm), **version))
        changing.switch(conn, 99, "muted", to=True, by="ada", now=NOON)
        assert store.load_rule(conn, 99).definition.muted
        kept = [one.definition for one in store.list_rules(conn)]
        names = store.load_names(conn).values()
    assert read_rules(dump_rules(kept), here=Here(names=names)).rules == kept
    with pytest.raises(FileRefused, match="rule 'warm': There is a rule called Warm already"):
        read_rules(dump_rules(kept))
    with pytest.raises(FileRefused, match="line 2, rule 'WARM': There is a rule called Warm"):
        read_rules("rules:\n- {name: WARM, expression: score > 60}", here=Here(names=["Warm"]))


def test_a_rename_that_changes_a_subscription_is_written_down_with_it(engine: Engine) -> None:
    hot = save(engine, rule("Hot", "score > 60"), NOON)
    mine, other = add_channel(engine, owner="tom", name="mine"), add_channel(engine, owner="tim")
    with engine.begin() as conn:
        for channel, rules in ((mine, ["Cold", "Hot"]), (other, ["Cold"])):
            body = {"rules": rules, "severities": ["critical"]}
            channels_store.save_subscription(
                conn, channel, body, who=Who("ada", is_admin=True), now=NOON
            )
        warm = rule("Warm", "score > 60")
        store.change_rule(conn, hot.id, warm, based_on=1, by="ada", now=NOON + HOUR)
        wanted = channels_store.load_subscription(conn, mine)
        assert wanted == {"rules": ["Cold", "Warm"], "severities": ["critical"]}
        noted = [one for one in audit.list_changes(conn, subject="channel") if one.at > NOON]
    assert [(one.by, one.action, one.subject_id, one.name) for one in noted] == [
        ("ada", "subscribe", str(mine), "mine")
    ]
    assert noted[0].before == {"rules": ["Cold", "Hot"]}
    assert noted[0].after == {"rules": ["Cold", "Warm"]}


def test_a_version_comes_back_only_if_it_could_be_saved_today(engine: Engine) -> None:
    channel, ada = add_channel(engine), Who("ada", is_admin=True)
    hot = save(engine, rule("Hot", "score > 60", channels=[channel]), NOON)
    with engine.begin() as conn:
        other = rule("Hot", "score > 61")
        store.change_rule(conn, hot.id, other, based_on=1, by="ada", now=NOON)
        back = changing.restore(conn, hot.id, 1, based_on=2, by="ada", now=NOON)
        assert (back.version, back.definition, back.note) == (
            3, hot.definition, "Restored from version 1."
        )  # fmt: skip
        store.change_rule(conn, hot.id, other, based_on=3, by="ada", now=NOON)
        channels_store.delete_channel(conn, channel, who=ada, now=NOON)
        with pytest.raises(RuleError, match=f"channels: there is no shared channel {channel} here"):
            changing.restore(conn, hot.id, 1, based_on=4, by="ada", now=NOON)
        assert store.load_rule(conn, hot.id).version == 4
