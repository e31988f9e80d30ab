"""The Alerts page and the bell: what each person sees and may do, over a market that was judged."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine, select, update
from streamlit.testing.v1 import AppTest

from core.accounts import people, sessions
from core.alerts.delivery import load_sealer
from core.alerts.silences import parse_silence
from core.errors import AccessDenied, DeliveryError, RuleError
from core.store import audit, outbox
from core.store.alerts import past, watching
from core.store.alerts.past import Asked
from core.store.alerts.silences import list_silences
from core.store.alerts.watching import Watch
from core.store.channels import list_channels, load_target
from core.store.database import open_database
from core.store.sent import count_deliveries
from core.store.tables import audit_log, deliveries, users
from core.ui import instance as instances
from core.ui import loaders, session
from core.ui.alerts import actions, channel_actions
from core.ui.alerts.bell import bell_of
from core.ui.alerts.changes import difference
from core.ui.alerts.history import history_csv
from core.ui.alerts.judging import late_words
from core.ui.alerts.personal import load_channels
from core.ui.alerts.silence_form import begin_silence, effect_of, effect_words
from core.ui.instance import Instance, instance
from tests.alerted import NAMES, judge, rule, save, silence, store_market
from tests.channelled import add_channel
from tests.pages import open_app, open_page, run, words
from tests.stored import list_events
from tests.world.receiver import Receiver

HOUR = timedelta(hours=1)
HOSTILE = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) https://evil.example"
PEOPLE = {"ada": "admin", "ann": "analyst", "tom": "trader"}


class Desk:
    """A live market with people; `sign_in` says who looks."""

    def __init__(self, here: Instance, patch: pytest.MonkeyPatch) -> None:
        self.here, self._patch = here, patch
        self.sign_in("ada")

    def sign_in(self, name: str) -> None:
        with self.here.accounts.begin() as conn:
            wanted = select(users.c.id).where(users.c.username == name)
            token = sessions.start(conn, conn.scalar(wanted), now=datetime.now(UTC))
        self._patch.setattr(session, "_browser_token", lambda: token)

    @property
    def engine(self) -> Engine:
        return self.here.engine


def add_people(engine: Engine) -> None:
    with engine.begin() as conn:
        for name, role in PEOPLE.items():
            people.create_user(
                conn, username=name, name=name.title(), role=role,
                password="four unrelated words", now=datetime.now(UTC),
            )  # fmt: skip


def fire(engine: Engine) -> None:
    """Two rules fire on three markets, one of them tells a shared channel; a third sees nothing."""
    bars = store_market(engine)
    channel = add_channel(engine, name="Desk")
    made = bars[0] - timedelta(minutes=1)
    save(engine, rule("Up", "close > 0", severity="critical", channels=[channel]), made)
    save(engine, rule(HOSTILE[:100], "score > 0", description=HOSTILE), made)
    save(engine, rule("Blind", 'model_verdict == "SKIP"'), made)
    judge(engine, bars[-3:])


@pytest.fixture(scope="module")
def templates(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """A database with people, and one in which rules fire besides; for tests to copy."""
    folder, found = tmp_path_factory.mktemp("alerts"), {}
    for name, fills in (("people", [add_people]), ("fired", [add_people, fire])):
        found[name] = folder / f"{name}.sqlite"
        shutil.copyfile(sqlite_template, found[name])
        engine = open_database(f"sqlite:///{found[name]}")
        for fill in fills:
            fill(engine)
        with engine.connect() as conn:
            conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
    return found


@pytest.fixture
def desk(
    monkeypatch: pytest.MonkeyPatch, templates: Mapping[str, Path], tmp_path: Path
) -> Iterator[Desk]:
    path = shutil.copyfile(templates["people"], tmp_path / "desk.sqlite")
    yield from serve(monkeypatch, f"sqlite:///{path}", tmp_path)


@pytest.fixture
def fired(
    monkeypatch: pytest.MonkeyPatch, templates: Mapping[str, Path], tmp_path: Path
) -> Iterator[Desk]:
    path = shutil.copyfile(templates["fired"], tmp_path / "fired.sqlite")
    yield from serve(monkeypatch, f"sqlite:///{path}", tmp_path)


def serve(
    patch: pytest.MonkeyPatch, url: str, folder: Path, market: str = "live"
) -> Iterator[Desk]:
    patch.setattr(instances, "_engines", {})
    for name, value in {
        "DATABASE_URL": url,
        "CRYPTOSATX_DATA": str(folder),
        "CRYPTOSATX_MARKET": market,
        "CRYPTOSATX_WORKER": "off",
        "CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1",
    }.items():
        patch.setenv(name, value)
    st.cache_data.clear()
    yield Desk(instance(), patch)
    for engine in instances._engines.values():
        engine.dispose()


def page(view: str = "Now", **query: str) -> AppTest:
    st.cache_data.clear()
    return open_page("alerts.py", {"view": view, **query})


def lists(at: AppTest) -> list[dict[str, Any]]:
    """What the lists on the page were given."""
    return [
        json.loads(element.proto.json)
        for element in at.get("bidi_component")
        if element.proto.component_name == "cryptosatx_alerts"
    ]


def rows(at: AppTest) -> list[dict[str, Any]]:
    return [row for given in lists(at) for group in given["groups"] for row in group["rows"]]


def text(value: Any) -> str:
    """Every text in what a list was given."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return " ".join(
            text(value[name])
            for name in ("text", "bits", "cells", "more", "head", "rows")
            if name in value
        )
    return " ".join(text(one) for one in value)


