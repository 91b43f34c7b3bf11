"""Deletions: those told by the server, and those found by comparing complete lists.

Under ``deletedRecord`` ``no`` and ``transient`` (OAI-PMH 2.0, section 2.5.1), and over REST, a
record that went away is only seen by its absence. Absence is not proof: each missing record is
asked for by itself, since it may only have left the set (semantics 1.4), and a guard asks the
operator before many go (faults B12, B21, H05, H06, H07).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import anyio
import anyio.to_thread

from catalogue.records import PageCommit, PageReport, ReadyRecord
from catalogue.store import Store
from harvester.guard import Guard
from harvester.ledger import Ledger
from harvester.pages import RawRecord, Sweep

BATCH = 200
SAMPLES = 10
FETCH_UNKNOWN = 2_000
"""Listed records that the pages did not bring, fetched one by one (fault B19); more than these
are left to the next full harvest, and the run is partial."""


@dataclass(slots=True)
class Reconciliation:
    """What came of it. ``held`` says why an operator is asked; nothing was deleted then.

    ``doubted``: for its identifiers, which are no longer new when they come again: the doubt stays
    until somebody approves. ``old``: records that were there before.
    """

    live: int
    listed: int | None = None
    told: int = 0
    missing: int = 0
    deleted: int = 0
    left_set: int = 0
    still_there: int = 0
    unclear: int = 0
    fetched: int = 0
    held: str | None = None
    doubted: bool = False
    old: int = 0
    samples: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the run's details."""
        return asdict(self)

    @property
    def doubt(self) -> dict[str, Any] | None:
        """What later runs have to know of it."""
        return {"reason": self.held, "old": self.old} if self.doubted else None

    def waiting(self, run: int, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """What waits for the operator after this ``run``, if that waited ``before``."""
        if self.held is not None:
            return {"run": run, "reason": self.held, "of_list": self.listed is not None}
        if before is not None and not settles(
            listed=self.listed is not None, shown_of_list=bool(before.get("of_list"))
        ):
            return before
        return None


def settles(*, listed: bool, shown_of_list: bool) -> bool:
    """Whether a run that was not held settles what an earlier one showed to the operator: one that
    compared no list has nothing to say of what a list showed (fault H05)."""
    return listed or not shown_of_list


@dataclass(frozen=True, slots=True)
class Ground:
    """What reconciliation stands on.

    ``live``: records of the source; ``live_before``: before the harvest, which may have taken
    several runs, and of which ``new`` and ``received`` are counts; 0 when no harvest of everything
    ever came to its end. ``doubted``: what an earlier run that was held for its identifiers left
    in the source's memory (``Reconciliation.doubt``).
    """

    store: Store
    source: str
    guard: Guard
    approved: int | None
    live: int
    live_before: int
    new: int
    received: int
    doubted: Mapping[str, Any] | None
    now: Callable[[], datetime]
    should_stop: Callable[[], bool]
    commit: Callable[[PageCommit], Awaitable[PageReport]]
    prepare: Callable[[Sequence[RawRecord]], Awaitable[list[ReadyRecord]]]
    checkpoint: Callable[[], dict[str, Any]]


async def reconcile(sweep: Sweep, ledger: Ledger, ground: Ground) -> Reconciliation:
    """Take away what is gone, fetch what was missed, or say why an operator has to look.

    Raises:
        FacilityHttpError: the list cannot be had; nothing was deleted.
        StoreError: the store cannot be written.
    """
    result = Reconciliation(live=ground.live)
    listed = await sweep.list_identifiers(ledger)

    def live(after: str | None, limit: int) -> Sequence[str]:
        return ground.store.live_identifiers(ground.source, after, limit)

    def count() -> None:
        result.told = sum(_sampled(result, ledger.told_and_live(live)))
        if listed:
            result.listed = ledger.count_listed()
            result.missing = sum(_sampled(result, ledger.live_and_unlisted(live)))

    await anyio.to_thread.run_sync(count)
    gone = result.told + result.missing
    result.held = ground.guard.reason_to_hold(
        live=max(ground.live, gone), gone=gone, approved=ground.approved
    )
    if result.held is None and ground.approved is None:
        _doubt(sweep, ground, result)
    if result.held is not None:
        return result
    await _take_away_told(ledger, live, ground, result)
    if listed:
        await _take_away_missing(sweep, ledger, live, ground, result)
        await _fetch_unknown(sweep, ledger, ground, result)
    return result


def _doubt(sweep: Sweep, ground: Ground, result: Reconciliation) -> None:
    """Hold what looks like another source, until somebody approves (fault H07)."""
    if ground.doubted:
        result.held, result.old = str(ground.doubted["reason"]), int(ground.doubted["old"])
    else:
        result.held = ground.guard.reason_to_doubt(
            live=ground.live_before, listed=ground.received, new=ground.new, whole=sweep.whole
        )
        result.old = ground.live_before
    if result.held is not None:
        result.doubted = True


def _sampled(result: Reconciliation, batches: Iterator[list[str]]) -> Iterator[int]:
    for batch in batches:
        result.samples += batch[: SAMPLES - len(result.samples)]
        yield len(batch)


async def _take_away_told(
    ledger: Ledger,
    live: Callable[[str | None, int], Sequence[str]],
    ground: Ground,
    result: Reconciliation,
) -> None:
    for identifiers in await _batches(ledger.told_and_live(live)):
        report = await ground.commit(
            PageCommit((), ground.checkpoint(), ground.now(), deleted=identifiers)
        )
        result.deleted += report.deleted


async def _take_away_missing(
    sweep: Sweep,
    ledger: Ledger,
    live: Callable[[str | None, int], Sequence[str]],
    ground: Ground,
    result: Reconciliation,
) -> None:
    for identifiers in await _batches(ledger.live_and_unlisted(live)):
        deleted, left_set, alive = [], [], []
        for identifier in identifiers:
            if ground.should_stop():
                return
            found = await sweep.look_up(identifier)
            if found.state == "deleted":
                deleted.append(identifier)
            elif found.state == "left_set":
                left_set.append(identifier)
            elif found.state == "alive":
                result.still_there += 1
                sweep.journal.problem("not listed, but still there", identifier, incomplete=False)
                if found.record is not None:
                    alive.append(found.record)
            else:
                result.unclear += 1
                sweep.journal.problem(f"not listed, and {found.reason}", identifier)
        await ground.commit(
            PageCommit(
                await ground.prepare(alive),
                ground.checkpoint(),
                ground.now(),
                deleted=deleted,
                left_set=left_set,
            )
        )
        result.deleted += len(deleted)
        result.left_set += len(left_set)


async def _fetch_unknown(
    sweep: Sweep, ledger: Ledger, ground: Ground, result: Reconciliation
) -> None:
    """Fetch what the list names and the pages did not bring (fault B19)."""

    def find() -> list[str]:
        # What was forgotten is not asked for again (semantics 11.1).
        most = FETCH_UNKNOWN + 1 + ground.store.count_forgotten()
        found = ledger.listed_and_unknown(most)
        return ground.store.without_forgotten(ground.source, found)

    unknown = await anyio.to_thread.run_sync(find)
    if len(unknown) > FETCH_UNKNOWN:
        sweep.journal.problem("listed, but did not come with the pages", *unknown[:SAMPLES])
        return
    records = []
    for identifier in unknown:
        if ground.should_stop():
            break
        found = await sweep.look_up(identifier)
        if found.state == "alive" and found.record is not None:
            records.append(found.record)
        elif found.state == "unclear":
            sweep.journal.problem(f"listed, but {found.reason}", identifier)
        if len(records) >= BATCH:
            await _bring(records, ground, result)
            records = []
    if records:
        await _bring(records, ground, result)


async def _bring(records: list[RawRecord], ground: Ground, result: Reconciliation) -> None:
    mapped = await ground.prepare(records)
    await ground.commit(PageCommit(mapped, ground.checkpoint(), ground.now()))
    result.fetched += len(records)


async def _batches(found: Iterator[list[str]]) -> list[list[str]]:
    """All batches at once: committing while iterating would move the pages being walked.

    At most what the guard lets go, so this stays small.
    """

    def collect() -> list[list[str]]:
        identifiers = [identifier for batch in found for identifier in batch]
        return [identifiers[at : at + BATCH] for at in range(0, len(identifiers), BATCH)]

    return await anyio.to_thread.run_sync(collect)
