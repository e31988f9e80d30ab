"""The command line: `python -m core COMMAND`. Errors of ours are one sentence and exit code 1."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from sqlalchemy.exc import OperationalError

from core.commands import checks, people, replay
from core.commands.console import beside
from core.errors import CryptoSatXError

app = typer.Typer(
    help="CryptoSatX: signals for crypto perpetual futures that can be traced and checked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("replay")(replay.command)
app.add_typer(people.app, name="user")
app.command("settings")(checks.settings)
app.command("doctor")(checks.doctor)


@app.command("bench")
def bench() -> None:
    """Measure the pipeline on a large market, beside plain NumPy as a yardstick."""
    from core.bench import run_bench

    raise typer.Exit(run_bench())


def main() -> None:
    try:
        app(prog_name="python -m core")
    except CryptoSatXError as error:
        _refuse(str(error))
    except OperationalError as error:
        _refuse(f"The database does not answer as it should: {str(error.orig).strip()}.")


def _refuse(sentence: str) -> NoReturn:
    beside.print(sentence, style="red", soft_wrap=True, markup=False)
    sys.exit(1)


if __name__ == "__main__":
    main()
