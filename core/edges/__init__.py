"""What every request passes before it reaches a page, the API or a file."""

from core.edges.address import RealAddress, keep_peer_address
from core.edges.gate import Gate

__all__ = ["Gate", "RealAddress", "keep_peer_address"]
