"""The log of changes: everything that a person can write is in it, or is said here not to be."""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from core import __main__ as cli
from core.accounts import passwords, people, second_factor, sessions, setup
from core.accounts.attempts import PER_ACCOUNT, PER_ADDRESS
from core.accounts.attempts import Place as Origin
from core.accounts.home import open_accounts
from core.accounts.sign_in import check_password
from core.alerts.delivery.sealing import Sealer, load_sealer
from core.errors import AccessDenied, AccountError
from core.market.choice import live_market
from core.settings import load_settings
from core.signals import Profile
from core.store import audit, open_store, outbox
from core.store.audit import COMMAND_LINE, SIGN_IN, START, Change
from core.store.backtests import Asked
from core.store.channels import list_channels
from core.store.tables import audit_log, backtests, users
from core.ui import account, backtest_actions, key_actions
from core.ui import people as everyone
from core.ui.alerts import actions, channel_actions
from core.ui.alerts.change_log import Place, Wanted, load_authors, load_changes
from core.ui.alerts.changes import SUBJECTS, VERBS, changes_csv
from core.ui.rules import actions as rule_actions
from tests.alert_desk import HOUR, Desk, desk, fired, page, serve, shown, templates  # noqa: F401 - fixtures
from tests.alerted import rule
from tests.channelled import claim_one

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
PASSWORD, OTHER = "four unrelated words", "another good password"
LOOSE = Profile(name="balanced", threshold=51)
Said = tuple[str, str, str]


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ROUNDS", 4)


# What people can write


def channel_id(here: Desk) -> int:
    with here.engine.connect() as conn:
        return list_channels(conn)[-1].id


def fail_and_wait(here: Desk) -> int:
    """A message that waits to be tried again; its id."""
    with here.engine.begin() as conn:
        claimed = claim_one(conn, 1, "w", datetime.now(UTC))
        assert claimed is not None
        later = datetime.now(UTC) + HOUR
        outbox.note_failed(conn, claimed, took_ms=1.0, message="503", next_at=later)
    return claimed.id


def give_up(here: Desk) -> int:
    """A message that was given up; its id."""
    with here.engine.begin() as conn:
        claimed = claim_one(conn, 1, "w", datetime.now(UTC))
        assert claimed is not None
        outbox.note_failed(conn, claimed, took_ms=1.0, message="410", next_at=None)
    return claimed.id


def ask_run(_: Desk) -> str:
    return backtest_actions.ask(Asked("mine", "nowhere", LOOSE))


def look(here: Desk) -> None:
    run_id = ask_run(here)
    with here.engine.begin() as conn:
        conn.execute(update(backtests).where(backtests.c.id == run_id).values(state="done"))
    backtest_actions.look(run_id)


def next_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + 2 * HOUR


def sign_in_twice(here: Desk) -> None:
    start_for(here, "ada")


def start_for(here: Desk, username: str) -> None:
    with here.here.accounts.begin() as conn:
        person = people.find_account(conn, username).person
        sessions.start(conn, person.id, now=datetime.now(UTC))


def other_session() -> str:
    """Of ada's sessions one that was just begun, and so is not the one in front of the page."""
    return max(account.own_sessions(datetime.now(UTC)), key=lambda one: one.created_at).id


def session_of(username: str) -> str:
    return everyone.load_sessions(username, datetime.now(UTC))[0].id


def set_up_factor(_: Desk) -> None:
    account.confirm_factor(pyotp.TOTP(account.begin_factor(PASSWORD)).now())


def give_factor(here: Desk, username: str) -> None:
    sealer, now = load_sealer(here.here.settings), datetime.now(UTC)
    with here.here.accounts.begin() as conn:
        person = people.find_account(conn, username).person
        secret = second_factor.begin(conn, person.id or 0, sealer, now=now)
        second_factor.confirm(conn, person, pyotp.TOTP(secret).at(now), sealer, now=now)


