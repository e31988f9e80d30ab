"""The HTTP interface of the operations, under /api/v1."""

from core.api.application import api_routes

__all__ = ["api_routes"]
