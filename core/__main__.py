"""The command line: `python -m core COMMAND`. Errors of ours are one sentence and exit code 1."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

import typer
from sqlalchemy.exc import OperationalError

from core.bench import Figure
from core.commands import (
    alerts,
    bench,
    checks,
    export,
    keeping,
    people,
    record,
    replay,
    settings,
    verify,
    worker,
)
from core.commands.console import beside
from core.errors import CryptoSatXError

app = typer.Typer(
    help="CryptoSatX: signals for crypto perpetual futures that can be traced and checked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("replay")(replay.command)
app.command("worker")(worker.command)
app.command("record")(record.command)
app.command("verify")(verify.command)
app.command("export")(export.command)
app.add_typer(keeping.app, name="backup")
app.command("restore")(keeping.restore)
app.add_typer(people.app, name="user")
app.add_typer(alerts.app, name="alerts")
app.command("settings")(settings.command)
app.command("doctor")(checks.doctor)


@app.command("bench")
def measure() -> None:
    """Measure the pipeline and the pages on a large market; 1 when a limit is passed."""
    bench.report(_pages)


def _pages() -> list[Figure]:
    # Loaded only now: Streamlit takes a second, and warns that it has no server.
    logging.disable(logging.WARNING)
    from core.ui.page_bench import pages

    return pages()


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