def shown(at: AppTest) -> str:
    return " ".join([words(at), *(text(given["groups"]) for given in lists(at))]).replace(
        "\u00a0", " "
    )


def all_firing() -> list[tuple[int, str]]:
    st.cache_data.clear()
    return [(one.rule_id, one.symbol) for one in loaders.load_standings()]


def entries(desk: Desk) -> list[tuple[str, str, str]]:
    with desk.engine.connect() as conn:
        query = select(audit_log.c.by, audit_log.c.action, audit_log.c.subject)
        return [tuple(row) for row in conn.execute(query.order_by(audit_log.c.id))]


# What fires now


def test_what_fires_is_listed_by_rule_with_the_values_when_it_fired_and_now(fired):
    at = page()
    said = shown(at)
    assert "3 critical and 3 warning fire." in said
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
    for view in ("Now", "History", "Silences", "Channels", "Changes"):
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


# Acknowledging


def test_who_acknowledges_is_shown_and_written_down_once_for_a_rule(fired):
    fired.sign_in("tom")
    assert actions.take_note([(1, "BTCUSDT"), (1, "ETHUSDT")], " looking  at it ") == 2
    said = shown(page())
    assert "acknowledged by tom" in said
    assert "“looking at it”" in said
    assert entries(fired)[-1] == ("tom", "acknowledge", "rule")
    with fired.engine.connect() as conn:
        (newest, *_) = audit.list_changes(conn, limit=1)
    assert newest.after == {"symbols": ["BTCUSDT", "ETHUSDT"], "note": "looking at it"}
    by_key = {row["key"]: row for row in rows(page())}
    assert by_key["1.BTCUSDT"]["tick"] == ""
    assert by_key["1.SOLUSDT"]["tick"] != ""


def test_what_was_acknowledged_stays_with_who_did_it_first(fired):
    actions.take_note([(1, "BTCUSDT")], "")
    fired.sign_in("tom")
    with pytest.raises(RuleError, match="without being acknowledged"):
        actions.take_note([(1, "BTCUSDT")], "me too")
    assert len([one for one in entries(fired) if one[1] == "acknowledge"]) == 1


# Silences


def test_a_silence_is_made_in_the_form_listed_and_ended(fired):
    at = page("Silences")
    at.text_input(key="silence_values_0").set_value("Up")
    at.text_input(key="silence_reason").set_value("the exchange moves wallets")
    run(at)
    said = shown(at)
    assert "it would have kept back **3 of 6** events" in said
    assert "Of what fires now it silences Up on BTCUSDT" in said.replace("\\", "")
    at.button(key="silence_make").click()
    run(at)
    st.cache_data.clear()
    with fired.engine.connect() as conn:
        (made,) = list_silences(conn, datetime.now(UTC))
    assert [str(one) for one in made.silence.matchers] == ["rule = Up"]
    assert made.silence.author == "ada"
    assert "Holding now" in shown(page("Silences"))
    assert "silenced until" in shown(page())
    actions.end_silence(made.id)
    assert "Ended" in shown(page("Silences"))
    assert [one[1:] for one in entries(fired)][-2:] == [("create", "silence"), ("end", "silence")]


def test_a_silence_that_cannot_be_is_refused_with_what_to_write(fired):
    at = page("Silences")
    at.selectbox(key="silence_field_0").select("severity")
    at.text_input(key="silence_values_0").set_value("loud")
    run(at)
    assert "is no severity" in shown(at)
    assert at.button(key="silence_make").disabled
    now = datetime.now(UTC)
    with pytest.raises(RuleError, match="reason"):
        actions.silence(actions.Draft(("rule = Up",), " ", now, now + HOUR))


