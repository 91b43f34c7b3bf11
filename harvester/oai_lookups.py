"""Single records and lists of identifiers: the way round what is broken, and what tells what is
gone.

Protocol: http://www.openarchives.org/OAI/openarchivesprotocol.html, GetRecord (4.1) and
ListIdentifiers (4.3), always of the source's own prefix and set.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import anyio.to_thread

from catalogue.facilities import Source, read_as
from facility_http.errors import (
    AccessRefused,
    BadRedirect,
    CertificateTrouble,
    ChallengePage,
    ConnectionFailed,
    FacilityHttpError,
    ForbiddenAddress,
    MissingCredential,
    Parked,
)
from harvester.errors import (
    BadResumptionToken,
    CannotDisseminateFormat,
    IdDoesNotExist,
    NoSetHierarchy,
)
from harvester.ledger import Ledger
from harvester.oai_pmh import OaiClient, OaiPage, in_set
from harvester.oai_walk import COMPLETE_STOPS
from harvester.oai_xml import OaiRecord
from harvester.pages import Found, Journal, RawRecord
from harvester.windows import Window

RESTARTS = 3
"""Restarts of one list without getting further (fault B01)."""

HOPELESS = (
    Parked,
    AccessRefused,
    ChallengePage,
    CertificateTrouble,
    ForbiddenAddress,
    BadRedirect,
    ConnectionFailed,
    MissingCredential,
)
"""No smaller question helps against these: the endpoint as a whole does not answer us."""


@dataclass(frozen=True, slots=True)
class OaiLookups:
    """Records of one source, one by one, and lists of their identifiers.

    ``set_`` is the set asked for, of the order or of the source.
    """

    client: OaiClient
    source: Source
    set_: str | None
    journal: Journal

    @property
    def crosswalk(self) -> str:
        """The name of the crosswalk for this source's metadata."""
        return read_as(self.source)

    async def get(self, identifier: str) -> RawRecord:
        """The record of that identifier.

        Raises:
            FacilityHttpError: it cannot be had.
        """
        return self.raw_record(await self.client.get_record(identifier, self.source.format))

    async def look_up(self, identifier: str) -> Found:
        """GetRecord, and what its header says of the set (semantics 1.4).

        Raises:
            FacilityHttpError: the endpoint as a whole does not answer.
        """
        try:
            record = await self.client.get_record(identifier, self.source.format)
        except IdDoesNotExist:
            return Found("deleted")
        except CannotDisseminateFormat:
            return Found("left_set")
        except HOPELESS:
            raise
        except FacilityHttpError as problem:
            return Found("unclear", reason=f"not to be had: {type(problem).__name__}")
        if record.deleted:
            return Found("deleted")
        if not in_set(record.header.sets, self.set_):
            return Found("left_set")
        return Found("alive", self.raw_record(record))

    def identifiers(self, window: Window) -> AsyncGenerator[OaiPage, None]:
        """Pages of the window's ListIdentifiers."""
        return self.client.pages(
            "ListIdentifiers",
            self.source.format,
            set_=self.set_,
            from_=window.start,
            until=window.end,
        )

    async def are_told_apart(self, one: Window, other: Window) -> bool:
        """Whether two windows without anything in common give different lists, as far as can be
        seen: a server that does not hear ``from`` and ``until`` gives the same twice (fault B18).

        Raises:
            FacilityHttpError: the endpoint as a whole does not answer.
        """
        try:
            first = await self._first_identifiers(one)
            return not first or first != await self._first_identifiers(other)
        except HOPELESS:
            raise
        except FacilityHttpError:
            return True

    async def _first_identifiers(self, window: Window) -> frozenset[str]:
        """Those on the first page of the window's list."""
        async with aclosing(self.identifiers(window)) as pages:
            async for page in pages:
                return frozenset(record.header.identifier for record in page.records)
        return frozenset()

    async def list_all(self, ledger: Ledger) -> bool:
        """Bring the complete list into the ledger; whether it reached its end.

        Raises:
            FacilityHttpError: it cannot be had.
        """
        for attempt in range(RESTARTS + 1):
            await anyio.to_thread.run_sync(ledger.clear_listed)
            stop = None
            try:
                async for page in self.identifiers(Window()):
                    await anyio.to_thread.run_sync(self._note_listed, ledger, page)
                    stop = page.stop
            except BadResumptionToken:
                if attempt == RESTARTS:
                    raise
                continue
            if stop in COMPLETE_STOPS:
                self.journal.note("reconciled", True)
                return True
            break
        # Nothing is concluded from a list that did not reach its end (fault B20).
        self.journal.problem(f"the list of identifiers ended early: {stop}", self.source.name)
        return False

    def _note_listed(self, ledger: Ledger, page: OaiPage) -> None:
        own = [r for r in page.records if r.header.identifier and in_set(r.header.sets, self.set_)]
        ledger.list_(r.header.identifier for r in own if not r.deleted)
        ledger.tell_deleted(r.header.identifier for r in own if r.deleted)

    async def check_set(self) -> None:
        """An empty answer may hide that the set is gone (fault B11)."""
        try:
            known = [one.spec async for one in self.client.list_sets()]
        except NoSetHierarchy:
            known = []
        except FacilityHttpError:
            return
        if self.set_ not in known:
            self.journal.problem(f"the set {self.set_} does not exist there", self.source.name)

    def raw(self, records: Sequence[OaiRecord]) -> tuple[RawRecord, ...]:
        """Records of a page that can be kept, and a word on those that cannot."""
        return tuple(self.raw_record(record) for record in records if self.is_own(record))

    def is_own(self, record: OaiRecord) -> bool:
        """Whether a record of a list can be kept; else a word on it."""
        if not record.header.identifier:
            self.journal.problem("a record without identifier")
            return False
        if not in_set(record.header.sets, self.set_):
            # Page two of a set may be that of the whole repository (fault B09).
            self.journal.problem("outside the set asked for", record.header.identifier)
            return False
        return True

    def raw_record(self, record: OaiRecord) -> RawRecord:
        """A record as received, and a word on what was mended in it."""
        for repair in record.repairs:
            self.journal.problem(f"repaired: {repair}", record.header.identifier, incomplete=False)
        return RawRecord(
            record.header, self.crosswalk, record.payload, record.deleted, record.problem
        )
