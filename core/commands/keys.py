"""`python -m core key`: keys by which programs ask the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from core.accounts import keys
from core.commands.console import out
from core.commands.people import transaction
from core.errors import AccountError

app = typer.Typer(help="Keys by which programs ask the API.", no_args_is_help=True)
_BY = "command line"
Number = Annotated[int, typer.Argument(help="Number of the key, as `key list` shows it.")]
Days = Annotated[int, typer.Option(help=f"Days until it expires, {keys.LONGEST.days} at most.")]


@app.command("create")
def create(
    owner: Annotated[str, typer.Argument(help="Username of the person it speaks for.")],
    name: Annotated[str, typer.Option(help="What will use it.")],
    scope: Annotated[
        list[str], typer.Option(help="What it may ask for, such as signals.read; several times.")
    ],
    days: Days = keys.USUAL.days,
) -> None:
    """Make a key; it is shown this once."""
    _refuse_unknown(scope)
    now = datetime.now(UTC)
    ends = now + timedelta(days=days)
    with transaction() as conn:
        key, text = keys.create(
            conn, owner, name=name, scopes=scope, expires_at=ends, by=_BY, now=now
        )
    _show(key, text)


@app.command("list")
def list_(
    owner: Annotated[str | None, typer.Argument(help="Only the keys of this person.")] = None,
) -> None:
    """Keys with what they may ask for; never the keys themselves."""
    table = Table(
        "number", "owner", "name", "begins with", "state", "scopes", "expires", "last used"
    )
    now = datetime.now(UTC)
    with transaction() as conn:
        for key in keys.list_keys(conn, owner):
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
            table.add_row(
                str(key.id), key.owner, key.name, key.hint, key.state(now), " ".join(key.scopes),
                f"{key.expires_at:%Y-%m-%d %H:%M}", used,
            )  # fmt: skip
    out.print(table)


@app.command("rotate")
def rotate(
    number: Number,
    overlap: Annotated[int, typer.Option(help="Hours for which the old one still opens.")] = 24,
    days: Days = keys.USUAL.days,
) -> None:
    """Make a key in the place of another, which still opens for a while."""
    now = datetime.now(UTC)
    with transaction() as conn:
        key, text = keys.rotate(
            conn, number, old_until=now + timedelta(hours=overlap),
            expires_at=now + timedelta(days=days), by=_BY, now=now,
        )  # fmt: skip
        old = keys.load(conn, number)
    _show(key, text)
    out.print(f"The old one, {old.hint}..., opens until {old.expires_at:%Y-%m-%d %H:%M} UTC.")


@app.command("revoke")
def revoke(number: Number) -> None:
    """End a key at once."""
    with transaction() as conn:
        key = keys.revoke(conn, number, by=_BY, now=datetime.now(UTC))
    out.print(f"{key.name} of {key.owner} opens nothing any more.")


def _refuse_unknown(scopes: list[str]) -> None:
    # Loaded only now: it is made from everything there is.
    from core.operations.every import all_operations

    known = all_operations().scopes
    strange = [scope for scope in scopes if scope not in known]
    if strange:
        raise AccountError(f"There is no scope {strange[0]}: there are {', '.join(known)}.")


def _show(key: keys.Key, text: str) -> None:
    out.print(
        f"Key {key.id} of {key.owner}, until {key.expires_at:%Y-%m-%d %H:%M} UTC. It is shown this once:"
    )
    out.print(text, markup=False, soft_wrap=True)
