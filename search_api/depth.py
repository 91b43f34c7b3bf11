"""How deep a page may lie: never deeper than there are records.

The embedded engine reserves memory for everything before a page, and ends the process when there
is not enough (seen with ``skip`` of two thousand million). Nobody needs a page behind the last one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio.to_thread

from catalogue.query import Search

if TYPE_CHECKING:
    from catalogue.catalogue import Catalogue

SHALLOW = 10_000


async def within_the_catalogue(catalogue: Catalogue, search: Search) -> Search:
    """The same search, its ``skip`` no larger than the number of records of its class."""
    if search.skip <= SHALLOW:
        return search
    most = await anyio.to_thread.run_sync(catalogue.store.count, search.entity_class)
    return replace(search, skip=min(search.skip, most))
