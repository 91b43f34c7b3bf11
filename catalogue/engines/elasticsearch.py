"""The engine for whoever outgrows one machine: Elasticsearch 8.x (or 9.x) over its own client.

For each class one index of a generation; the outbox position is a document of ``<prefix>-meta``. A
rebuild fills the next generation while writes go on, then the aliases move at once (fault F13).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import anyio
import elasticsearch

from catalogue.documents import EngineDocument
from catalogue.engines.base import Applied, Reader, Rendered, Seen, newest_by_key
from catalogue.engines.elasticsearch_bulk import BulkWriter, Item
from catalogue.engines.elasticsearch_client import (
    OPENING_TIMEOUT_S,
    authorization,
    connect,
    nodes_of,
    translated,
    without_password,
)
from catalogue.engines.elasticsearch_frequencies import Frequencies
from catalogue.engines.elasticsearch_generations import Generations
from catalogue.engines.elasticsearch_mapping import document_id, rendered
from catalogue.engines.elasticsearch_notes import Notes
from catalogue.engines.elasticsearch_reader import ElasticsearchReader
from catalogue.engines.elasticsearch_searches import Searches
from catalogue.engines.elasticsearch_silence import ANSWERS_WITHIN_S, Silence
from catalogue.engines.elasticsearch_upkeep import (
    PURGE_EVERY_S,
    claim,
    purge_tombstones,
    take_over,
)
from catalogue.engines.elasticsearch_views import Mark, View, Views
from catalogue.engines.shared_state import StateStore
from catalogue.errors import (
    EngineDamaged,
    EngineError,
    EngineUnavailable,
    ForeignIndex,
    IndexReplaced,
)
from catalogue.fields import ENTITY_CLASSES
from catalogue.fingerprint import fingerprint

PART = 250
"""Documents rendered at once: the next are rendered while the server is at these."""


class ElasticsearchEngine:
    """Search in a cluster; see ``engines.base.Engine``.

    Args:
        urls: addresses of nodes, divided by commas.
        prefix: begins the names of all our indices; a user needs rights on ``<prefix>-*`` only.
        shards, replicas: of each class's index, when it is made.
        generation: write to and read from this generation, whatever the aliases say.
        store: identity of the record store whose indices these are to be; nobody's when missing.
        taking_over: with the next rebuild they become this store's, whoever's they were.
        answers_within_s: what a step of a question may take, see ``elasticsearch_silence``.
        now: the instant that tombstones' ages are counted from.
    """

    name = "elasticsearch"
    in_process = False
    numbering = None
    position_seen: Seen | None = None
    """Views are kept for a while, so a reader tells of the past."""

    def __init__(
        self,
        urls: str,
        *,
        prefix: str = "pan-commons",
        shards: int = 1,
        replicas: int = 0,
        read_only: bool = False,
        generation: str | None = None,
        store: str | None = None,
        taking_over: bool = False,
        opens_within_s: float = OPENING_TIMEOUT_S,
        answers_within_s: float = ANSWERS_WITHIN_S,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.urls = urls
        self.prefix = prefix
        self.shards = shards
        self.replicas = replicas
        self.read_only = read_only
        self._named = generation
        self._generation = generation
        self._client = connect(urls)
        self._silence = Silence(self._client, len(nodes_of(urls)), answers_within_s)
        self._searches = Searches(self._client.transport, authorization(), self._silence)
        self._notes = Notes(self._client, prefix, sleep, silence=self._silence)
        self._generations = Generations(self._client, prefix, shards, replicas, self._silence)
        self._meant: str | None = None
        self._opens_within_s = opens_within_s
        self._sleep = sleep
        self._now = now
        self._purged_at = time.monotonic()
        self.store = store
        self.taking_over = taking_over
        self._frequencies = Frequencies(time.monotonic)
        self._views = Views(self._silence, self._mark, time.monotonic, sleep)

    # --- opening ------------------------------------------------------------------------------

    async def open(self) -> None:
        """Make the indices if there are none.

        Raises:
            EngineUnavailable: no node answers.
            ForeignStore: they are another record store's.
            EngineError: the cluster forbids what ranges over terms need.
        """
        await self._check_settings()
        if not self.read_only:
            await self._generations.create_shared()
        if self._named is not None:
            await self._create(self._named, aliased=False)
            return
        if not self.read_only:
            await self._require_ownership()
        found = await self._generations.current()
        if found is None and not self.read_only:
            await self._create(f"{fingerprint()}-1", aliased=True)
            found = await self._generations.current()
        self._generation = found

    async def _check_settings(self) -> None:
        async with translated("checking its settings"):
            try:
                brief = self._client.options(request_timeout=self._opens_within_s)
                answer = await brief.cluster.get_settings(include_defaults=True, flat_settings=True)
            except elasticsearch.ConnectionTimeout as error:
                raise EngineUnavailable(
                    f"Elasticsearch at {without_password(self.urls)} gave no answer within "
                    f"{self._opens_within_s:g} s: it hangs, or is overloaded."
                ) from error
            except (elasticsearch.AuthorizationException, elasticsearch.AuthenticationException):
                return  # rights on our own indices are enough
        for part in ("transient", "persistent", "defaults"):
            value = answer.get(part, {}).get("search.allow_expensive_queries")
            if value is not None:
                if str(value).lower() == "false":
                    raise EngineError(
                        "This Elasticsearch has search.allow_expensive_queries set to false; "
                        "ranges over terms need it to be true."
                    )
                return

    async def _create(self, generation: str, *, aliased: bool) -> None:
        if not await self._generations.exists(generation):
            # An index of that name may have been filled, and removed.
            await self._notes.remove(_position_of(generation))
        await self._generations.create(generation, aliased=aliased)

    def alias(self, class_name: str) -> str:
        return self._generations.alias(class_name)

    def index(self, class_name: str) -> str:
        return self._generations.index(class_name, self._generation)

    # --- writing ------------------------------------------------------------------------------

    def try_lock(self) -> bool:
        """Any number of processes may index: external versions keep their writes in order."""
        return not self.read_only

    async def has_writer(self) -> bool:
        """Nobody takes a lock, but whoever follows the outbox renews what is published."""
        return await self._notes.are_kept()

    async def release(self) -> None:
        """Nothing is held between writes."""

    render = staticmethod(rendered)

    async def expect(self, until: int) -> int:
        position = await self.position()
        self._meant = self._generation
        return position

    async def apply(self, documents: Sequence[EngineDocument | Rendered]) -> Applied:
        await self._follow()
        self._check_writable()
        await self._require_ownership()
        async with self._in_the_index_meant():
            return await self._apply(documents)

    async def _apply(self, documents: Sequence[EngineDocument | Rendered]) -> Applied:
        newest: dict[str, EngineDocument | Rendered] = {}
        for document in documents:
            held = newest.get(document.key)
            if held is None or held.change <= document.change:
                newest[document.key] = document
        wanted = list(newest.values())
        parts = [wanted[at : at + PART] for at in range(0, len(wanted), PART)]
        return await BulkWriter(self._send, self._sleep).write_parts(
            [partial(self._items, part) for part in parts]
        )

    async def _send(self, lines: list[bytes]) -> Any:
        # The client's types know mappings only; its serializer passes bytes through. By an alias,
        # or the server would make an index for documents that come after theirs is gone.
        return await self._client.bulk(operations=cast(Any, lines), require_alias=True)

    def _items(self, documents: Sequence[EngineDocument | Rendered]) -> list[Item]:
        return [
            Item(
                self._generations.written(document.entity_class, self._generation),
                document_id(document.key),
                document.key,
                document.change,
                document.body,
                document.deleted,
            )
            for document in newest_by_key(documents, rendered)
        ]

    async def _require_ownership(self) -> None:
        """Raises ``ForeignStore`` when another record store has the indices, by now."""
        if self.store is not None and not self.taking_over:
            await claim(self._client, self.prefix, self.store, self._generations.create_shared)

    @asynccontextmanager
    async def _in_the_index_meant(self) -> AsyncIterator[None]:
        """Raises ``IndexReplaced`` rather than that an index is missing, when another is in use."""
        try:
            yield
        except EngineDamaged:
            await self._follow()
            self._check_meant()
            raise

    def _check_meant(self) -> None:
        if self._meant not in (None, self._generation):
            # Its position may be behind changes that went into the former one.
            raise IndexReplaced(f"The search index {self._meant} is no longer the one in use.")

    def _check_writable(self) -> None:
        if self.read_only:
            raise EngineError("The search index was opened for reading only.")
        if self._generation is None:
            raise EngineDamaged("There is no search index yet.")
        self._check_meant()
        if not self._generation.startswith(fingerprint()):
            raise ForeignIndex(
                f"The search index {self._generation} was made with another mapping or analysis; "
                f"this version writes {fingerprint()}. Run: pan-commons index rebuild"
            )

    async def commit(self, position: int) -> None:
        self._check_writable()
        note = _position_of(self._generation)
        async with self._in_the_index_meant(), translated("committing"):
            # So that no view of several classes begins between the refresh of one and another.
            await self._notes.add(note, {"committing": True})
            names = self._generations.indices_of(self._generation)
            answer = await self._client.indices.refresh(index=names)
            if answer["_shards"]["failed"]:
                raise EngineUnavailable("Elasticsearch could not refresh all shards.")
            await self._notes.put(note, {"position": position})
        await self._start_afresh()
        if time.monotonic() - self._purged_at > PURGE_EVERY_S:
            await self.purge()

    async def purge(self) -> int:
        """Remove tombstones that have served their time; returns how many (semantics 1.4)."""
        self._purged_at = time.monotonic()
        now = self._now()
        names = [self.index(name) for name in ENTITY_CLASSES]
        return sum([await purge_tombstones(self._client, name, now) for name in names])

    async def position(self) -> int:
        return (await self._mark()).position

    async def _mark(self) -> Mark:
        await self._follow()
        if self._generation is None:
            return Mark(None, 0, (0, 0), settled=True)
        note = await self._notes.get(_position_of(self._generation))
        if note is None:
            return Mark(self._generation, 0, (0, 0), settled=True)
        position = int(note.value.get("position", 0))
        return Mark(
            self._generation, position, note.version, settled="committing" not in note.value
        )

    async def publish(self, store: StateStore, documents: Sequence[Rendered] = ()) -> None:
        """Put beside the records what API nodes without a store need (semantics 10.4)."""
        await self._notes.publish(store, documents)

    async def clear(self) -> None:
        other = await self.beside()
        await self.replace_with(other)

    async def restart_empty(self) -> None:
        """Put an empty generation in the place of a missing or damaged one."""
        await self.clear()

    # --- rebuilding ---------------------------------------------------------------------------

    async def beside(self) -> ElasticsearchEngine:
        """An empty generation beside the one in use, to be filled and then swapped in."""
        if self.read_only:
            raise EngineError("The search index was opened for reading only.")
        other = ElasticsearchEngine(
            self.urls,
            prefix=self.prefix,
            shards=self.shards,
            replicas=self.replicas,
            generation=await self._generations.next(),
            sleep=self._sleep,
        )
        await other.open()
        return other

    async def discard(self) -> None:
        """Remove a generation that was begun beside the one in use and will not be swapped in."""
        if self._named is not None:
            await self._generations.remove(self._named)
        await self.close()

    async def replace_with(self, other: ElasticsearchEngine) -> None:
        """Move the aliases to the other generation at once; the old indices go."""
        await self._generations.use(other._generation)
        self._generation = other._generation
        self._meant = None
        if self.taking_over and self.store is not None:
            await take_over(self._client, self.prefix, self.store)
            self.taking_over = False
        await self._start_afresh()
        await other.close()

    async def _follow(self) -> None:
        """Change over to the generation that the aliases name by now."""
        if self._named is None:
            self._generation = await self._generations.current()

    async def remove_all(self) -> None:
        """Remove every index of ours: the end of this search index, not of the records."""
        await self._generations.remove_all()

    # --- reading ------------------------------------------------------------------------------

    async def reader(self) -> ElasticsearchReader:
        if not (self._generation or "").startswith(fingerprint()):
            await self._follow()
        self._check_readable()
        # Through the aliases, so that a swap by another process is followed at once.
        names = {
            name: self.index(name) if self._named else self.alias(name) for name in ENTITY_CLASSES
        }
        view = await self._views.current(names)
        self._check_readable()  # another may have come into use, and the view be of that
        return ElasticsearchReader(self._searches, self._frequencies, view)

    def _check_readable(self) -> None:
        if self._generation is None:
            raise EngineDamaged("There is no search index in this Elasticsearch yet.")
        if not self._generation.startswith(fingerprint()):
            raise ForeignIndex(
                f"The search index {self._generation} was made with another mapping or analysis "
                f"than this version's {fingerprint()}. Run: pan-commons index rebuild"
            )

    async def reader_of(self, pits: Mapping[str, str], best_possible: float) -> Reader:
        """A reader of the view that a cursor of whichever node names (``promise``)."""
        names = {name: self.alias(name) for name in ENTITY_CLASSES}
        view = View(self._silence, names, pits)
        return ElasticsearchReader(self._searches, self._frequencies, view, best_possible)

    async def _start_afresh(self) -> None:
        """Something is to be seen that no view shows yet."""
        self._frequencies.clear()
        await self._views.forget()

    async def size_bytes(self) -> int | None:
        if self._generation is None:
            return 0
        names = self._generations.indices_of(self._generation)
        try:
            async with translated("measuring"):
                answer = await self._client.indices.stats(index=names, metric="store")
        except EngineError:
            return None
        return int(answer["_all"]["primaries"]["store"]["size_in_bytes"])

    async def close(self) -> None:
        await self._views.close()
        with contextlib.suppress(elasticsearch.TransportError):
            await self._client.close()


def _position_of(generation: str | None) -> str:
    """The note that says how far a generation is."""
    return f"position-{generation}"
