"""Further pages of a federated answer: its candidates are pinned with its first page (9.3, 9.5).

A cursor names a snapshot: what is left of the live hits, with their records, and where the index's
hits go on. Facilities are not asked again, so no hit is skipped or comes twice; whoever answers
later is not in this cursor. Snapshots are kept ten minutes, in memory and, shortly after the
answer, in ``serving.sqlite``, where every worker finds them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, cast

import anyio
import orjson
import zstandard

from catalogue.cursors import KEPT, expired, question_digest
from catalogue.errors import QueryError
from catalogue.oracle import Entity
from catalogue.query import Search
from catalogue.readings import Pool
from catalogue.records import Change, EntityClass, StoredEntity
from catalogue.said import FIRST_ORDINAL, Said, unpacked
from catalogue.statistics import CollectionStatistics
from search_api.federation.background import Background
from search_api.federation.participants import Asked
from search_api.federation.reports import FacilityLine
from search_api.federation.serving_store import ServingStore

KIND = "live"
MOST_IN_MEMORY = 64
MOST_POOLS = 16
TOGETHER_S = 0.05
"""Snapshots wait so long for others, and are written together: to go to a thread and to the file
for each took a seventh of what a question takes of the processor, while its answer was made."""
SETTLING_S = 1.0
"""How long a cursor's snapshot may be on its way to where other workers find it."""
LOOKS = 50
"""Looks for one in that time."""
POOL_STEP = 200
"""Records of a pool that are written at a time, in less than a millisecond."""
POOL_LEVEL = 1
_LONGEST = 500


