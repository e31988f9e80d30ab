"""The version of the product."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


@cache
def product_version() -> str:
    """The version of the product, from where it is written down."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version("cryptosatx")
    text = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else "unknown"