# In the order in which they are done, by where the transaction is opened: what each leaves in the log.
WRITES: list[tuple[str, Callable[[Desk], object], Said]] = [
    (
        "core.ui.alerts.actions.take_note",
        lambda _: actions.take_note([(1, "BTCUSDT")], ""),
        ("ada", "acknowledge", "rule"),
    ),
    (
        "core.ui.alerts.actions.silence",
        lambda _: actions.silence(
            actions.Draft(("rule = Up",), "x", datetime.now(UTC), datetime.now(UTC) + HOUR)
        ),
        ("ada", "create", "silence"),
    ),
    (
        "core.ui.alerts.actions.end_silence",
        lambda _: actions.end_silence(1),
        ("ada", "end", "silence"),
    ),
    (
        "core.ui.alerts.channel_actions.resend",
        lambda here: channel_actions.resend(ids=[give_up(here)]),
        ("ada", "resend", "channel"),
    ),
    (
        "core.ui.alerts.channel_actions.send_now",
        lambda here: channel_actions.send_now([fail_and_wait(here)]),
        ("ada", "send now", "channel"),
    ),
    (
        "core.ui.alerts.channel_actions.drop",
        lambda here: channel_actions.drop([fail_and_wait(here)]),
        ("ada", "drop", "channel"),
    ),
    (
        "core.ui.alerts.channel_actions.create",
        lambda _: channel_actions.create(
            name="New", kind="webhook", address="https://127.0.0.1/x", shared=True
        ),
        ("ada", "create", "channel"),
    ),
    (
        "core.ui.alerts.channel_actions.change",
        lambda here: channel_actions.change(channel_id(here), enabled=False),
        ("ada", "change", "channel"),
    ),
    (
        "core.ui.alerts.channel_actions.subscribe",
        lambda here: channel_actions.subscribe(channel_id(here), {"severities": ["critical"]}),
        ("ada", "subscribe", "channel"),
    ),
    (
        "core.ui.alerts.channel_actions.delete",
        lambda here: channel_actions.delete(channel_id(here)),
        ("ada", "delete", "channel"),
    ),
    (
        "core.ui.rules.actions.save",
        lambda _: rule_actions.save(
            None, {"name": "Low", "expression": "score < 1"}, based_on=0, note=""
        ),
        ("ada", "create", "rule"),
    ),
    (
        "core.ui.rules.actions.switch",
        lambda _: rule_actions.switch(1, "enabled", to=False),
        ("ada", "disable", "rule"),
    ),
    (
        "core.ui.rules.actions.restore",
        lambda _: rule_actions.restore(1, 1, based_on=2),
        ("ada", "restore", "rule"),
    ),
    (
        "core.ui.rules.actions.duplicate",
        lambda _: rule_actions.duplicate(1),
        ("ada", "create", "rule"),
    ),
    (
        "core.ui.rules.actions.import_rules",
        lambda _: rule_actions.import_rules([rule("Filed", "score > 99")], {}),
        ("ada", "create", "rule"),
    ),
    (
        "core.ui.rules.actions.delete",
        lambda _: rule_actions.delete(1),
        ("ada", "delete", "rule"),
    ),
    ("core.ui.backtest_actions.ask", ask_run, ("ada", "ask", "backtest")),
    (
        "core.ui.backtest_actions.cancel",
        lambda here: backtest_actions.cancel(ask_run(here)),
        ("ada", "cancel", "backtest"),
    ),
    (
        "core.ui.backtest_actions.save",
        lambda _: backtest_actions.save(LOOSE),
        ("ada", "create", "profile"),
    ),
    ("core.ui.backtest_actions.look", look, ("ada", "look", "backtest")),
    (
        "core.ui.backtest_actions.put_in_force",
        lambda _: backtest_actions.put_in_force("balanced", LOOSE.version, next_hour()),
        ("ada", "put in force", "profile"),
    ),
    (
        "core.ui.account.end_other_sessions",
        lambda here: (sign_in_twice(here), account.end_other_sessions()),
        ("ada", "revoke", "person"),
    ),
    (
        "core.ui.account.end_session",
        lambda here: (sign_in_twice(here), account.end_session(other_session())),
        ("ada", "revoke", "person"),
    ),
    ("core.ui.account.confirm_factor", set_up_factor, ("ada", "factor on", "person")),
    (
        "core.ui.account.renew_codes",
        lambda _: account.renew_codes(PASSWORD),
        ("ada", "recovery codes", "person"),
    ),
    (
        "core.ui.account.remove_factor",
        lambda _: account.remove_factor(PASSWORD),
        ("ada", "factor off", "person"),
    ),
    (
        "core.ui.people.set_role",
        lambda _: everyone.set_role("tom", "analyst"),
        ("ada", "role", "person"),
    ),
    (
        "core.ui.people.end_session",
        lambda here: (start_for(here, "tom"), everyone.end_session("tom", session_of("tom"))),
        ("ada", "revoke", "person"),
    ),
    (
        "core.ui.people.end_sessions",
        lambda here: (start_for(here, "tom"), everyone.end_sessions("tom")),
        ("ada", "revoke", "person"),
    ),
    (
        "core.ui.people.reset_factor",
        lambda here: (give_factor(here, "tom"), everyone.reset_factor("tom")),
        ("ada", "factor off", "person"),
    ),
    (
        "core.ui.people.disable",
        lambda _: everyone.disable("tom"),
        ("ada", "disable", "person"),
    ),
    ("core.ui.people.enable", lambda _: everyone.enable("tom"), ("ada", "enable", "person")),
    (
        "core.ui.people.invite",
        lambda _: everyone.invite("trader", "Tim", HOUR),
        ("ada", "create", "invitation"),
    ),
    (
        "core.ui.people.withdraw",
        lambda _: everyone.withdraw(1),
        ("ada", "withdraw", "invitation"),
    ),
    (
        "core.ui.key_actions.create",
        lambda _: key_actions.create("Bot", ["signals.read"], 30),
        ("ada", "create", "key"),
    ),
    (
        "core.ui.key_actions.rotate",
        lambda _: key_actions.rotate(1, overlap_hours=1, days=30),
        ("ada", "rotate", "key"),
    ),
    (
        "core.ui.key_actions.revoke",
        lambda _: key_actions.revoke(2),
        ("ada", "end", "key"),
    ),
    (
        "core.ui.account.change_password",
        lambda _: account.change_password(PASSWORD, OTHER, OTHER),
        ("ada", "password", "person"),
    ),
]
_READS = "it reads"
_ASKED = "what programs ask for is noted as on the pages; see test_api"
# What opens a transaction, or hands the database on, and leaves nothing in the log; and why.
UNWRITTEN: Mapping[str, str] = {
    "core.accounts.home.open_accounts": "see take_over",
    "core.ui.entrance._ask_password.check": "see check_password",
    "core.ui.entrance._ask_code": "see check_code",
    "core.ui.account._confirm": "see check_password",
    "core.ui.account._confirm_password": "see check_password",
    "core.ui.account.begin_factor": "it counts for nothing before it is confirmed",
    "core.ui.entrance._draw_new_account": "noted by invitations.accept (see test_people) and create_first_admin (see below)",
    "core.ui.organisation.arrive": "noted by organisation.arrive; see test_organisation",
    "core.ui.organisation.draw_door": "going to sign in is no change",
    "core.ui.alerts.change_log._logs": _READS,
    "core.ui.loaders.operation._backups": _READS,
    "core.ui.pulse._pulse": _READS,
    "core.ui.pulse.read_accounts": _READS,
    "core.ui.pulse.read_pulse": _READS,
    "core.ui.record_file._pieces": _READS,
    "core.ui.record_file.serve_record": _READS,
    "core.ui.rules.trial._saved": _READS,
    "core.ui.rules.trial.ask_trial": _READS,
    "core.ui.rules.trials._do": _READS,
    "core.ui.rules.trials.ask": _READS,
    **dict.fromkeys(
        (
            "core.operations.own.alerts.end_silence",
            "core.operations.own.alerts.make_silence",
            "core.operations.own.alerts.take_note",
            "core.operations.own.backtests.cancel",
            "core.operations.own.backtests.request",
            "core.operations.own.rule_writing._save",
            "core.operations.own.rule_writing.delete",
            "core.operations.own.rule_writing.switch",
        ),
        _ASKED,
    ),
    "core.api.mcp.context": "see the operations",
    "core.api.serving.context": "see the operations",
    "core.api.serving.mark_used": "that a key was used is no change",
    "core.operations.own.rule_trials.preview": _READS,
    "core.operations.registry.reading": _READS,
    **dict.fromkeys(
        (
            "core.commands.export.command",
            "core.commands.replay.command",
            "core.commands.replay.fill",
            "core.commands.verify.command",
            "core.commands.worker._follow",
            "core.commands.worker._serve",
            "core.commands.worker.command",
        ),
        "see the commands below",
    ),
    "core.ui.alerts.channel_actions.test": "noted by core.jobs.sending.send_test; see test_channels",
    "core.commands.people.transaction": "noted by core.accounts; see the commands below",
    "core.accounts.home.take_over": "noted; see below",
    "core.accounts.sign_in._note_failure": "a lock is noted, see below",
    **dict.fromkeys(
        (
            "core.accounts.sign_in._try_code",
            "core.accounts.sign_in.check_code",
            "core.accounts.sign_in.check_password",
            "core.accounts.sign_in.confirm",
            "core.accounts.sign_in.confirm_password",
        ),
        "a sign-in is noted where its session begins; a recovery code that is used up is noted, see test_second_factor",
    ),
    "core.accounts.sign_in._admit": "sign-ins that were tried are kept by themselves for a month",
    "core.ui.entrance.open_session": "a ticket is part of a sign-in",
    "core.ui.routes.start_session": "noted by sessions.note_sign_in; see test_sessions",
    "core.ui.routes.end_session": "noted by sessions.end; see test_sessions",
    "core.ui.session.close_session": "noted by sessions.end; see test_sessions",
    "core.ui.session.current_session": "that a session was used is no change",
    "core.ui.health.databases": _READS,
    "core.ui.lifespan.reseal": "the same secrets, sealed with a newer key",
    "core.ui.lifespan.announcement": "the token of a server that nobody has an account on",
    "core.ui.page_bench._guest_on_demo": "a database that is made to be measured, and deleted",
    "core.ui.page_bench._fill": "a database that is made to be measured, and deleted",
    "core.commands.verify._rebuild": "sums follow from the record, and nobody chooses them",
}
# What the command line can do, by its words: what it leaves in the log, or why nothing.
COMMANDS: Mapping[str, Said | str] = {
    "user add": (COMMAND_LINE, "create", "person"),
    "user role": (COMMAND_LINE, "role", "person"),
    "user password": (COMMAND_LINE, "password", "person"),
    "user disable": (COMMAND_LINE, "disable", "person"),
    "user enable": (COMMAND_LINE, "enable", "person"),
    "user end-sessions": (COMMAND_LINE, "revoke", "person"),
    "user reset-factor": (COMMAND_LINE, "factor off", "person"),
    "user invite": (COMMAND_LINE, "create", "invitation"),
    "key create": (COMMAND_LINE, "create", "key"),
    "key rotate": (COMMAND_LINE, "rotate", "key"),
    "key revoke": (COMMAND_LINE, "end", "key"),
    "key list": _READS,
    "mcp": _ASKED,
    "backup list": _READS,
    "backup check": _READS,
    "restore": "the log comes back as it was",
    "user list": _READS,
    "alerts test": "it reads files",
    "alerts check": "it reads files",
    "settings": _READS,
    "doctor": _READS,
    "export": "it reads, and writes a file",
    "record": "it reads, and writes a recording",
    "verify": "sums follow from the record, and nobody chooses them",
    "bench": "a database that is made to be measured, and deleted",
    "replay": "the record, whose ledger is its log",
    "worker": "the record, whose ledger is its log",
}