def test_a_row_fills_the_form_in_even_where_its_rule_has_a_comma(fired, monkeypatch):
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    begin_silence("Hot, now", "BTCUSDT")
    matchers = [
        f"{state[f'silence_field_{at}']} {state[f'silence_operator_{at}']} {state[f'silence_values_{at}']}"
        for at in range(2)
    ]
    now = datetime.now(UTC)
    made = parse_silence(
        {
            "matchers": matchers,
            "reason": "x",
            "author": "a",
            "starts_at": now,
            "ends_at": now + HOUR,
        }
    )
    assert made.matches(watching_subject("Hot, now", "BTCUSDT"))
    assert not made.matches(watching_subject("Hot", "BTCUSDT"))


def watching_subject(name: str, symbol: str) -> Any:
    from core.alerts.silences import Subject

    return Subject(name, symbol, "info")


def test_the_preview_counts_only_what_was_told(fired):
    now = datetime.now(UTC)
    body = {
        "matchers": ["rule = Up"],
        "reason": "x",
        "author": "a",
        "starts_at": now,
        "ends_at": now + HOUR,
    }
    before = effect_of(parse_silence(body))
    assert (before.kept_back, before.of, len(before.fires)) == (3, 6, 3)
    assert "Up 3" in effect_words(before)
    body["matchers"] = ["symbol = NONE"]
    assert "Nothing that fires now is matched" in effect_words(effect_of(parse_silence(body)))


# Who may


WRITES: list[Callable[[], object]] = [
    lambda: actions.take_note([(1, "BTCUSDT")], ""),
    lambda: actions.silence(
        actions.Draft(("rule = Up",), "x", datetime.now(UTC), datetime.now(UTC) + HOUR)
    ),
    lambda: actions.end_silence(1),
    lambda: channel_actions.create(
        name="x", kind="webhook", address="https://127.0.0.1/x", shared=False
    ),
    lambda: channel_actions.change(1, enabled=False),
    lambda: channel_actions.delete(1),
    lambda: channel_actions.test(1),
    lambda: channel_actions.subscribe(1, {}),
    lambda: channel_actions.resend(channel_id=1),
    lambda: channel_actions.resend(ids=[1]),
]
SHARED = [4, 5, 6, 7, 8, 9]


class Stopped(Exception):
    """The script ended here."""


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a page's script ends the call."""

    def stop() -> None:
        raise Stopped

    monkeypatch.setattr(st, "stop", stop)


@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_guest_changes_nothing(fired, refusals, monkeypatch, number):
    guest = sessions.Session(
        id=1, person=people.GUEST, user_agent="", created_at=datetime.now(UTC), seen_at=datetime.now(UTC)
    )  # fmt: skip
    monkeypatch.setattr(session, "current_session", lambda **_: guest)
    before = entries(fired)
    with pytest.raises(Stopped):
        WRITES[number]()
    assert entries(fired) == before


@pytest.mark.parametrize("number", SHARED)
@pytest.mark.parametrize("name", ["tom", "ann"])
def test_shared_channels_are_left_alone_by_all_but_administrators(fired, name, number):
    fired.sign_in(name)
    before = entries(fired)
    with pytest.raises(AccessDenied):
        WRITES[number]()
    assert entries(fired) == before


def test_making_a_shared_channel_takes_an_administrator(fired, refusals):
    fired.sign_in("tom")
    with pytest.raises(Stopped):
        channel_actions.create(name="x", kind="webhook", address="https://127.0.0.1/x", shared=True)


def test_views_of_administrators_are_theirs_alone(fired):
    fired.sign_in("ann")
    for view in ("Deliveries", "Changes"):
        at = page(view)
        assert view not in at.segmented_control(key="view").options
        assert "given up" not in shown(at)
        assert "made rule" not in shown(at)
    fired.sign_in("ada")
    assert "made rule" in shown(page("Changes"))


# Channels


def add_own(name: str, address: str) -> int:
    channel_actions.create(name=name, kind="webhook", address=address, shared=False)
    return {one.channel.name: one.channel.id for one in load_own()}[name]


def load_own() -> list[Any]:
    return load_channels(session.current_session().person, shared=False)  # type: ignore[union-attr]


