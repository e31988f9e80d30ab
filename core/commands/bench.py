"""`python -m core bench`: what was measured, its limit, and a yardstick of the same run."""

from __future__ import annotations

import resource
from collections.abc import Callable

import typer
from rich.table import Table

from core.bench import Figure, newest_bar, rule_history, rule_states, whole_year
from core.commands.console import out
from core.rule_bench import alert_rules

_MEMORY_LIMIT_GB = 2.0


def report(pages: Callable[[], list[Figure]]) -> None:
    """Measure the pipeline, then what ``pages`` measures; exit with 1 when a limit is passed."""
    pipeline = [newest_bar(), whole_year()]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures = [*pipeline, *alert_rules(), rule_history(), rule_states(), *pages()]
    table = Table("measured", "median", "limit", "beside", "takes", "ratio")
    for figure in figures:
        table.add_row(*_cells(figure))
    table.add_row("peak memory of the pipeline", f"{memory:.2f} GB", f"{_MEMORY_LIMIT_GB:.2f} GB")
    out.print(table)
    held = all(figure.seconds < figure.limit for figure in figures) and memory < _MEMORY_LIMIT_GB
    raise typer.Exit(0 if held else 1)


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio = figure.seconds / figure.yardstick_seconds
    return (
        figure.name,
        f"{1000 * figure.seconds:,.0f} ms",
        f"{1000 * figure.limit:,.0f} ms",
        figure.yardstick,
        f"{1000 * figure.yardstick_seconds:,.0f} ms",
        f"{ratio:.1f}" if ratio >= 0.1 else f"1/{1 / ratio:.0f}",
    )
