"""`python -m core user`: people and their roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Connection

from core.accounts import ending, invitations, people, second_factor
from core.accounts.home import open_accounts
from core.accounts.people import Account
from core.commands.console import out
from core.errors import SettingsError
from core.settings import load_settings
from core.store.audit import COMMAND_LINE

app = typer.Typer(help="People and their roles.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="Name the person signs in with.")]
Role = Annotated[str, typer.Argument(help="trader, analyst or admin.")]
Password = Annotated[
    str, typer.Option(prompt=True, confirmation_prompt=True, hide_input=True, help="Asked for.")
]


@contextmanager
def transaction() -> Iterator[Connection]:
    """A transaction in the database of people."""
    engine = open_accounts(load_settings())
    try:
        with engine.begin() as conn:
            yield conn
    finally:
        engine.dispose()


def _now() -> datetime:
    return datetime.now(UTC)


@app.command("list")
def list_() -> None:
    """Everyone who has an account."""
    table = Table("username", "name", "role", "state", "signs in by", "since", "last seen")
    with transaction() as conn:
        for account in people.list_people(conn):
            person = account.person
            state = "disabled" if account.disabled else "active"
            since = f"{account.created_at:%Y-%m-%d}"
            seen = f"{account.seen_at:%Y-%m-%d %H:%M}" if account.seen_at else "never"
            way = _way(account)
            table.add_row(person.username, person.name, person.role, state, way, since, seen)
    out.print(table)


@app.command()
def add(
    username: Username,
    password: Password,
    role: Annotated[str, typer.Option(help="trader, analyst or admin.")] = "trader",
    name: Annotated[str, typer.Option(help="Name to show; the username if not given.")] = "",
) -> None:
    """Make an account."""
    with transaction() as conn:
        person = people.create_user(
            conn,
            username=username,
            name=name or username,
            role=role,
            password=password,
            now=_now(),
        )
    out.print(f"{person.username} can sign in as {person.role}.")


@app.command()
def role(username: Username, role: Role) -> None:
    """Give a person another role."""
    with transaction() as conn:
        people.set_role(conn, username, role, now=_now())
    out.print(f"{username} is now {role}.")


@app.command()
def password(username: Username, password: Password) -> None:
    """Set a new password, and end the sessions opened with the old one."""
    with transaction() as conn:
        people.set_password(conn, username, password, now=_now())
        keys = _keys_left(conn, username)
    out.print(f"{username} has a new password and must sign in again.")
    out.print(keys)


@app.command()
def disable(username: Username) -> None:
    """Refuse a person from now on, end their sessions, and revoke their keys."""
    with transaction() as conn:
        people.disable(conn, username, now=_now())
        keys = _keys_left(conn, username)
    out.print(f"{username} can no longer sign in.")
    out.print(keys)


@app.command()
def enable(username: Username) -> None:
    """Let a disabled person sign in again."""
    with transaction() as conn:
        people.enable(conn, username, now=_now())
    out.print(f"{username} can sign in again.")


@app.command("end-sessions")
def end_sessions(username: Username) -> None:
    """Sign a person out everywhere."""
    with transaction() as conn:
        ended = people.end_sessions(conn, username, now=_now())
        keys = _keys_left(conn, username)
    out.print(f"{ended} sessions of {username} ended.")
    out.print(keys)


@app.command("reset-factor")
def reset_factor(username: Username) -> None:
    """Take away a second factor whose device is lost, and end the person's sessions."""
    with transaction() as conn:
        person = people.find_account(conn, username).person
        second_factor.remove(conn, person, by=COMMAND_LINE, now=_now())
        keys = _keys_left(conn, username)
    out.print(f"{username} signs in with the password alone until they set up another one.")
    out.print(keys)


@app.command()
def invite(
    role: Annotated[str, typer.Option(help="trader, analyst or admin.")] = "trader",
    note: Annotated[str, typer.Option(help="Whom it is for.")] = "",
    hours: Annotated[float, typer.Option(help="How long it is good for.")] = 72.0,
) -> None:
    """Print a link by which somebody makes an account of their own, once."""
    url = load_settings().url
    if url is None:
        raise SettingsError("Set CRYPTOSATX_URL first: the link begins with it.")
    with transaction() as conn:
        token = invitations.invite(
            conn, role=role, by=COMMAND_LINE, now=_now(), note=note, lasts=timedelta(hours=hours)
        )
    out.print(f"{url.rstrip('/')}/join?token={token}", soft_wrap=True)


def _keys_left(conn: Connection, username: str) -> str:
    """Whether programs still get in for a person whose sessions have ended."""
    person = people.find_account(conn, username).person
    left = ending.count_keys(conn, person.id, now=_now())
    if not left:
        return f"No key of {username} opens anything."
    which = "key stays good until it is" if left == 1 else "keys stay good until they are"
    return f"{left} {which} revoked: see `python -m core key list {person.username}`."


def _way(account: Account) -> str:
    if account.issuer is not None:
        return account.issuer
    return "password and code" if account.second_factor else "password"
