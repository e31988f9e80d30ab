"""`python -m core export`: the record as a file that others can recompute every figure from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.commands.console import out
from core.commands.stored import stored_record
from core.errors import SettingsError
from core.store import ledger
from core.store.entries import snapshot
from core.store.export import FORMS, Chosen, Form, write_record
from core.store.verifying import Published


def command(
    file: Annotated[Path, typer.Argument(help="Where to write; .csv, .parquet or .jsonl.")],
    format: Annotated[
        str | None, typer.Option(help="csv, parquet or jsonl, where the name does not tell.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Only signals of this profile.")] = None,
    version: Annotated[str | None, typer.Option(help="Only of this version of it.")] = None,
    judge: Annotated[
        str | None, typer.Option(help="Only verdicts of: rules, or 'MODEL / PROMPT VERSION'.")
    ] = None,
) -> None:
    """Write the record: CSV and Parquet a row per outcome and judge, JSON lines the whole ledger."""
    form = _form(file, format)
    chosen = Chosen(profile, version, judge)
    # Beside it until it is whole, so that half a file is never taken for the record.
    unfinished = file.with_name(f".{file.name}.unfinished")
    with stored_record() as (market, engine), snapshot(engine) as conn:
        length, head = ledger.head(conn)
        try:
            with unfinished.open("wb") as target:
                for piece in write_record(conn, form, chosen):
                    target.write(piece)
            unfinished.replace(file)
        except OSError as error:
            raise SettingsError(f"{file} cannot be written: {error.strerror}.") from error
        finally:
            unfinished.unlink(missing_ok=True)
    out.print(f"{market.label}: {file}, {file.stat().st_size:,} bytes.", soft_wrap=True)
    out.print(f"Head: {Published(length, head)}", soft_wrap=True, markup=False)


def _form(file: Path, given: str | None) -> Form:
    wanted = (given or file.suffix.removeprefix(".")).lower()
    for form in FORMS:
        if form == wanted:
            return form
    raise SettingsError(f"{wanted or file} is no format; choose csv, parquet or jsonl.")
