"""Commands as they are typed, run in this process."""

from __future__ import annotations

import sys

import pytest

from core import __main__ as cli


def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """Run a command as `python -m core` would; what it says, and its exit code where that is not 0."""
    monkeypatch.setattr(sys, "argv", ["core", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    code = ended.value.code or 0
    return said.out + said.err + (f"exit {code}" if code else "")