def test_a_channel_is_made_tested_and_its_secret_shown_once(fired):
    fired.sign_in("tom")
    with Receiver() as receiver:
        at = page("Channels")
        at.segmented_control(key="channel_service_own").set_value("Webhook")
        run(at)
        at.text_input(key="channel_name_own_0").set_value("Mine")
        at.text_input(key="channel_address_own_0").set_value(receiver.url("/secret-path"))
        run(at)
        at.button(key="channel_add_own").click()
        run(at)
        assert not at.error, at.error[0].value
        (held,) = load_own()
        with fired.engine.connect() as conn:
            target = load_target(conn, held.channel.id, load_sealer(fired.here.settings))
        assert target.signing_secret in [str(one.value) for one in at.code]
        assert "secret-path" not in shown(at)
        run(at)
        assert target.signing_secret not in [str(one.value) for one in at.code]
        outcome = channel_actions.test(held.channel.id)
        assert outcome.sent
        assert receiver.received[-1].path == "/secret-path"
        assert receiver.received[-1].json["data"]["kind"] == "test"
        with pytest.raises(DeliveryError, match="wait 10 seconds"):
            channel_actions.test(held.channel.id)
    assert ("tom", "test", "channel") in entries(fired)


def test_an_address_that_leads_inside_or_nowhere_is_refused_with_a_sentence(fired, monkeypatch):
    monkeypatch.setenv("CRYPTOSATX_PRIVATE_TARGETS", "")
    at = page("Channels")
    for service, address, said in (
        ("Webhook", "http://127.0.0.1:8080/x", "not a public address"),
        ("Telegram", "tgrm://1/2", "Did you mean tgram://?"),
        ("Slack", "slack://", "is not a whole address of Slack"),
    ):
        at.segmented_control(key="channel_service_own").set_value(service)
        run(at)
        at.text_input(key="channel_address_own_0").set_value(address)
        run(at)
        at.button(key="channel_add_own").click()
        run(at)
        plain = " ".join(str(one.value) for one in at.error).replace("\\", "")
        assert said in plain, plain
    assert load_own() == []


def test_nobody_sees_or_uses_the_channels_of_others(fired):
    fired.sign_in("tom")
    own = add_own("Mine", "https://127.0.0.1/x")
    fired.sign_in("ann")
    assert load_own() == []
    assert "Mine" not in shown(page("Channels"))
    for write in (channel_actions.test, channel_actions.delete):
        with pytest.raises(AccessDenied):
            write(own)


def test_what_comes_is_chosen_and_said(fired):
    fired.sign_in("tom")
    own = add_own("Mine", "https://127.0.0.1/x")
    body = {
        "rules": ["Up"],
        "severities": ["critical"],
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "time_zone": "Europe/Berlin",
    }
    channel_actions.subscribe(own, body)
    said = shown(page("Channels"))
    assert "Critical of Up comes" in said
    assert "from 22:00 to 07:00 (Europe/Berlin, every day)" in said
    with pytest.raises(DeliveryError, match="no time zone"):
        channel_actions.subscribe(own, {"time_zone": "Mars/Olympus"})


def test_what_was_given_up_is_listed_with_its_reason_and_sent_again(fired):
    now = datetime.now(UTC)
    with fired.engine.begin() as conn:
        channel = list_channels(conn)[0].id
        claimed = outbox.claim(conn, channel, "host-1", now)
        assert claimed is not None
        gone = "It answered 410: it is gone for good."
        outbox.note_failed(conn, claimed, took_ms=12.0, message=gone, next_at=None)
    at = page("Deliveries")
    said = shown(at)
    assert "1 message given up" in said
    assert said.count(gone) == 2  # in the list, and in the log of tries
    assert "Messages" not in said or "given up" in said
    assert channel_actions.resend(ids=[claimed.id]) == 1
    with fired.engine.connect() as conn:
        state = conn.scalar(select(deliveries.c.state).where(deliveries.c.id == claimed.id))
        (counted,) = count_deliveries(conn, now)
    assert (state, counted.dead) == ("waiting", 0)
    assert entries(fired)[-1] == ("ada", "resend", "channel")


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
    assert "No change is written down" in shown(page("Changes", of="Silences"))


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
    for desk in serve(monkeypatch, url, tmp_path):
        bars = store_market(desk.engine)
        made = bars[0] - timedelta(minutes=1)
        save(desk.engine, rule("Up", "close > 0", severity="critical"), made)
        save(desk.engine, rule("Off", "close > 0", enabled=False), made)
        judge(desk.engine, bars[-2:])
        actions.take_note([(1, "BTCUSDT")], "seen")
        with desk.engine.connect() as conn:
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
        assert "3 critical fire" in shown(page())


def test_the_operator_sees_rules_and_outbox(fired):
    with fired.engine.begin() as conn:
        old = datetime.now(UTC) - HOUR
        conn.execute(update(deliveries).values(made_at=old))
    st.cache_data.clear()
    said = words(open_page("system.py")).replace("\u00a0", " ")
    assert "Messages to Desk have waited for 1 h." in said
    assert "Messages waiting" in said
    assert "Blind" in said
