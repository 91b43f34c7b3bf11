"""A harvest over OAI-PMH: windows, tokens, and the way round what is broken.

Protocol: http://www.openarchives.org/OAI/openarchivesprotocol.html, sections 2.7 (selective
harvesting) and 3.5 (flow control).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

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
    WindowsIgnored,
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
from harvester.seen import Seen
from harvester.sweeps import Situation
from harvester.windows import (
    Granularity,
    Window,
    bisect,
    elsewhere,
    envelope,
    is_wide,
    read_granularity,
    write_instant,
)
from mappings import FORMATS

FRUITLESS = 40
"""Windows in a row that fail while nothing comes of it. Cutting 60 years down to a second takes 31:
then either records come one by one, or the window is left out."""
MOST_CUTS = 2_000
"""Of one run; the next goes on with the windows that are left."""
DEAF_AFTER = 3
"""Failures in a row after which the endpoint is given up, if not even its lists can be read."""
PART_RECORDS = 1_000
"""Larger answers are mapped and committed in parts, so that none has to fit into memory: servers
without paging send all that they have at once (fault H11)."""
SINGLY = 200
"""A broken window of at most so many records is fetched record by record."""
MOST_SINGLY = 2_000
"""So is one whose halves are the same to the server, since there is no other way."""


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
    # Followed as long as it lasts, so that nobody learns of it until the old address ends.
    client.on_move = partial(journal.notes.__setitem__, "moved_to")
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
        self._cuts = 0
        self._fetched = Seen()
        self._restarts = 0
        self._furthest = 0
        self._pages_of_window = 0
        self._seen_any = False
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
                async for page in self._restart_window(problem):
                    yield page
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
                        self._fruitless = 0
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
        self._seen_any = self._seen_any or bool(page.records)
        for name, count in page.notes.items():
            self.journal.note(name, self.journal.notes.get(name, 0) + count)
        if page.stop in COMPLETE_STOPS and self.stop in COMPLETE_STOPS:
            self.stop = page.stop
        self._note_end(page, window)

    def _note_end(self, page: OaiPage, window: Window) -> None:
        """Say where a list ended before its end; it is asked again."""
        if page.stop is None or page.stop in COMPLETE_STOPS:
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

    async def _restart_window(self, problem: FacilityHttpError) -> AsyncGenerator[RawPage, None]:
        """Begin the window again; what was seen is only unchanged the second time (fault B01)."""
        window = self.place.todo[0]
        self.place.client = None
        self.journal.problem("bad resumption token", self._name(window), incomplete=False)
        if self._pages_of_window > self._furthest:
            self._furthest, self._restarts = self._pages_of_window, 0
        self._restarts += 1
        if self._restarts <= RESTARTS:
            return
        self._restarts = self._furthest = 0
        # Shorter lists need fewer tokens.
        async for page in self._go_round(window, problem):
            yield page

    # --- round a broken window (fault A08) --------------------------------------------------------

    async def _go_round(
        self, window: Window, problem: FacilityHttpError
    ) -> AsyncGenerator[RawPage, None]:
        """Fetch a few records one by one, or cut the window, or say that it is left out.

        Raises:
            WindowsIgnored: there are no parts to be had, and too many records for one by one.
            FacilityHttpError: ``problem``, when all this leads nowhere.
        """
        self._fruitless += 1
        self.place.client = None
        if self._fruitless > FRUITLESS:
            self._give_up(window, problem)
        self.journal.problem(
            f"a window failed: {type(problem).__name__}", self._name(window), incomplete=False
        )
        halves = self._halves(window)
        headers = await self._headers(window, problem, None if halves is None else SINGLY)
        if headers is None and halves is not None:
            if await self.lookups.are_told_apart(*halves):
                self._cuts += 1
                if self._cuts > MOST_CUTS:
                    self._give_up(window, problem)
                self.place.todo[0:1] = halves
                return
            ignored = await self._are_windows_ignored(window, halves[0])
            window = self.place.todo[0]
            headers = await self._headers(window, problem, MOST_SINGLY, one_page=False)
            if headers is None and ignored:
                raise WindowsIgnored(
                    f"{self._source.url} ignores from and until, so what fails cannot be left "
                    f"out: {problem}"
                ) from problem
        if headers is None:
            self.journal.problem("window not harvested", self._name(window))
            self.place.gaps.append(window)
        else:
            async for page in self._fetch_singly(headers):
                yield page
        self._finish_window()

    def _give_up(self, window: Window, problem: FacilityHttpError) -> NoReturn:
        reason = "cut again and again, to no use"
        self.journal.problem(reason, self._name(window), incomplete=False)
        raise problem

    async def _are_windows_ignored(self, window: Window, part: Window) -> bool:
        """Whether every window is the whole list here (fault B18), once it is known that both
        parts of ``window`` are the same. Then all that are left to do become one.

        Those of one day are the same also to a server that forgets the time of day.
        """
        now = self.repository.response_date
        if not is_wide(window, server_now=now):
            other = elsewhere(window, server_now=now)
            if await self.lookups.are_told_apart(part, other):
                return False
        self.journal.note("windows_ignored", True)
        self.place.todo[:] = [envelope(self.place.todo)]
        return True

    async def _headers(
        self,
        window: Window,
        problem: FacilityHttpError,
        most: int | None,
        *,
        one_page: bool = True,
    ) -> list[OaiRecord] | None:
        """The window's identifiers; ``None`` when they cannot be had, or are too many.

        Args:
            most: more are too many; ``None``: there are never too many.
            one_page: so are those of a second page, if there is a ``most``.
        """
        headers: list[OaiRecord] = []
        try:
            async with aclosing(self.lookups.identifiers(window)) as pages:
                async for page in pages:
                    headers += page.records
                    further = one_page and page.token is not None
                    if most is not None and (len(headers) > most or further):
                        return None
                    self._note_end(page, window)
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
            if not self.lookups.is_own(header):
                continue
            if header.deleted:
                records.append(self.lookups.raw_record(header))
            elif self._fetched.add(header.header.identifier):
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
                self.journal.problem(found.reason, identifier)
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

    @property
    def _granularity(self) -> Granularity:
        """What the client writes instants in by now (fault B13)."""
        return read_granularity(self.client.granularity)

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
