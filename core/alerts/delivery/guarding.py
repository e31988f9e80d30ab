"""What code of others may do while it sends: connect to allowed addresses, and open no file of ours.

Apprise resolves names and opens connections itself, deep inside some 170 services, some of which read
files that an address names (`?template=`, `?keyfile=`). The interpreter's audit events tell of every
connection at the moment it is made, with the address it goes to, whichever library makes it: a name that
resolves differently the second time, or a redirect, gets no further than any other.

A process that was guarded once hears of every event from then on, which makes some things slower there
(`copy.deepcopy` takes 2.5 times as long, work with arrays no longer): so the process in which a worker
sends is guarded, and the server of the pages is not.
"""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from core.alerts.delivery.addresses import Allowed
from core.errors import DeliveryError

_guard: ContextVar[Allowed | None] = ContextVar("guard", default=None)
_installing = threading.Lock()
_installed = False
# Libraries load parts of themselves, and the system's lists of types and certificates.
_READABLE = tuple(
    {
        os.path.realpath(path) + os.sep
        for path in (
            sys.prefix,
            sys.base_prefix,
            *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")),
            "/usr/share/zoneinfo",
            "/usr/share/ca-certificates",
            "/usr/lib/ssl",
            "/etc/ssl",
            "/usr/share/mime",
        )
    }
)
_READABLE_FILES = {"/etc/mime.types", "/etc/resolv.conf", "/etc/hosts", os.devnull}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROCESSES = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen"}
_WATCHED = {"open", "socket.connect", "socket.sendto", "socket.bind", *_PROCESSES}


class Forbidden(DeliveryError, OSError):
    """Something was tried that is not allowed; also an OSError, so that libraries clean up as for one."""


@contextmanager
def guarded(allowed: Allowed) -> Iterator[list[str]]:
    """Inside the block this thread (and what it does in its context) is held to the rules above.

    What was refused is in the list that the block gets.
    """
    _install()
    refused: list[str] = []
    token = _guard.set(_Noting(allowed, refused))
    try:
        yield refused
    finally:
        _guard.reset(token)


class _Noting(Allowed):
    def __init__(self, allowed: Allowed, refused: list[str]) -> None:
        super().__init__(allowed.private)
        self.refused = refused


def _install() -> None:
    """Once per process: hooks cannot be taken out again, and this one does nothing outside a block."""
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_watch)
            _installed = True


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event not in _WATCHED:
        return
    guard = _guard.get()
    if not isinstance(guard, _Noting):
        return
    reason = _why_not(guard, event, args)
    if reason is not None:
        guard.refused.append(reason)
        raise Forbidden(reason)


def _why_not(guard: Allowed, event: str, args: tuple[Any, ...]) -> str | None:
    if event == "open":
        return (
            None if _is_readable(args) else "A file of this machine is not read or written for it."
        )
    if event in _PROCESSES:
        return "No program is started for it."
    if event == "socket.bind":
        return None if _is_outgoing(args[1]) else "It may not wait for connections."
    if args[0].family not in (socket.AF_INET, socket.AF_INET6):
        return "It may only connect to addresses of the internet."
    reason = guard.why_not(str(args[1][0]))
    return None if reason is None else f"This is not sent: {reason}."


def _is_outgoing(address: Any) -> bool:
    """Whether a bind only chooses where a connection comes from."""
    return isinstance(address, tuple) and address[1] == 0


def _is_readable(args: tuple[Any, ...]) -> bool:
    path, _, flags = args
    if isinstance(path, int):
        return True
    if isinstance(flags, int) and flags & _WRITING:
        return False
    name = os.path.realpath(os.fsdecode(path))
    return name in _READABLE_FILES or name.startswith(_READABLE)