class _Openers(ast.NodeVisitor):
    """Functions in which a transaction that writes is opened, or the database is handed on to somebody
    who may, by their names."""

    def __init__(self, module: str) -> None:
        self._at, self.found = [module], set[str]()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._at.append(node.name)
        self.generic_visit(node)
        self._at.pop()

    def visit_Call(self, node: ast.Call) -> None:
        match node:
            case ast.Call(func=ast.Attribute(attr="begin"), args=[], keywords=[]):
                self.found.add(".".join(self._at))
            case _ if any(_is_database(one) for one in node.args):
                self.found.add(".".join(self._at))
        self.generic_visit(node)


def _is_database(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr="engine" | "accounts") | ast.Name(id="engine"):
            return True
    return False


def writers() -> set[str]:
    found = set()
    for folder in ("ui", "commands", "accounts", "operations", "api"):
        for file in (ROOT / "core" / folder).rglob("*.py"):
            source = file.read_text(encoding="utf-8")
            assert ".commit(" not in source, f"{file} commits: open a transaction by begin()"
            openers = _Openers(".".join(file.relative_to(ROOT).with_suffix("").parts))
            openers.visit(ast.parse(source))
            found |= openers.found
    return found


def entries(engine: Engine) -> list[Said]:
    """Who did what to which kind of thing, the first one first."""
    with engine.connect() as conn:
        query = select(audit_log.c.by, audit_log.c.action, audit_log.c.subject)
        return [(row[0], row[1], row[2]) for row in conn.execute(query.order_by(audit_log.c.id))]


