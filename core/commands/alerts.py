"""`python -m core alerts`: rules as files, and their tests."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from core.alerts.rule_files import FileRefused, Here, read_rules
from core.alerts.rule_tests import run_tests
from core.alerts.saving import further_faults
from core.commands.console import out
from core.commands.stored import shared_channels
from core.errors import SettingsError

app = typer.Typer(help="Check and test files of alert rules.", no_args_is_help=True)
Files = Annotated[list[Path], typer.Argument(help="YAML files.")]


@app.command("test")
def test(files: Files) -> None:
    """Run the tests of rules in these files; 1 when one fails or a file has faults."""
    good = True
    for file in files:
        try:
            tested = run_tests(_read(file), str(file), partial(_beside, file))
        except FileRefused as refused:
            good = False
            _say(str(refused))
            continue
        for failure in tested.failures:
            _say(str(failure))
        failed = len({failure.test for failure in tested.failures})
        good &= not failed
        verdict = f"{failed} failed" if failed else "all passed"
        _say(f"{file}: {len(tested.tests)} tests, {tested.checks} checks, {verdict}.")
    raise typer.Exit(0 if good else 1)


@app.command("check")
def check(
    files: Files,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 for warnings too, not for faults alone.")
    ] = False,
) -> None:
    """Say what would keep the rules in these files from being saved, and what is odd about them.

    Channels are looked up where something is stored for the market. 1 when something is wrong.
    """
    channels, why = shared_channels()
    here = Here(channels, further_faults)
    good, unlooked = True, False
    for file in files:
        try:
            found = read_rules(_read(file), str(file), here)
        except FileRefused as refused:
            good = False
            _say("\n".join(map(str, (*refused.faults, *refused.warnings))))
            continue
        for warning in found.warnings:
            _say(str(warning))
        good &= not (strict and found.warnings)
        unlooked |= channels is None and found.asks_for_channels
        odd = len(found.warnings)
        verdict = f"{odd} warning{'s' * (odd > 1)}" if odd else "all right"
        _say(f"{file}: {len(found.rules)} rules, {verdict}.")
    if unlooked:
        _say(f"Whether the channels exist could not be looked up: {why}")
    raise typer.Exit(0 if good else 1)


def _say(text: str) -> None:
    out.print(text, soft_wrap=True, markup=False)


def _beside(file: Path, name: str) -> str:
    try:
        return file.parent.joinpath(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OSError(f"is no text: {error.reason}") from error


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is no text in UTF-8.") from error
