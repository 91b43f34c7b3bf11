"""The record store: raw records, merged entities, change numbers, runs (design.md).

Public: ``Store``; and ``ready``, which renders records for it in another process. SQLite is known
to these modules only.
"""

from catalogue.store.ready import ready
from catalogue.store.store import Store

__all__ = ["Store", "ready"]
