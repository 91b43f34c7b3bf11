"""The record store: raw records, merged entities, change numbers, runs (design.md).

Public: ``Store``. SQLite is known to these modules only.
"""

from catalogue.store.store import Store

__all__ = ["Store"]
