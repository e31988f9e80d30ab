"""What every command says goes through here: results to the output, the rest beside it."""

from __future__ import annotations

from rich.console import Console

out = Console(highlight=False)
beside = Console(stderr=True, highlight=False)
