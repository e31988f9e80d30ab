"""The database: tables, migrations, and the functions that read and write them."""

from core.store.opening import claim_market, held_market, open_store

__all__ = ["claim_market", "held_market", "open_store"]
