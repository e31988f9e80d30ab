"""`python -m core settings`: every setting there is, and how this machine is set up."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.table import Column, Table

from core.commands.console import out
from core.production import missing_for_production
from core.settings import (
    Settings,
    describe_settings,
    exposed_secrets,
    load_settings,
    unknown_settings,
)
from core.settings_table import settings_table


def command(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table of README, with defaults only.")
    ] = False,
) -> None:
    """Every setting: its value, where it comes from and what it is for; secrets are masked."""
    if markdown:
        typer.echo(settings_table(), nl=False)
        return
    settings = load_settings()
    value, purpose = (Column(title, overflow="fold") for title in ("value", "what for"))
    table = Table("setting", value, Column("from", overflow="fold"), purpose)
    for setting in describe_settings(settings):
        table.add_row(setting.name, setting.value, setting.source, setting.description)
    out.print(table)
    for line in _remarks(settings):
        out.print(line, soft_wrap=True, markup=False)


def _remarks(settings: Settings) -> list[str]:
    unknown = unknown_settings(os.environ)
    told = [f"{name} is set but is no setting of CryptoSatX; is it misspelt?" for name in unknown]
    told += exposed_secrets(settings)
    if missing := missing_for_production(settings):
        refuses = "is refused" if settings.env == "production" else "would be refused"
        told += [f"A start in production {refuses}:", *(f"- {sentence}" for sentence in missing)]
    return told
