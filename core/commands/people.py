"""`python -m core user`: people and their roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Connection

from core.accounts import people
from core.accounts.home import open_accounts
from core.commands.console import out
from core.settings import load_settings

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
    table = Table("username", "name", "role", "state", "since")
    with transaction() as conn:
        for account in people.list_people(conn):
            person = account.person
            state = "disabled" if account.disabled else "active"
            since = f"{account.created_at:%Y-%m-%d}"
            table.add_row(person.username, person.name, person.role, state, since)
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
    out.print(f"{username} has a new password and must sign in again.")


@app.command()
def disable(username: Username) -> None:
    """Refuse a person from now on, and end their sessions."""
    with transaction() as conn:
        people.disable(conn, username, now=_now())
    out.print(f"{username} can no longer sign in.")


@app.command()
def enable(username: Username) -> None:
    """Let a disabled person sign in again."""
    with transaction() as conn:
        people.enable(conn, username, now=_now())
    out.print(f"{username} can sign in again.")
