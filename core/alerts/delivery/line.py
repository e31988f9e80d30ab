"""The connection of a webhook: to addresses that were checked, and for no longer than a message may take.

The client above it waits anew for every piece that comes, so who sends a byte now and then would keep it
for ever; here all waiting of a message together has an end.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import httpcore
from typing_extensions import override

Left = Callable[[float | None], float]


class Line(httpcore.NetworkBackend):
    """Connects for one webhook; what `allow` says holds for one message."""

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._addresses: Sequence[str] = ()
        self._until = 0.0
        self._connected: str | None = None

    def allow(self, addresses: Sequence[str], seconds: float) -> None:
        """Connect to one of these, the first that is there, and give up after so long."""
        self._addresses, self._until = addresses, monotonic() + seconds

    def end_within(self, seconds: float) -> None:
        """Give up sooner."""
        self._until = min(self._until, monotonic() + seconds)

    @property
    def leads(self) -> bool:
        """Whether what is connected is one of the addresses that are allowed now."""
        return self._connected in self._addresses

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = self._addresses
        for address in others:
            with suppress(httpcore.ConnectError):
                return self._connect(address, port)
        return self._connect(last, port)

    def _connect(self, address: str, port: int) -> httpcore.NetworkStream:
        seconds = self._left(self._connect_seconds)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.settimeout(seconds)
            opened.connect((address, port))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            opened.close()
            raise _named(error, httpcore.ConnectTimeout, httpcore.ConnectError) from error
        self._connected = address
        return _Stream(opened, self._left, self._connect_seconds)

    def _left(self, seconds: float | None) -> float:
        left = self._until - monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("The time of the message is over.")
        return left if seconds is None else min(left, seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, opened: socket.socket, left: Left, connect_seconds: float) -> None:
        self._socket, self._left, self._connect_seconds = opened, left, connect_seconds

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._socket.settimeout(self._left(timeout))
            return self._socket.recv(max_bytes)
        except OSError as error:
            raise _named(error, httpcore.ReadTimeout, httpcore.ReadError) from error

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._socket.settimeout(self._left(timeout))
            self._socket.sendall(buffer)  # its time is that of all of it
        except OSError as error:
            raise _named(error, httpcore.WriteTimeout, httpcore.WriteError) from error

    @override
    def close(self) -> None:
        self._socket.close()

    @override
    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            self._socket.settimeout(self._left(self._connect_seconds))
            # As for what is written, the time is that of the whole handshake.
            secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except (OSError, ValueError) as error:
            self.close()
            raise _named(error, httpcore.ConnectTimeout, httpcore.ConnectError) from error
        return _Stream(secured, self._left, self._connect_seconds)

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        if info == "is_readable":  # where nothing is awaited that means it was closed
            return _is_readable(self._socket)
        return None


def _is_readable(opened: socket.socket) -> bool:
    """Whether there is something to read, or an end."""
    if opened.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    return bool(poll.poll(0))


def _named(error: Exception, timed_out: type[Exception], failed: type[Exception]) -> Exception:
    return timed_out(str(error)) if isinstance(error, TimeoutError) else failed(str(error))
