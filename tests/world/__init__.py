"""A stand-in for the world outside: exchanges and vendors on 127.0.0.1 that can be told to fail."""

from tests.world.server import World

__all__ = ["World"]
