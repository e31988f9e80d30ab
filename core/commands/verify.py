"""`python -m core verify`: whether the record is what was written, and its head to publish."""

from __future__ import annotations

from typing import Annotated

import typer

from core.commands.console import out
from core.commands.stored import progress_bar, stored_record
from core.store.entries import snapshot
from core.store.verifying import (
    Published,
    Verified,
    parse_published,
    still_there,
    unguarded_words,
    verify,
)


def command(
    published: Annotated[
        str | None,
        typer.Option(help="A head that was noted before, LENGTH:HASH: is it still in the chain?"),
    ] = None,
) -> None:
    """Walk the ledger from its beginning and name the first row that is not what was written; 1 if
    there is one. Prints the head, which can be published."""
    noted = None if published is None else parse_published(published)
    with stored_record() as (market, engine), snapshot(engine) as conn:
        with progress_bar("entries") as bar:
            task = bar.add_task("verified", total=None)
            found = verify(conn, lambda done, of: bar.update(task, completed=done, total=of))
        out.print(f"{market.label}: {_words(found)}", soft_wrap=True, markup=False)
        faults = [found.fault] if found.fault else []
        if found.unguarded:
            faults.append(unguarded_words(found.unguarded))
        if noted is not None and not found.fault and not still_there(conn, noted):
            faults.append(_cut(noted, found))
    for fault in faults:
        out.print(fault, soft_wrap=True, markup=False)
    if faults:
        raise typer.Exit(1)
    if noted is not None:
        out.print(f"The published head of {noted.length:,} entries is in the chain.")
    out.print(f"Head: {Published(found.length, found.head)}", soft_wrap=True, markup=False)


def _words(found: Verified) -> str:
    if found.fault:
        return f"the ledger holds for its first {found.length:,} entries and no further."
    return f"all {found.length:,} entries of the ledger are what was written."


def _cut(noted: Published, found: Verified) -> str:
    has = "has another hash there" if noted.length <= found.length else "ends before it"
    return (
        f"The published head {noted} is not in the chain, which {has}: since it was published, the "
        "record was cut or rewritten."
    )
