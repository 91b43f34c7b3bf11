"""A harvest over a Search API or a SciCat: always the whole of it, since it tells no changes.

What did not change costs no more than reading it (semantics 1.6); what is gone is found by the
identifiers that a complete sweep did not meet, each asked for by itself (semantics 1.4).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from catalogue.facilities import Source
from facility_http.errors import AccessRefused, FacilityHttpError, NotOffered, Parked
from facility_http.http import Fetcher, access_for
from facility_http.panosc_client import read_rest_options
from facility_http.rest_json import RestRecord
from harvester.ledger import Ledger
from harvester.pages import Found, Journal, RawPage, RawRecord
from harvester.panosc_rest import COMPLETE_STOPS, PanoscClient, RestPage
from harvester.place import OrderError, Place, new_place, order_key, read_place
from harvester.scicat import ScicatClient
from harvester.sweeps import Situation


async def open_rest_sweep(http: Fetcher, situation: Situation, journal: Journal) -> RestSweep:
    """Plan a sweep.

    Raises:
        OrderError: sets and dates do not exist here.
    """
    source, order = situation.source, situation.order
    if order.set or order.start or order.end:
        raise OrderError(
            f"{source.name} is a Search API, which knows no sets and no dates of change; "
            "--full and --record work."
        )
    kind = ScicatClient if source.protocol == "scicat" else PanoscClient
    client = kind(
        http,
        source.url,
        access=replace(
            access_for(source.url, internal=source.internal, options=source.options),
            on_retry=journal.retried,
        ),
        options=read_rest_options(source.options),
    )
    sweep = RestSweep(client, situation, journal)
    sweep.plan()
    return sweep


class RestSweep:
    """See ``pages.Sweep``."""

    def __init__(
        self, client: PanoscClient | ScicatClient, situation: Situation, journal: Journal
    ) -> None:
        self.client = client
        self.journal = journal
        self.complete = False
        self.whole = True
        self.stop = "end_of_list"
        self._source: Source = situation.source
        self._situation = situation
        self.place: Place

    def plan(self) -> None:
        """Go on where the checkpoint says, or begin."""
        situation, order = self._situation, self._situation.order
        key = order_key(self._source, order)
        place = read_place(situation.checkpoint, key, order)
        if place is None and not order.selective:
            stashed = situation.memory.get("interrupted")
            place = read_place(stashed, key, order) if isinstance(stashed, Mapping) else None
        if place is not None:
            self.journal.note("resumed", True)
        self.place = place or new_place(key, "selective" if order.selective else "full")
        self.whole = self.place.kind == "full"

    def begin_again(self) -> None:
        """See ``pages.Sweep``."""
        self.place = new_place(self.place.key, self.place.kind)
        self.journal.note("begun_again", True)

    async def pages(self) -> AsyncGenerator[RawPage, None]:
        """See ``pages.Sweep``.

        Raises:
            FacilityHttpError: the service does not answer any more; what came before stands.
        """
        if self.place.first_response is None:
            self.place.first_response = self._situation.now()
        if self._situation.order.record is not None:
            yield await self._single(self._situation.order.record)
            self.complete = True
            return
        walk = self.client.pages(resume=self.place.client)
        async with aclosing(walk) as pages:
            async for page in pages:
                self._progress(page)
                self.place.client = page.checkpoint
                records = self._raw(page)
                yield RawPage(
                    records,
                    self.place.as_json(),
                    listed=tuple(record.header.identifier for record in records),
                )
        self.complete = True

    def _progress(self, page: RestPage) -> None:
        notes = self.journal.notes
        for name, count in page.notes.items():
            self.journal.note(name, notes.get(name, 0) + count)
        if page.not_offered:
            self.journal.note(f"not_offered_{page.entity_class}", list(page.not_offered))
        if page.stop is None:
            return
        notes.setdefault("classes", {})[page.entity_class] = {
            "stop": page.stop,
            "seen": page.seen,
            "count": page.count,
        }
        if page.stop in COMPLETE_STOPS:
            return
        of, missing, why = "", 1, f" ({page.why})" if page.why else ""
        if page.count is not None:
            of, missing = f" of {page.count}", max(page.count - page.seen, 1)
        known = self.journal.ended_early(
            f"{page.entity_class}s: {page.stop}",
            missing,
            f"{page.entity_class}s ended early: {page.stop} after {page.seen}{of}{why}",
            self._source.name,
        )
        if not known:
            self.stop = page.stop
        if not known or page.stop == "broken_off":
            self.place.unsure = True

    def _raw(self, page: RestPage) -> tuple[RawRecord, ...]:
        named = [record for record in page.records if record.header.identifier]
        if len(named) < len(page.records):
            nameless = [page.entity_class] * (len(page.records) - len(named))
            self.journal.problem("an object without identifier", *nameless)
        return tuple(self._raw_record(record) for record in named)

    def _raw_record(self, record: RestRecord) -> RawRecord:
        return RawRecord(record.header, record.format, record.payload, fault=record.problem)

    async def _single(self, identifier: str) -> RawPage:
        entity_class, pid = split_identifier(identifier)
        for name in [entity_class] if entity_class else ["Document", "Dataset", "Instrument"]:
            try:
                record = await self.client.get(name, pid)
            except NotOffered:
                continue
            if record is not None:
                return RawPage((self._raw_record(record),), self.place.as_json())
        raise OrderError(
            f"{self._source.name} has no {identifier!r}; write Document/PID, Dataset/PID or "
            "Instrument/PID."
        )

    async def list_identifiers(self, ledger: Ledger) -> bool:
        """See ``pages.Sweep``: the sweep itself was the list, if it reached every end."""
        if self.place.unsure or self.place.kind != "full":
            return False
        self.journal.note("reconciled", True)
        return True

    async def look_up(self, identifier: str) -> Found:
        """See ``pages.Sweep``."""
        entity_class, pid = split_identifier(identifier)
        if entity_class is None:
            return Found("unclear", reason=f"{identifier} is no identifier of this protocol")
        try:
            record = await self.client.get(entity_class, pid)
        except NotOffered:
            return Found("deleted")
        except Parked:
            raise
        except AccessRefused:
            # Not public any more: as good as gone for us (semantics 2.2, cautious side).
            return Found("deleted")
        except FacilityHttpError as problem:
            return Found("unclear", reason=f"not to be had: {type(problem).__name__}")
        if record is None:
            return Found("deleted")
        return Found("alive", self._raw_record(record))

    def memory(self) -> Mapping[str, Any]:
        """See ``pages.Sweep``."""
        if self.place.kind == "selective":
            return {}
        first = self.place.first_response or self._situation.now()
        memory: dict[str, Any] = {"key": self.place.key, "interrupted": None}
        if not self.place.unsure:
            memory["full_at"] = first.isoformat()
        return memory


def split_identifier(identifier: str) -> tuple[str | None, str]:
    """``Dataset/10.5072/1`` → (``Dataset``, ``10.5072/1``); without a class (``None``, all)."""
    head, _, rest = identifier.partition("/")
    name = head.removesuffix("s").capitalize()
    if rest and name in ("Document", "Dataset", "Instrument", "Technique"):
        return name, rest
    return None, identifier
