"""Which addresses may be connected to: those of the whole world, and private ones that were allowed.

Whoever writes a channel chooses where this server connects to. Without a guard that would reach what
only this server reaches: its own services, the network behind it, the cloud's metadata.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from core.errors import DeliveryError
from core.settings import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
SETTING = "CRYPTOSATX_PRIVATE_TARGETS"
RESOLVE_SECONDS = 5.0
# What `is_global` leaves open: relays and tunnels that lead to an IPv4 address of their own choice, and
# services of the cloud at public addresses.
_REFUSED = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT
        "168.63.129.16/32",  # Azure's host
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "100::/64",
        "2001::/23",  # Teredo and others
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_NAT64 = tuple(IPv6Network(text) for text in ("64:ff9b::/96", "::ffff:0:0:0/96"))
_SIX_TO_FOUR = IPv6Network("2002::/16")
# All that is given out of IPv6 for the whole world.
_WORLD = IPv6Network("2000::/3")


class Allowed:
    """Public addresses, and the private networks of the settings."""

    def __init__(self, private: Iterable[Network] = ()) -> None:
        self.private = tuple(private)

    def why_not(self, text: str) -> str | None:
        """Why an address may not be connected to; None where it may."""
        try:
            address = ip_address(text.split("%", 1)[0])
        except ValueError:
            return f"{text} is no address"
        met = embedded(address)
        if all(is_public(one) or self._allows(one) for one in met):
            return None
        return f"{met[-1]} is not a public address; an operator can allow it in {SETTING}"

    def _allows(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self.private
        )

    def check(self, text: str) -> None:
        """`DeliveryError` where an address may not be connected to."""
        reason = self.why_not(text)
        if reason is not None:
            raise DeliveryError(f"This is not sent: {reason}.")


def allowed_targets(settings: Settings) -> Allowed:
    """What the settings allow."""
    parts = (settings.private_targets or "").split(",")
    return Allowed(ip_network(part.strip()) for part in parts if part.strip())


def is_public(address: Address) -> bool:
    """Whether the whole world reaches an address.

    >>> [is_public(ip_address(one)) for one in ("1.1.1.1", "10.0.0.1", "169.254.169.254", "::1")]
    [True, False, False, False]
    """
    return (
        address.is_global
        and (address.version == 4 or address in _WORLD)
        and not address.is_multicast
        and not any(address.version == one.version and address in one for one in _REFUSED)
    )


def embedded(address: Address) -> list[Address]:
    """An address, and the IPv4 address that is meant where it stands for one.

    >>> embedded(ip_address("::ffff:127.0.0.1"))
    [IPv4Address('127.0.0.1')]
    >>> embedded(ip_address("64:ff9b::a00:1"))
    [IPv4Address('10.0.0.1')]
    """
    if isinstance(address, IPv4Address):
        return [address]
    low = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or any(address in network for network in _NAT64):
        return [low]
    if address in _SIX_TO_FOUR:
        return [address, IPv4Address((int(address) >> 80) & 0xFFFF_FFFF)]
    if int(address) >> 32 == 0 and int(address) > 1:
        return [low]  # the old form of an IPv4 address in IPv6
    return [address]


def resolve(host: str, port: int, allowed: Allowed, seconds: float = RESOLVE_SECONDS) -> list[str]:
    """The addresses of a host, every one of which may be connected to.

    `DeliveryError` where one may not; `LookupError` where there are none now.
    """
    found = _look_up(host, port, seconds)
    for address in found:
        allowed.check(address)
    return found


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """As the system resolves names, but never longer than ``seconds``."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    answer: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:
            answer.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        raise LookupError(f"The address of {host} could not be looked up in time.") from None
    if isinstance(found, OSError) or not found:
        raise LookupError(f"There is no address of {host}.")
    return found
