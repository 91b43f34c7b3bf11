"""A harvest over OAI-PMH: windows, tokens, and the way round what is broken.

Protocol: http://www.openarchives.org/OAI/openarchivesprotocol.html, sections 2.7 (selective
harvesting) and 3.5 (flow control).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any

from catalogue.facilities import Source
from facility_http.errors import (
    FacilityHttpError,
)
from facility_http.http import Fetcher, access_for
from harvester.deviations import LIST_SIZE
from harvester.errors import (
    BadArgument,
    BadResumptionToken,
    CannotDisseminateFormat,
    IdDoesNotExist,
    NoSetHierarchy,
)
from harvester.keys import ConfigurationError, suggest
from harvester.ledger import Ledger
from harvester.oai_lookups import HOPELESS, RESTARTS, OaiLookups
from harvester.oai_plan import (
    Repository,
    decide,
    forget_stale_token,
    identify,
    next_memory,
    recall,
    reconcile_is_due,
)
from harvester.oai_pmh import OaiClient, OaiPage, read_options
from harvester.oai_walk import COMPLETE_STOPS
from harvester.oai_xml import OaiRecord
from harvester.pages import Found, Journal, RawPage, RawRecord
from harvester.place import Place, order_key
from harvester.sweeps import Situation
from harvester.windows import Window, bisect, write_instant
from mappings import FORMATS

FRUITLESS = 40
"""Failures in a row without a page between them. Cutting 60 years down to a second takes 31."""
DEAF_AFTER = 3
"""Failures in a row after which the endpoint is given up, if not even its lists can be read."""
PART_RECORDS = 1_000
"""Larger answers are mapped and committed in parts, so that none has to fit into memory: servers
without paging send all that they have at once (fault H11)."""
SINGLY = 200
"""A broken window of at most so many records is fetched record by record."""


async def open_oai_sweep(http: Fetcher, situation: Situation, journal: Journal) -> OaiSweep:
    """Ask Identify and plan the windows.

    Raises:
        FacilityHttpError: Identify cannot be had.
    """
    source = situation.source
    client = OaiClient(
        http,
        source.url,
        access=replace(
            access_for(source.url, internal=source.internal, options=source.options),
            on_retry=journal.retried,
        ),
        # The crosswalk parses each payload anyway, in another process, and says what is wrong.
        options=replace(read_options(source.options), check_payloads=False, **_known(journal)),
    )
    sweep = OaiSweep(client, situation, journal, await identify(client, situation))
    if sweep.lookups.crosswalk not in FORMATS:
        raise ConfigurationError(
            f"source {source.name}: there is no crosswalk {sweep.lookups.crosswalk!r}"
            f"{suggest(sweep.lookups.crosswalk, FORMATS)} The option `crosswalk` names one for "
            f"metadataPrefix {source.format!r}."
        )
    sweep.plan()
    return sweep


def _known(journal: Journal) -> dict[str, Any]:
    """Options that follow from what is known of the source."""
    return {"list_size_is_wrong": True} if LIST_SIZE in journal.known else {}


class OaiSweep:
    """See ``pages.Sweep``."""

    def __init__(
        self, client: OaiClient, situation: Situation, journal: Journal, repository: Repository
    ) -> None:
        self.client = client
        self.journal = journal
        self.repository = repository
        self.complete = False
        self.whole = False
        self.stop = "end_of_list"
        self._situation = situation
        self._source: Source = situation.source
        self._order = situation.order
        self._set = situation.order.set or situation.source.set
        self.lookups = OaiLookups(client, situation.source, self._set, journal)
        self._fruitless = 0
        self._restarts = 0
        self._furthest = 0
        self._pages_of_window = 0
        self._seen_any = False
        self._granularity = repository.granularity
        self.place: Place

    # --- planning ---------------------------------------------------------------------------------

    def plan(self) -> None:
        """Go on where the checkpoint says, or decide on windows."""
        key = order_key(self._source, self._order)
        place = recall(self._situation, key)
        if place is not None:
            self.journal.note("resumed", True)
            forget_stale_token(place, self._source.options, self.repository, self.journal)
        self._settle(place or decide(self._situation, self.repository, key, self.journal))

    def begin_again(self) -> None:
        """See ``pages.Sweep``."""
        self.journal.note("begun_again", True)
        self._settle(decide(self._situation, self.repository, self.place.key, self.journal))

    def _settle(self, place: Place) -> None:
        self.place = place
        self.whole = place.kind == "full"

    # --- pages ------------------------------------------------------------------------------------

    async def pages(self) -> AsyncGenerator[RawPage, None]:
        """See ``pages.Sweep``.

        Raises:
            FacilityHttpError: the endpoint does not answer any more; what came before stands.
        """
        if self.place.first_response is None:
            self.place.first_response = self.repository.response_date
            self.place.first_asked = self.repository.asked_at
        if self._order.record is not None:
            record = await self.client.get_record(self._order.record, self._source.format)
            yield RawPage(self.lookups.raw([record]), self.place.as_json())
            self.complete = True
            return
        if self.place.unfetched:
            async for page in self._fetch_again():
                yield page
        while self.place.todo:
            window = self.place.todo[0]
            try:
                async for page in self._read_window(window):
                    yield page
            except BadResumptionToken as problem:
                self._restart_window(problem)
            except (*HOPELESS, BadArgument, CannotDisseminateFormat, NoSetHierarchy):
                raise
            except FacilityHttpError as problem:
                async for page in self._go_round(window, problem):
                    yield page
        if not self._seen_any and self._set is not None:
            await self.lookups.check_set()
        self.complete = True

    async def _read_window(self, window: Window) -> AsyncGenerator[RawPage, None]:
        place = self.place
        self._pages_of_window = 0
        resume, place.client = place.client, None
        walk = self.client.pages(
            "ListRecords",
            self._source.format,
            set_=self._set,
            from_=window.start,
            until=window.end,
            resume=resume,
            part_records=PART_RECORDS,
        )
        try:
            async with aclosing(walk) as pages:
                async for page in pages:
                    self._progress(page, window)
                    place.client = page.checkpoint
                    if page.stop is not None:
                        self._finish_window()
                    yield RawPage(self.lookups.raw(page.records), place.as_json())
        except BadResumptionToken:
            raise
        except FacilityHttpError:
            if resume is not None and not self._pages_of_window:
                # A token from an earlier run may fail in any way at all (fault B02).
                place.client = None
                self.journal.note("stale_token", True)
                return
            raise

    def _progress(self, page: OaiPage, window: Window) -> None:
        if not page.part:
            self._pages_of_window += 1
            self._fruitless = 0
        self._seen_any = self._seen_any or bool(page.records)
        for name, count in page.notes.items():
            self.journal.note(name, self.journal.notes.get(name, 0) + count)
        if page.stop is None:
            return
        if page.stop in COMPLETE_STOPS:
            if self.stop in COMPLETE_STOPS:
                self.stop = page.stop
            return
        size = page.complete_list_size
        of = "" if size is None else f" of {size} announced"
        known = self.journal.ended_early(
            LIST_SIZE if page.stop == "incomplete" else f"list: {page.stop}",
            1,
            f"the list ended early: {page.stop} after {page.seen}{of}",
            self._name(window),
        )
        if not known:
            self.stop = page.stop
            self.place.unsure = True

    def _finish_window(self) -> None:
        if self.place.todo:
            self.place.todo.pop(0)
        self.place.client = None
        self._restarts = self._furthest = 0

    def _restart_window(self, problem: FacilityHttpError) -> None:
        """Begin the window again; what was seen is only unchanged the second time (fault B01)."""
        place = self.place
        place.client = None
        self.journal.problem("bad resumption token", self._name(place.todo[0]), incomplete=False)
        if self._pages_of_window > self._furthest:
            self._furthest, self._restarts = self._pages_of_window, 0
        self._restarts += 1
        if self._restarts <= RESTARTS:
            return
        # Shorter lists need fewer tokens.
        halves = self._halves(place.todo[0])
        if halves is None:
            raise problem
        self._restarts = self._furthest = 0
        self._fruitless += 1
        if self._fruitless > FRUITLESS:
            raise problem
        place.todo[0:1] = halves

    # --- round a broken window (fault A08) --------------------------------------------------------

    async def _go_round(
        self, window: Window, problem: FacilityHttpError
    ) -> AsyncGenerator[RawPage, None]:
        self._fruitless += 1
        self.place.client = None
        if self._fruitless > FRUITLESS or self._order.record is not None:
            raise problem
        self.journal.problem(
            f"a window failed: {type(problem).__name__}", self._name(window), incomplete=False
        )
        headers = await self._few_headers(window, problem)
        if headers is not None:
            async for page in self._fetch_singly(headers):
                yield page
            self._finish_window()
            return
        halves = self._halves(window)
        if halves is not None:
            self.place.todo[0:1] = halves
            return
        self.journal.problem("window not harvested", self._name(window))
        self.place.gaps.append(window)
        self._finish_window()

    async def _few_headers(
        self, window: Window, problem: FacilityHttpError
    ) -> list[OaiRecord] | None:
        """The window's identifiers, if they are few or the window cannot be cut; else ``None``."""
        divisible = self._halves(window) is not None
        headers: list[OaiRecord] = []
        try:
            async for page in self.lookups.identifiers(window):
                headers += page.records
                if divisible and (len(headers) > SINGLY or page.token is not None):
                    return None
        except HOPELESS:
            raise
        except FacilityHttpError:
            if self._fruitless >= DEAF_AFTER and not self._seen_any:
                raise problem from None
            return None
        return headers

    async def _fetch_singly(self, headers: Sequence[OaiRecord]) -> AsyncGenerator[RawPage, None]:
        """GetRecord for each; one that fails goes to quarantine while the others come in."""
        records: list[RawRecord] = []
        for header in headers:
            if not header.header.identifier:
                continue
            if header.deleted:
                records.append(self.lookups.raw_record(header))
            else:
                records.append(await self._fetch_one(header))
            if len(records) >= 50:
                yield RawPage(tuple(records), self.place.as_json())
                records = []
        if records:
            yield RawPage(tuple(records), self.place.as_json())

    async def _fetch_one(self, wanted: OaiRecord) -> RawRecord:
        identifier = wanted.header.identifier
        try:
            record = await self.lookups.get(identifier)
        except HOPELESS:
            raise
        except (IdDoesNotExist, CannotDisseminateFormat) as problem:
            return RawRecord(wanted.header, self.lookups.crosswalk, None, fault=str(problem))
        except FacilityHttpError as problem:
            self.journal.problem(f"not to be had: {type(problem).__name__}", identifier)
            if identifier not in self.place.unfetched:
                self.place.unfetched.append(identifier)
            return RawRecord(wanted.header, self.lookups.crosswalk, None, fault=str(problem))
        self._fruitless = 0
        self._seen_any = True
        return record

    async def _fetch_again(self) -> AsyncGenerator[RawPage, None]:
        """Records that an earlier run could not have."""
        wanted, self.place.unfetched = self.place.unfetched, []
        records = []
        for identifier in wanted:
            found = await self.lookups.look_up(identifier)
            if found.record is not None:
                records.append(found.record)
            elif found.state == "unclear":
                self.place.unfetched.append(identifier)
                self.journal.problem(f"not to be had: {found.reason}", identifier)
        yield RawPage(tuple(records), self.place.as_json())

    # --- for reconciliation -----------------------------------------------------------------------

    async def list_identifiers(self, ledger: Ledger) -> bool:
        """See ``pages.Sweep``: ListIdentifiers of the same prefix and set."""
        if not reconcile_is_due(self._situation, self.repository, self.place):
            return False
        return await self.lookups.list_all(ledger)

    async def look_up(self, identifier: str) -> Found:
        """See ``pages.Sweep``: GetRecord, and what its header says of the set."""
        return await self.lookups.look_up(identifier)

    # --- the next harvest -------------------------------------------------------------------------

    def memory(self) -> Mapping[str, Any]:
        """See ``pages.Sweep``."""
        return next_memory(
            self.place,
            self.repository,
            sure=not self.place.unsure,
            reconciled=bool(self.journal.notes.get("reconciled")),
        )

    # --- small things -----------------------------------------------------------------------------

    def _halves(self, window: Window) -> tuple[Window, Window] | None:
        return bisect(
            window,
            granularity=self._granularity,
            earliest=self.repository.earliest,
            server_now=self.repository.response_date,
        )

    def _text(self, instant: datetime | None) -> str | None:
        return None if instant is None else write_instant(instant, self._granularity)

    def _name(self, window: Window) -> str:
        return f"{self._text(window.start) or ''}..{self._text(window.end) or ''}"
