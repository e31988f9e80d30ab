"""`python -m core backup` and `restore`: an installation as a file, and back."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Column, Table

from core.accounts.home import open_accounts
from core.commands.console import beside, out
from core.errors import BackupError
from core.keeping.backup import check_backup, find_backup, list_backups, mode_at
from core.keeping.copying import Progress as Told
from core.keeping.encryption import Keys, keys_of, seal_of
from core.keeping.manifest import Label
from core.keeping.places import Place, open_place
from core.keeping.restoring import Restored
from core.keeping.restoring import restore as bring_back
from core.keeping.schedule import back_up
from core.settings import Settings, load_settings

app = typer.Typer(
    help="Back the installation up: databases, and what lies beside them. Others may go on writing.",
    invoke_without_command=True,
)
At = Annotated[
    str | None,
    typer.Option(help="Folder or s3://BUCKET/PREFIX; CRYPTOSATX_BACKUP_TO if not given."),
]
Identity = Annotated[
    Path | None, typer.Option(help="File with the private key of age, as age-keygen writes it.")
]
Name = Annotated[str | None, typer.Argument(help="Name of the backup; the newest if not given.")]


@app.callback()
def make(
    asked: typer.Context,
    to: At = None,
    unencrypted: Annotated[
        bool, typer.Option("--unencrypted", help="Leave it open, and the key of secrets out.")
    ] = False,
) -> None:
    """Back the installation up, whole or not at all."""
    if asked.invoked_subcommand is not None:
        return
    settings = load_settings()
    place, seal = _place(settings, to), seal_of(settings, unencrypted=unencrypted)
    accounts, began = open_accounts(settings), monotonic()
    try:
        with _bars() as progress:
            label = back_up(settings, accounts, place, seal, progress)
    finally:
        accounts.dispose()
    said = f"{label.name} at {place.words}: {_size(label.bytes)} in {monotonic() - began:.1f} s."
    out.print(said, soft_wrap=True, markup=False)
    for one in label.manifest.databases:
        out.print(f"{one.file}: head {one.published}", soft_wrap=True, markup=False)


@app.command("list")
def list_(at: At = None) -> None:
    """Every backup there, the newest first by the time (UTC) in its name, and what it holds."""
    place = _place(load_settings(), at)
    kept = list_backups(place)
    size = Column("size", justify="right")
    table = Table(Column("name", no_wrap=True), size, "encrypted", "schema", "entries")
    for label in kept.labels:
        told = label.manifest
        entries = f"{sum(one.length for one in told.databases):,}"
        try:
            mode: str = mode_at(place, label.name)
        except BackupError:  # Empty in a bucket, or deleted just now: the others are told.
            mode = "cannot be read"
        table.add_row(label.name, _size(label.bytes), mode, told.revision, entries)
    out.print(table)
    for name in kept.unfinished:
        out.print(f"{name} was not finished.", markup=False)
    for name, why in kept.damaged.items():
        out.print(f"{name} is left out: {why}", soft_wrap=True, markup=False)


@app.command("check")
def check(name: Name = None, at: At = None, identity: Identity = None) -> None:
    """Read a backup to its end: is it what was written? With the key its inside is looked at too."""
    settings = load_settings()
    place = _place(settings, at)
    label = find_backup(place, name)
    keys = keys_of(settings, identity)
    opens = keys if keys.identities or keys.passphrase else None
    with _bars() as progress:
        inside = check_backup(place, label, opens, progress)
    told = (
        "every file in it is what was written"
        if inside
        else ("it is what was written; it was not opened, as the key is not here")
    )
    out.print(f"{label.name}: {told}.", soft_wrap=True, markup=False)
    if mode_at(place, label.name) == "unencrypted" and not keys.unencrypted:
        said = "It is not encrypted, so anybody who may write there can have made it: restore refuses it."
        out.print(said, soft_wrap=True, markup=False)


def restore(
    name: Name = None,
    at: At = None,
    identity: Identity = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Keep aside what is there, and take its place.")
    ] = False,
    rehearse: Annotated[
        bool, typer.Option("--check", help="Only try: restore somewhere else, verify, delete.")
    ] = False,
    sign_out: Annotated[
        bool, typer.Option("--sign-out", help="End every session that was open at the backup.")
    ] = False,
    unencrypted: Annotated[
        bool,
        typer.Option(
            "--unencrypted", help="Take one that is not encrypted: who made it is unknown."
        ),
    ] = False,
) -> None:
    """Bring a backup back, once its checksums, its schema and its ledger have been verified."""
    settings = load_settings()
    place = _place(settings, at)
    label = find_backup(place, name)
    if name is None:
        out.print(f"The newest is {label.name}.", soft_wrap=True, markup=False)
        for newer in list_backups(place).unfinished:
            if newer.removeprefix(".") > label.name:
                said = f"{newer} is newer, and was not finished: it is left out."
                out.print(said, soft_wrap=True, markup=False)
    keys, began = keys_of(settings, identity, unencrypted=unencrypted), monotonic()
    keys = _asked_for(keys, place, label)
    with _bars() as progress:
        found = bring_back(
            settings,
            place,
            label,
            keys,
            replace=replace,
            rehearse=rehearse,
            sign_out=sign_out,
            progress=progress,
        )
    for line in _words(label, found, monotonic() - began):
        out.print(line, soft_wrap=True, markup=False)


def _words(label: Label, found: Restored, seconds: float) -> Iterator[str]:
    for file, verified in found.verified.items():
        yield f"{file}: all {verified.length:,} entries of the ledger are what was written."
    if not found.in_place:
        yield f"{label.name} can be restored: tried in {seconds:.1f} s. Nothing was put in place."
        return
    yield f"{label.name} is restored, in {seconds:.1f} s."
    if found.aside is not None:
        yield f"What was there is kept as {found.aside}."
    made = f"{found.manifest.began_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    yield (
        f"People, their roles and their keys are as they were at {made}: what was taken from somebody "
        "since has to be taken again."
    )


def _asked_for(keys: Keys, place: Place, label: Label) -> Keys:
    """With the passphrase that somebody types, where one is needed and not set."""
    if (
        keys.passphrase is None
        and sys.stdin.isatty()
        and mode_at(place, label.name) == "passphrase"
    ):
        typed = typer.prompt("Passphrase of the backup", hide_input=True)
        return dataclasses.replace(keys, passphrase=typed)
    return keys


def _place(settings: Settings, at: str | None) -> Place:
    if at is None:
        return open_place(settings)
    return open_place(settings.model_copy(update={"backup_to": at}))


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@contextmanager
def _bars() -> Iterator[Told]:
    """A bar for each thing that is done, where somebody looks on."""
    columns = (TextColumn("{task.description:>28}"), BarColumn(), TaskProgressColumn(), Elapsed())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=beside, disable=not beside.is_terminal) as bars:

        def tell(words: str, done: int, of: int) -> None:
            if words not in tasks:
                tasks[words] = bars.add_task(words, total=of or None)
            bars.update(tasks[words], completed=done, total=of or None)

        yield tell