class PoolRecords(Mapping[str, Mapping[str, Any]]):
    """The records of some entities of a pool and of what they contain, read when they are asked
    for: of most cursors nobody ever asks for the next page."""

    def __init__(self, pool: Pool, keys: Sequence[str]) -> None:
        self.pool = pool
        self._keys = keys

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        return self.pool.entities[key].stored.record

    def __iter__(self) -> Iterator[str]:
        return iter(self._entities())

    def __len__(self) -> int:
        return len(self._entities())

    def _entities(self) -> dict[str, Said | StoredEntity]:
        found: dict[str, Said | StoredEntity] = {}
        for key in self._keys:
            entity = self.pool.entities[key]
            if isinstance(entity, Said):
                found[key] = entity
                found.update((child.key, child) for child in entity.contained)
            else:
                found[key] = entity.stored
                found.update((child.key, child) for child in entity.children)
        return found


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the next page is dealt from.

    ``live`` and ``indexed`` are (key, score) in order; ``records`` those of the live hits and of
    what they contain. ``facilities``, ``without`` and ``match`` are the index side's.
    ``collection`` is what scores were made with.
    """

    live: tuple[tuple[str, float], ...]
    indexed: tuple[tuple[str, float], ...]
    records: Mapping[str, Mapping[str, Any]]
    index_at: int
    index_done: bool
    facilities: tuple[str, ...]
    without: frozenset[int]
    match: Literal["all", "any"] | None
    collection: CollectionStatistics | None
    total: tuple[int, str]
    relaxed: bool
    lines: tuple[FacilityLine, ...]
    partly: frozenset[str] = frozenset()

    def pool(self) -> Pool:
        """The live records as the oracle sees them."""
        if isinstance(self.records, PoolRecords):
            return self.records.pool
        stored = {
            key: StoredEntity(
                key, cast(EntityClass, record["class"]), FIRST_ORDINAL + n, 0, False, record
            )
            for n, (key, record) in enumerate(self.records.items())
        }
        entities = {}
        for key, entity in stored.items():
            children = tuple(
                stored[child] for child in entity.record.get("datasets") or () if child in stored
            )
            entities[key] = Entity(Change(entity, children))
        return Pool(entities)


def pool_to_bytes(pool: Pool) -> bytes:
    """All records of a pool, compressed: lines of JSON objects, some records in each, so that
    nothing that writes or reads them keeps other threads from the interpreter for long.
    ``Said.packed`` writes those that are one facility's word."""
    packing = zstandard.ZstdCompressor(level=POOL_LEVEL).compressobj()
    packed = []
    waiting = iter(pool.entities.items())
    while some := dict(islice(waiting, POOL_STEP)):
        records: dict[str, Any] = {}
        for key, one in some.items():
            if isinstance(one, Said):
                records[key] = one.packed()
                continue
            records[key] = one.stored.record
            # Of Datasets that only the index has of it nobody else speaks.
            records.update((c.key, c.record) for c in one.children if c.key not in pool.entities)
        line = orjson.dumps(records, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
        packed.append(packing.compress(line))
    return b"".join((*packed, packing.flush()))


def pool_records(body: bytes) -> dict[str, Any]:
    """Read what ``pool_to_bytes`` wrote."""
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(body).split(b"\n")
    return {key: record for line in lines if line for key, record in orjson.loads(line).items()}


def to_bytes(snapshot: Snapshot, pool: str | None = None) -> bytes:
    """The snapshot as JSON; its records apart, where ``pool`` names the place of their own."""
    collection = snapshot.collection
    return orjson.dumps(
        {
            "live": snapshot.live,
            "indexed": snapshot.indexed,
            "records": dict(snapshot.records) if pool is None else pool,
            "at": snapshot.index_at,
            "done": snapshot.index_done,
            "facilities": snapshot.facilities,
            "without": sorted(snapshot.without),
            "match": snapshot.match,
            "collection": None
            if collection is None
            else [
                collection.documents,
                collection.lengths,
                [[*term, count] for term, count in collection.frequencies.items()],
            ],
            "total": snapshot.total,
            "relaxed": snapshot.relaxed,
            "lines": snapshot.lines,
            "partly": sorted(snapshot.partly),
        },
        option=orjson.OPT_NON_STR_KEYS,
    )


def pool_of(body: bytes) -> str | None:
    """The name of the pool that a snapshot's records are in, if they are apart."""
    found = orjson.loads(body)["records"]
    return found if isinstance(found, str) else None


def from_bytes(body: bytes, pool: bytes | None = None) -> Snapshot:
    """Read what ``to_bytes`` wrote, and ``pool_to_bytes``."""
    held = orjson.loads(body)
    records = held["records"] if pool is None else pool_records(pool)
    collection = held["collection"]
    return Snapshot(
        tuple((key, score) for key, score in held["live"]),
        tuple((key, score) for key, score in held["indexed"]),
        {key: unpacked(one) if "said" in one else one for key, one in records.items()},
        held["at"],
        held["done"],
        tuple(held["facilities"]),
        frozenset(held["without"]),
        held["match"],
        None
        if collection is None
        else CollectionStatistics(
            collection[0], collection[1], {(name, term): n for name, term, n in collection[2]}
        ),
        (held["total"][0], held["total"][1]),
        held["relaxed"],
        tuple(_line(one) for one in held["lines"]),
        frozenset(held["partly"]),
    )


def _line(held: dict[str, Any]) -> FacilityLine:
    for name in ("until", "silent_since"):
        if held[name] is not None:
            held[name] = datetime.fromisoformat(held[name])
    for name in ("missing", "unseen", "passed_on"):
        held[name] = tuple(held.get(name) or ())
    return FacilityLine(**held)


def digest_of(search: Search, asked: Asked) -> str:
    """Names a question and whom it asks, apart from its page."""
    return question_digest(search) + repr((asked.facilities, asked.mode))


def is_ours(cursor: str) -> bool:
    """Whether a cursor is one of federated answers."""
    return (_fields(cursor) or {}).get("k") == KIND


def _fields(cursor: str) -> dict[str, Any] | None:
    if len(cursor) > _LONGEST:
        return None
    try:
        fields = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        return None
    return fields if isinstance(fields, dict) else None


_Waiting = tuple[str, Snapshot, datetime]
"""A snapshot that is to be written: its name, and until when it is kept."""


@dataclass(slots=True)
class Pages:
    """Snapshots by name, for the cursors of one server process. ``pause``: waits some seconds."""

    serving: ServingStore
    background: Background
    now: Callable[[], datetime]
    kept: timedelta = KEPT
    pause: Callable[[float], Awaitable[None]] = anyio.sleep
    _held: OrderedDict[str, tuple[float, Snapshot]] = field(default_factory=OrderedDict)
    _pools: OrderedDict[int, tuple[Pool, str]] = field(default_factory=OrderedDict)
    _waiting: list[_Waiting] = field(default_factory=list)
    _saving: anyio.Lock = field(default_factory=anyio.Lock)

    def put(self, snapshot: Snapshot, search: Search, asked: Asked) -> str:
        """Keep a snapshot; gives the cursor that leads to it."""
        name = secrets.token_urlsafe(12)
        expires = self.now() + self.kept
        self._held[name] = (expires.timestamp(), snapshot)
        while len(self._held) > MOST_IN_MEMORY:
            self._held.popitem(last=False)
        if not self._waiting:
            self.background.start(self._save)
        self._waiting.append((name, snapshot, expires))
        made_at = self.now().timestamp()
        fields = {"k": KIND, "q": _short(digest_of(search, asked)), "s": name, "t": made_at}
        return base64.urlsafe_b64encode(orjson.dumps(fields)).decode().rstrip("=")

    async def get(self, cursor: str, search: Search, asked: Asked) -> Snapshot:
        """The snapshot that a cursor leads to.

        Raises:
            QueryError: it belongs to another question. CursorExpired: it is not kept any more.
        """
        fields = _fields(cursor) or {}
        if fields.get("q") != _short(digest_of(search, asked)):
            raise QueryError(
                "The cursor belongs to another question; start again without it.", field="cursor"
            )
        name = str(fields.get("s"))
        now = self.now()
        held = self._held.get(name)
        if held is not None and held[0] >= now.timestamp():
            return held[1]
        body = await self._written(name, fields.get("t"))
        if body is None:
            raise expired()
        pool = pool_of(body)
        if pool is None:
            return from_bytes(body)
        records = await self.serving.run(self.serving.snapshot, pool, now)
        if records is None:
            raise expired()
        return await self.serving.run(from_bytes, body, records)

    async def _written(self, name: str, made_at: object) -> bytes | None:
        """A snapshot that another worker wrote, or is about to write: who reads fast is here with a
        cursor before that."""
        for _ in range(LOOKS):
            now = self.now()
            body = await self.serving.run(self.serving.snapshot, name, now)
            is_new = isinstance(made_at, float | int) and now.timestamp() - made_at <= SETTLING_S
            if body is not None or not is_new:
                return body
            await self.pause(SETTLING_S / LOOKS)
        return None

    async def _save(self) -> None:
        """Write the snapshots that come in a moment, and each pool unless that is there already:
        the same records answer question after question, and are many times as large."""
        try:
            await self.pause(TOGETHER_S)
        finally:
            waiting, self._waiting = self._waiting, []
        pools: dict[str, tuple[Pool, datetime]] = {}
        named: list[tuple[_Waiting, str | None]] = []
        for one in waiting:
            _, snapshot, expires = one
            pool = None
            if isinstance(snapshot.records, PoolRecords):
                pool = self._pool_name(snapshot.records.pool)
                pools[pool] = (snapshot.records.pool, expires)
            named.append((one, pool))

        def save() -> None:
            missing = self.serving.prolong_snapshots(
                {name: end for name, (_, end) in pools.items()}
            )
            bodies = [(name, pool_to_bytes(pools[name][0]), pools[name][1]) for name in missing]
            bodies += [
                (name, to_bytes(snapshot, pool), expires)
                for (name, snapshot, expires), pool in named
            ]
            self.serving.put_snapshots(bodies, self.now())

        async with self._saving:  # or the second of two would not see that the pool is there
            await self.serving.run(save)

    def _pool_name(self, pool: Pool) -> str:
        held = self._pools.pop(id(pool), None) or (pool, f"pool {secrets.token_urlsafe(12)}")
        # The pool is held, so that its identity cannot come to mean another one.
        self._pools[id(pool)] = held
        while len(self._pools) > MOST_POOLS:
            self._pools.popitem(last=False)
        return held[1]


def _short(digest: str) -> str:
    return hashlib.blake2b(digest.encode(), digest_size=9).hexdigest()
