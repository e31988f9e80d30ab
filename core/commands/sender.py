"""`python -m core.commands.sender`: the process that a worker starts to send, see `core.jobs.sender`."""

from __future__ import annotations

import sys

from core.jobs.sender import serve
from core.observing.start import start_observing
from core.settings import load_settings

if __name__ == "__main__":
    start_observing(load_settings(), "sender")
    serve(sys.stdin, sys.stdout)
