"""A federation to try things on: simulated facilities over HTTP, a catalogue, and the truth.

The truth is the plain evaluator over all records of all facilities: what one index of everything
would answer.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson

from catalogue.answers import Total
from catalogue.catalogue import Catalogue
from catalogue.crowd import Crowd
from catalogue.facilities import Facility, Mode, Source, mapping_context
from catalogue.oracle import Entity, meets
from catalogue.query import Search, Text
from catalogue.readings import make_pool, read_objects
from catalogue.records import EntityClass
from catalogue.scoring import normalised
from catalogue.statistics import scoring_by, statistics_of
from facility_http.http import Fetcher, access_for
from facility_http.panosc_client import SearchApi
from harvester.capabilities import check_service
from harvester.sampling import counted_elsewhere
from search_api.facilities import FacilityStates
from search_api.federation.asking import Asker
from search_api.federation.background import Background
from search_api.federation.continuing import Pages
from search_api.federation.federated import Federation
from search_api.federation.matching import Matcher
from search_api.federation.participants import Asked
from search_api.federation.ranking import Scorer, score_order
from search_api.federation.serving_store import ServingStore
from search_api.federation.session import FederatedAnswer
from search_api.settings import ServerSettings
from simulator import DIALECTS, TEXT_KINDS, FacilitySpec, RestOptions, running
from simulator import Facility as Simulated
from tests.search_api.conftest import keep_payloads

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = ServerSettings(facility_cache_s=0.0, facility_cache_brief_s=0.0, facility_stale_s=0.0)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One facility: how it is asked, what it speaks, what it has."""

    name: str
    documents: Sequence[Json]
    mode: Mode = "live"
    dialect: str = "reference"
    faults: str = ""
    harvested: bool = False
    checked: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """What a test has in hand."""

    federation: Federation
    catalogue: Catalogue
    facilities: Mapping[str, Simulated]
    parts: Sequence[Part]
    states: FacilityStates
    serving: ServingStore

    async def ask(self, entity_class: EntityClass = "Document", **question: Any) -> FederatedAnswer:
        asked = question.pop("asked", Asked())
        words = question.pop("words", None)
        if words is not None:
            question["text"] = Text(words, match=question.pop("match", "all"))
        question.setdefault("limit", 10)
        return await self.federation.search(Search(entity_class, NOW, **question), asked)

    async def total(self, **question: Any) -> Total:
        """How many match."""
        return (await self.ask(limit=0, **question)).answer.total

    async def kill(self, name: str) -> None:
        """The facility refuses connections from now on."""
        door = self.facilities[name].door
        assert door is not None
        await door.shut()

    def refuse(self, name: str, operator: str) -> None:
        """The facility answers 400 to an operator from now on."""
        self.facilities[name].faults.add(f"refuses-operator:{operator}")

    def asked(self, name: str) -> list[str]:
        """The filters that a facility was sent, in order."""
        return [request.params.get("filter", "") for request in self.facilities[name].requests]

    async def settle(self, cursor: str | None) -> None:
        """Wait until the cursor's snapshot is where other workers find it."""
        name = orjson.loads(base64.urlsafe_b64decode(f"{cursor}==="))["s"]
        with anyio.fail_after(10):
            while self.serving.snapshot(name, NOW) is None:  # noqa: ASYNC110 (another's file)
                await anyio.sleep(0.005)

    def truth(self, entity_class: EntityClass = "Document", **question: Any) -> list[str]:
        """The keys that one index over the union would list, in its order."""
        words = question.pop("words", None)
        if words is not None:
            question["text"] = Text(words, match=question.pop("match", "all"))
        search = Search(entity_class, NOW, **question)
        matcher = Matcher.of(search, union(self.parts))
        found = matcher.matching()
        if not found and matcher.text is not None and matcher.match == "all":
            matcher = Matcher(search, matcher.pool, matcher.text, "any")
            found = matcher.matching()
        if matcher.text is None:
            return [one.stored.key for one in found]
        scorer = self.true_scorer(matcher, found)
        raw = scoring_by(scorer.words, scorer.collection, meets)
        orders = [score_order(normalised(raw(one), scorer.best_possible), one.key) for one in found]
        return [key for _, key in sorted(orders)]

    def true_scorer(self, matcher: Matcher, found: Sequence[Entity]) -> Scorer:
        assert matcher.text is not None
        whole = statistics_of(matcher.pool.of_class(matcher.search.entity_class))
        return Scorer.of(matcher.text.scores, [whole], Crowd(found))


def union(parts: Iterable[Part]) -> Any:
    """The pool of all that all facilities have."""
    readings = []
    for part in parts:
        facility, source = configured(part, "http://127.0.0.1:1/api")
        context = mapping_context(facility, source)
        readings.append(read_objects("Document", list(part.documents), context))
    return make_pool(readings, now=NOW)


def configured(part: Part, url: str) -> tuple[Facility, Source]:
    facility = Facility(part.name, f"Facility {part.name}", url)
    source = Source(
        f"{part.name.lower()}-rest", part.name, "panosc", url, "panosc-json",
        mode=part.mode, internal=True, options=part.options,
    )  # fmt: skip
    return facility, source


