"""A folder for what is half done, beside the data, so that it can be put in place by a rename."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".keeping-"


@contextmanager
def scratch(data_dir: Path) -> Iterator[Path]:
    """A folder of one's own, gone afterwards; what a killed process left behind goes too."""
    data_dir.mkdir(parents=True, exist_ok=True)
    for left in data_dir.glob(f"{_PREFIX}*"):
        _sweep(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=data_dir))
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _sweep(folder: Path) -> None:
    try:
        held = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # Somebody is at it.
    finally:
        os.close(held)