def test_every_write_of_a_person_is_known_to_be_in_the_log_or_why_not() -> None:
    known = [name for name, *_ in WRITES]
    assert len(known) == len(set(known))
    assert writers() == {*known, *UNWRITTEN}


def test_every_write_on_a_page_leaves_an_entry_with_who_did_it(fired: Desk) -> None:  # noqa: F811
    for name, write, said in WRITES:
        before = len(entries(fired.engine))
        write(fired)
        assert said in entries(fired.engine)[before:], name


def test_every_command_is_known_to_be_in_the_log_or_why_not() -> None:
    found = {_name(one) for one in cli.app.registered_commands}
    for group in cli.app.registered_groups:
        assert group.typer_instance is not None
        found |= {f"{group.name} {_name(one)}" for one in group.typer_instance.registered_commands}
    assert found == set(COMMANDS)


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__)


def test_what_is_done_on_the_command_line_is_in_the_log(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", str(sqlite_engine.url))
    monkeypatch.setenv("CRYPTOSATX_URL", "https://signals.example")
    for words in (
        ("add", "Ann", "--role", "analyst", "--password", PASSWORD),
        ("role", "ann", "trader"),
        ("password", "ann", "--password", OTHER),
        ("disable", "ann"),
        ("enable", "ann"),
        ("end-sessions", "ann"),
        ("reset-factor", "ann"),
        ("invite",),
    ):
        if words[0] == "end-sessions":
            give_session_and_factor(sqlite_engine)
        before = len(entries(sqlite_engine))
        result = CliRunner().invoke(cli.app, ["user", *words])
        assert result.exit_code == 0, result.output
        assert entries(sqlite_engine)[before:] == [COMMANDS[f"user {words[0]}"]]
    for words in (
        ("create", "ann", "--name", "Bot", "--scope", "signals.read"),
        ("rotate", "1"),
        ("revoke", "2"),
    ):
        before = len(entries(sqlite_engine))
        result = CliRunner().invoke(cli.app, ["key", *words])
        assert result.exit_code == 0, result.output
        assert COMMANDS[f"key {words[0]}"] in entries(sqlite_engine)[before:]


def give_session_and_factor(engine: Engine) -> None:
    sealer = Sealer([Fernet.generate_key().decode()])
    with engine.begin() as conn:
        ann = people.find_account(conn, "ann").person
        secret = second_factor.begin(conn, ann.id or 0, sealer, now=NOW)
        second_factor.confirm(conn, ann, pyotp.TOTP(secret).at(NOW), sealer, now=NOW)
        sessions.start(conn, ann.id, now=NOW)


def test_every_entry_can_be_said_in_words_and_found_by_its_kind(fired: Desk) -> None:  # noqa: F811
    said = [entry for *_, entry in WRITES]
    said += [entry for entry in COMMANDS.values() if not isinstance(entry, str)]
    assert {action for _, action, _ in said} | {"sign in", "sign out"} < set(VERBS)
    assert {subject for *_, subject in said} | {"address"} == set(SUBJECTS.values())


# People


def changes(engine: Engine) -> list[Change]:
    """The first one first."""
    with engine.connect() as conn:
        return audit.list_changes(conn)[::-1]


def add(engine: Engine, username: str, role: str = "trader") -> people.Person:
    with engine.begin() as conn:
        return people.create_user(
            conn, username=username, name=username.title(), role=role, password=PASSWORD, now=NOW,
            by="root",
        )  # fmt: skip


def test_what_is_done_to_people_is_written_down_without_their_passwords(engine: Engine) -> None:
    add(engine, "root", "admin")
    ann = add(engine, "ann")
    with engine.begin() as conn:
        sessions.start(conn, ann.id, now=NOW)
        people.set_role(conn, "Ann", "analyst", now=NOW, by="root")
        people.set_role(conn, "ann", "analyst", now=NOW, by="root")
        people.set_password(conn, "ann", OTHER, now=NOW, by="ann")
        people.disable(conn, "ann", now=NOW, by="root")
        people.disable(conn, "ann", now=NOW, by="root")
        people.enable(conn, "ann", now=NOW, by="root")
        hashes = list(conn.scalars(select(users.c.password_hash)))
    told = [(one.by, one.action, one.before, one.after) for one in changes(engine)[1:]]
    assert told == [
        ("root", "create", None, {"role": "trader", "name": "Ann"}),
        ("root", "role", {"role": "trader"}, {"role": "analyst"}),
        ("ann", "password", None, {"sessions_ended": 1}),
        ("root", "disable", None, {"sessions_ended": 0, "keys_revoked": 0}),
        ("root", "enable", None, None),
    ]
    assert {(one.subject, one.subject_id, one.name) for one in changes(engine)[1:]} == {
        ("person", str(ann.id), "ann")
    }
    with engine.connect() as conn:
        everything = str(conn.execute(select(audit_log)).all())
    assert not [secret for secret in (PASSWORD, OTHER, *hashes) if secret in everything]


def test_what_does_not_happen_is_not_written_down(engine: Engine) -> None:
    add(engine, "root", "admin")

    def change_and_fail() -> None:
        with engine.begin() as conn:
            people.set_password(conn, "root", OTHER, now=NOW, by="root")
            people.disable(conn, "root", now=NOW, by="root")

    with pytest.raises(AccountError, match="last administrator"):
        change_and_fail()
    assert [one.name for one in changes(engine)] == ["root"]


def test_the_first_administrator_is_written_down_as_having_made_themself(engine: Engine) -> None:
    with engine.begin() as conn:
        token = setup.new_setup_token(conn, now=NOW)
        setup.create_first_admin(
            conn, token or "", username=" Root", name="Root", password=PASSWORD, now=NOW
        )
    (made,) = changes(engine)
    assert (made.by, made.action, made.name, made.at) == ("root", "create", "root", NOW)


def try_to_sign_in(
    engine: Engine, times: int, now: datetime, username: str = "ann", address: str = "192.0.2.1"
) -> None:
    for _ in range(times):
        with pytest.raises(AccessDenied):
            check_password(engine, username, "not the password", place=Origin.of(address), now=now)


def locks(engine: Engine) -> list[tuple[str, str, Mapping[str, Any] | None]]:
    return [(one.subject, one.name, one.after) for one in changes(engine) if one.by == SIGN_IN]


def test_an_account_that_has_to_wait_is_written_down_once_for_a_row_of_failures(
    engine: Engine,
) -> None:
    add(engine, "ann")
    try_to_sign_in(engine, PER_ACCOUNT.free - 1, NOW)
    assert locks(engine) == []
    try_to_sign_in(engine, 1, NOW)
    lock = ("person", "ann", {"failures": PER_ACCOUNT.free, "last_from": "192.0.2.1"})
    assert locks(engine) == [lock]
    for minutes in range(1, 4):
        try_to_sign_in(engine, 1, NOW + timedelta(minutes=minutes))
    assert locks(engine) == [lock]
    later = NOW + timedelta(hours=1)
    check_password(engine, "ann", PASSWORD, place=Origin.of("192.0.2.1"), now=later)
    try_to_sign_in(engine, PER_ACCOUNT.free, later + timedelta(seconds=1))
    assert locks(engine) == [lock, lock]


def test_an_address_that_has_to_wait_is_written_down_and_names_nobody_has_are_not(
    engine: Engine,
) -> None:
    for number in range(PER_ADDRESS.free):
        try_to_sign_in(engine, 1, NOW, username=f"my secret {number}")
    ((subject, name, _),) = locks(engine)
    assert (subject, name) == ("address", "192.0.2.1")
    assert "my secret" not in str(changes(engine))


# Where people live beside the market


@pytest.fixture
def apart(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A live market in one file and people in another."""
    for name in ("live", "accounts"):
        (tmp_path / f"{name}.sqlite").write_bytes(sqlite_template.read_bytes())
    accounts = open_accounts(load_settings({"CRYPTOSATX_DATA": str(tmp_path)}))
    add(accounts, "ada", "admin")
    accounts.dispose()
    yield from serve(monkeypatch, "", tmp_path)


def note(engine: Engine, number: int, by: str = "ada") -> None:
    with engine.begin() as conn:
        audit.note(
            conn, at=NOW + timedelta(minutes=number), by=by, action="change", subject="rule",
            subject_id=number, name=f"rule {number}",
        )  # fmt: skip


def test_the_logs_of_the_market_and_of_people_are_one_list_page_by_page(apart: Desk) -> None:
    assert apart.here.accounts is not apart.here.engine
    for number in range(1, 8):
        note(apart.here.accounts if number % 3 else apart.engine, number, f"by {number % 2}")
    pages, behind = [], Place()
    while found := load_changes(Wanted(), 3, behind):
        pages.append([one.change.name for one in found])
        behind = behind.after(found)
    assert pages == [
        ["rule 7", "rule 6", "rule 5"],
        ["rule 4", "rule 3", "rule 2"],
        ["rule 1", "ada"],
    ]
    between = Wanted(since=NOW + timedelta(minutes=2), until=NOW + timedelta(minutes=5))
    assert [one.change.name for one in load_changes(between, 9)] == ["rule 4", "rule 3", "rule 2"]
    assert [one.change.name for one in load_changes(Wanted(by="by 0"), 2)] == ["rule 6", "rule 4"]
    assert [one.change.name for one in load_changes(Wanted("person"), 9)] == ["ada"]
    assert load_authors() == ["by 0", "by 1", "root"]
    listed = list(csv.DictReader(io.StringIO(changes_csv(load_changes(Wanted(), 99)))))
    assert [(one["log"], one["name"]) for one in listed][:2] == [
        ("people", "rule 7"),
        ("market", "rule 6"),
    ]


def test_the_page_shows_what_was_done_to_people_and_what_will_stand_there(apart: Desk) -> None:
    with apart.here.accounts.begin() as conn:
        people.disable(conn, add_in(conn, "tom"), now=NOW)
    said = shown(page("Changes"))
    assert "command line switched off person tom" in said
    assert "root made person ada" in said
    assert "switched off" not in shown(page("Changes", by="root"))
    assert "No change passes these filters" in shown(page("Changes", of="Rules"))


def add_in(conn: Any, username: str) -> str:
    return people.create_user(
        conn, username=username, name=username, role="trader", password=PASSWORD, now=NOW
    ).username


def test_an_empty_log_says_what_will_stand_there(
    apart: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.ui.alerts import changes as view

    monkeypatch.setattr(view, "load_changes", lambda *_: [])
    said = shown(page("Changes"))
    assert "No change is written down yet" in said
    assert "accounts, roles, passwords and sessions" in said


def test_entries_about_people_cannot_be_changed_where_they_live(apart: Desk) -> None:
    for statement in (update(audit_log).values(by="eve"), delete(audit_log)):
        with (
            pytest.raises(DBAPIError, match="only ever added"),
            apart.here.accounts.begin() as conn,
        ):
            conn.execute(statement)
    assert entries(apart.here.accounts) == [("root", "create", "person")]


def test_people_who_are_taken_over_are_written_down(tmp_path: Path, sqlite_template: Path) -> None:
    for name in ("live", "accounts"):
        (tmp_path / f"{name}.sqlite").write_bytes(sqlite_template.read_bytes())
    market = open_store(f"sqlite:///{tmp_path / 'live.sqlite'}", live_market().key)
    add(market, "tom")
    market.dispose()
    accounts = open_accounts(load_settings({"CRYPTOSATX_DATA": str(tmp_path)}))
    (taken,) = changes(accounts)
    assert (taken.by, taken.action, taken.name) == (START, "take over", "tom")
    assert taken.after == {"role": "trader", "name": "Tom", "disabled": False}
    accounts.dispose()
