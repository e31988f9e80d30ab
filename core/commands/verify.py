"""`python -m core verify`: whether the record is what was written, and its head to publish."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection, Engine

from core.commands.console import out
from core.commands.stored import progress_bar, stored_record
from core.jobs.factor_days import check_factor_days, sum_factor_days
from core.store.entries import snapshot
from core.store.factor_days import forget_days
from core.store.signals import market_range
from core.store.tallies import rebuild_tallies
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
    ledger_only: Annotated[
        bool, typer.Option("--ledger-only", help="Leave the sums out, which take the longest.")
    ] = False,
    rebuild_sums: Annotated[
        bool, typer.Option("--rebuild-sums", help="First make all sums anew from what is stored.")
    ] = False,
) -> None:
    """Walk the ledger from its beginning and name the first row that is not what was written; 1 if
    there is one. Prints the head, which can be published."""
    noted = None if published is None else parse_published(published)
    with stored_record() as (market, engine):
        if rebuild_sums:
            _rebuild(engine)
        with snapshot(engine) as conn:
            with progress_bar("entries") as bar:
                task = bar.add_task("verified", total=None)
                found = verify(
                    conn,
                    lambda done, of: bar.update(task, completed=done, total=of),
                    with_sums=not ledger_only,
                )
            out.print(f"{market.label}: {_words(found)}", soft_wrap=True, markup=False)
            faults = [found.fault] if found.fault else []
            if not found.fault and not ledger_only:
                faults += _wrong_factors(conn)
            if noted is not None and not found.fault and not still_there(conn, noted):
                faults.append(_cut(noted, found))
        if found.unguarded:
            faults.append(unguarded_words(found.unguarded))
    for fault in faults:
        out.print(fault, soft_wrap=True, markup=False)
    if faults:
        raise typer.Exit(1)
    if noted is not None:
        out.print(f"The published head of {noted.length:,} entries is in the chain.")
    out.print(f"Head: {Published(found.length, found.head)}", soft_wrap=True, markup=False)


def _rebuild(engine: Engine) -> None:
    with engine.begin() as conn:
        rebuild_tallies(conn)
        forget_days(conn)
        span = market_range(conn)
    if span is not None:
        sum_factor_days(engine, *span)


def _wrong_factors(conn: Connection) -> list[str]:
    with progress_bar("days") as bar:
        task = bar.add_task("factors", total=None)
        fault = check_factor_days(conn, lambda done, of: bar.update(task, completed=done, total=of))
    if fault is None:
        return []
    return [f"{fault}. python -m core verify --rebuild-sums makes them anew."]


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
