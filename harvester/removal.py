"""Removing a source: its runs end first, then its records go as tombstones (fault H06)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from catalogue.clock import utc_now
from catalogue.errors import LeaseHeld, NotFound
from catalogue.records import PageCommit, RecordState, Run
from catalogue.store import Store
from catalogue.store.store import REMOVAL
from harvester import added
from harvester.holders import is_dead, this_process
from harvester.ledger import ledger_path, remove_files
from harvester.listings import existing_store, read_configuration, unlisted
from harvester.station import put_configuration
from pan_commons_terminal import Settings

BATCH = 500
PATIENCE_S = 120.0
"""A run finishes the page in hand first; a dead one's lease runs out within this time."""
LEASE_S = 60.0
LEFT: tuple[RecordState, ...] = ("live", "left_set")


@dataclass(slots=True)
class _Removal:
    store: Store
    source: str
    run: Run


async def remove(settings: Settings, name: str, keep_records: bool) -> dict[str, Any]:
    """Take the source out of the configuration, stop its runs, remove its records.

    Idempotent: what an interrupted removal left is taken away by the next. So is what is left of a
    source that is not configured any more, whose name in the file became another, perhaps.

    Raises:
        ConfigurationError: there never was such a source.
        LeaseHeld: its run did not end in two minutes.
    """
    configuration = read_configuration(settings)
    already = name in configuration.removed
    with existing_store(settings) as store:
        left_behind = store is not None and name in unlisted(store, configuration)
    if not already and not (left_behind and name not in configuration.origins):
        configuration.source(name)
        # First of all, so that no daemon starts another run of it.
        await anyio.to_thread.run_sync(added.remove_source, settings.data, name)
    deleted = 0
    if not keep_records:
        with existing_store(settings, write=True) as store:
            if store is not None:
                # From now on no process begins a run of it, whatever configuration it has read.
                left = read_configuration(settings)
                await anyio.to_thread.run_sync(put_configuration, store, left)
                deleted = await _remove_records(store, name)
    return {"source": name, "already_removed": already, "deleted": deleted}


async def _remove_records(store: Store, name: str) -> int:
    try:
        run = await _begin(store, name)
    except NotFound:
        return 0
    removal = _Removal(store, name, run)
    deleted = await anyio.to_thread.run_sync(_take_away, removal)
    await anyio.to_thread.run_sync(
        partial(
            store.finish_run,
            run,
            "ok",
            "removed",
            utc_now(),
            # Whoever adds the source again begins from nothing.
            dict.fromkeys(store.source_status(name).memory),
            {"removed": deleted},
        )
    )
    remove_files(ledger_path(store.folder, name))
    return deleted


async def _begin(store: Store, name: str) -> Run:
    """Get the source's lease: ask whoever holds it to stop, and wait."""
    began = anyio.current_time()
    while True:
        try:
            return await anyio.to_thread.run_sync(
                partial(
                    store.begin_run,
                    name,
                    kind=REMOVAL,
                    holder=this_process(),
                    now=utc_now(),
                    lease_s=LEASE_S,
                    is_dead=is_dead,
                )
            )
        except LeaseHeld as held:
            if anyio.current_time() - began > PATIENCE_S:
                raise
            if held.run is not None:
                await anyio.to_thread.run_sync(store.request_stop, held.run)
            await anyio.sleep(0.2)


def _take_away(removal: _Removal) -> int:
    deleted = 0
    while True:
        # Always from the beginning: what was deleted is no longer among them.
        names = removal.store.live_identifiers(removal.source, None, BATCH, LEFT)
        if not names:
            return deleted
        now = utc_now()
        removal.store.heartbeat(removal.run, now, LEASE_S)
        page = PageCommit((), None, now, deleted=names)
        removal.store.commit_page(removal.run, page)
        deleted += len(names)