@asynccontextmanager
async def world(
    folder: Path,
    *parts: Part,
    settings: ServerSettings = SETTINGS,
    monotonic: Callable[[], float] | None = None,
) -> AsyncIterator[World]:
    """Start facilities, check them, harvest those that are indexed."""
    async with AsyncExitStack() as stack:
        facilities: dict[str, Simulated] = {}
        for part in parts:
            endpoint = RestOptions(dialect={**DIALECTS, **TEXT_KINDS}[part.dialect])
            spec = FacilitySpec(part.name, rest=endpoint, faults=part.faults)
            facilities[part.name] = await stack.enter_async_context(running(spec))
            for document in part.documents:
                facilities[part.name].database.put_document(document)
        catalogue = await stack.enter_async_context(Catalogue.open(folder))
        pairs = {part.name: configured(part, facilities[part.name].api_url) for part in parts}
        for part in parts:
            facility, source = pairs[part.name]
            payloads = [("panosc-document", one) for one in part.documents]
            await keep_payloads(catalogue, facility, source, payloads if part.harvested else ())
        catalogue.store.put_configuration(
            [facility for facility, _ in pairs.values()], [source for _, source in pairs.values()]
        )
        async with Fetcher(sleep=no_pause) as http:
            for part in parts:
                if part.checked and part.mode != "indexed":
                    await remember(catalogue, http, *pairs[part.name])
        states = FacilityStates(catalogue.store, 2)
        await states.refresh(NOW)
        serving = ServingStore(folder)
        stack.callback(serving.close)
        asker = await stack.enter_async_context(
            Asker(serving, settings, node=serving.node(), now=lambda: NOW)
        )
        background = Background()
        await background.open()
        stack.push_async_callback(background.close)
        pages = Pages(serving, background, lambda: NOW)
        federation = Federation(
            catalogue, states, asker, Remembered(serving), settings, lambda: NOW, asker.monotonic,
            pages,
        )  # fmt: skip
        yield World(federation, catalogue, facilities, parts, states, serving)


async def no_pause(seconds: float) -> None:
    """What takes the place of waiting between attempts: a probe that the facility answers with a
    500, as many do, is sent again at once."""
    await anyio.lowlevel.checkpoint()


async def remember(catalogue: Catalogue, http: Fetcher, facility: Facility, source: Source) -> None:
    """What ``sources check`` does."""
    report: Json = {"findings": {}, "problems": []}
    counted = counted_elsewhere(catalogue.store, source)
    await check_service(http, facility, source, report, counted)
    memory = {"checked_at": NOW.isoformat(), "capabilities": report["profile"]}
    await anyio.to_thread.run_sync(catalogue.store.remember, source.name, memory)


def document(number: int, title: str, **more: Any) -> Json:
    """A nested PaNOSC document with one Dataset."""
    pid = more.pop("pid", f"10.5072/doc-{number:04}")
    techniques = more.pop("techniques", [])
    made: Json = {
        "pid": pid,
        "title": title,
        "summary": more.pop("summary", f"Summary of {title}."),
        "type": "proposal",
        "isPublic": True,
        "startDate": f"20{10 + number % 15:02}-03-01T00:00:00.000Z",
        "endDate": f"20{10 + number % 15:02}-03-05T00:00:00.000Z",
        "members": [
            {"id": f"m{number}", "role": "PI", "person": {"id": f"p{number}", "fullName": "A Doe"}}
        ],
        "datasets": [
            {
                "pid": f"{pid}/run",
                "title": f"Run of {title}",
                "isPublic": True,
                "creationDate": f"20{10 + number % 15:02}-03-02T00:00:00.000Z",
                "techniques": techniques,
            }
        ],
    }
    return {**made, **more}


SAXS = {
    "pid": "http://purl.org/pan-science/PaNET/PaNET01188",
    "name": "small angle x-ray scattering",
}
WORDS = (
    "lysozyme",
    "water",
    "iron",
    "crystal",
    "protein",
    "ice",
    "magnet",
    "film",
    "glass",
    "salt",
)


def documents(first: int, count: int, **more: Any) -> list[Json]:
    """Documents with titles of three words each, some tagged with SAXS."""
    return [
        document(
            n,
            f"{WORDS[n % 10]} in {WORDS[(n * 7 + 3) % 10]} and {WORDS[(n // 10) % 10]}",
            techniques=[SAXS] if n % 4 == 0 else [],
            **more,
        )
        for n in range(first, first + count)
    ]


class Remembered:
    """The lessons of ``serving.sqlite``, with the test's clock."""

    def __init__(self, serving: ServingStore) -> None:
        self._serving = serving

    async def learned(self, source: str) -> frozenset[tuple[str, str]]:
        return self._serving.learned(source)

    async def learn(self, source: str, entity_class: str, what: str) -> None:
        self._serving.learn(source, entity_class, what, NOW)


__all__ = ["NOW", "Part", "SearchApi", "World", "access_for", "document", "documents", "world"]
