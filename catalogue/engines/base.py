"""What a search engine is asked to do: a few primitives, the same for all engines.

Everything that is the same for every engine (joins, verification, paging rules, scores on one
scale) is in ``catalogue/search.py``; an engine only translates physical plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from catalogue.documents import EngineDocument
from catalogue.plan import Plan, Score
from catalogue.records import EntityClass, Foreseen


@dataclass(frozen=True, slots=True)
class SortBy:
    """By a number field; records without it come last, ties by ordinal."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """Counts of the values of a raw field over the records of ``plan``."""

    field: str
    size: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of the records of ``plan``: by score when ``scores`` are given, else by ``sort`` and
    ordinal. Without ``keyed`` hits need no key: whoever asks goes by their ordinals; without
    ``versioned`` no change: whoever asks goes by ``Reader.complete_until``. With ``enough``, hits
    behind so many are only wanted where their score may be as good as the last of these."""

    entity_class: EntityClass
    plan: Plan
    scores: tuple[Score, ...] = ()
    sort: tuple[SortBy, ...] = ()
    skip: int = 0
    limit: int = 10
    count: bool = True
    facets: tuple[FacetRequest, ...] = ()
    keyed: bool = True
    versioned: bool = True
    enough: int | None = None


class EngineHit(NamedTuple):
    """A record found: ``change`` is the version that the engine holds. ``key`` and ``change`` may
    be ``None`` where none was asked for."""

    key: str | None
    ordinal: int
    change: int | None
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class EnginePage:
    """``best_possible`` is more than any record can score; 0 without scores."""

    hits: Sequence[EngineHit]
    total: int | None
    facets: Sequence[Sequence[tuple[str, int]]] = ()
    best_possible: float = 0.0


class Rendered(NamedTuple):
    """A document in the form of one engine: ``body`` is JSON, empty for what is deleted."""

    key: str
    entity_class: EntityClass
    ordinal: int
    change: int
    deleted: bool
    body: bytes


class Numbering(NamedTuple):
    """How an engine's documents are made before their numbers are known: ``render`` is a function
    of a module, so that another process can be asked to do it; ``number`` does the rest."""

    render: Callable[[EngineDocument], bytes]
    number: Callable[[Foreseen], Rendered]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch: ``rejected`` maps keys to reasons, never silently (fault F01)."""

    written: int = 0
    deleted: int = 0
    older: int = 0
    rejected: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """One consistent view of the index.

    ``stamp`` names the view: two readers with the same one, in whichever process, answer the same.
    ``None`` when the engine cannot tell. The view has every change up to ``complete_until``, 0 when
    it cannot tell: what the store has of one up to there is what the view has of it. It is
    ``filled`` unless nothing had been brought into the index when it began.
    """

    @property
    def stamp(self) -> str | None: ...

    @property
    def complete_until(self) -> int: ...

    @property
    def filled(self) -> bool: ...

    async def page(self, request: PageRequest) -> EnginePage: ...

    async def pages(self, requests: Sequence[PageRequest]) -> list[EnginePage]:
        """Several pages, which may be asked for in one request."""

    async def ranking(self, request: PageRequest) -> tuple[list[tuple[int, float]], float]:
        """(ordinal, raw score) of the best ``limit`` hits, and the best possible score."""

    async def rankings(
        self, requests: Sequence[PageRequest]
    ) -> list[tuple[list[tuple[int, float]], float]]:
        """As ``ranking``, several at once."""

    def foresees_nothing(self, entity_class: EntityClass, plan: Plan) -> bool:
        """Whether hardly any record can match, as far as is known without asking, where asking
        takes a while: then what would be asked next may be asked with it."""

    async def count(self, entity_class: EntityClass, plan: Plan) -> int: ...

    async def ordinals(
        self, entity_class: EntityClass, plan: Plan, most: int | None = None
    ) -> list[int]:
        """Ordinals of all matching records, or of ``most + 1`` of them when there are more."""

    async def versions(
        self, entity_class: EntityClass, plan: Plan
    ) -> Mapping[str, tuple[int, int]]:
        """Key → (ordinal, change) of all matching records."""

    async def values(self, entity_class: EntityClass, plan: Plan, field: str) -> set[str]:
        """All distinct values of a raw or link field among the matching records."""

    async def prefixed(
        self, entity_class: EntityClass, field: str, prefix: str, limit: int
    ) -> list[tuple[str, int]]:
        """Terms of a field with the prefix, and in how many records; most frequent first."""

    async def frequencies(
        self, entity_class: EntityClass, terms: Sequence[tuple[str, str]]
    ) -> tuple[int, list[int]]:
        """How many records there are, and how many have each (field, term)."""


def newest_by_key(
    documents: Sequence[EngineDocument | Rendered], render: Callable[[EngineDocument], Rendered]
) -> list[Rendered]:
    """Of several states of an entity the newest, rendered."""
    if len({document.key for document in documents}) == len(documents):
        return [one if isinstance(one, Rendered) else render(one) for one in documents]
    newest: dict[str, EngineDocument | Rendered] = {}
    for document in documents:
        held = newest.get(document.key)
        if held is None or held.change <= document.change:
            newest[document.key] = document
    return [one if isinstance(one, Rendered) else render(one) for one in newest.values()]


class Seen(NamedTuple):
    """A position, and when somebody began to look at it, in seconds of ``time.monotonic``."""

    at_s: float
    position: int


class Engine(Protocol):
    """An index of all entities. ``apply`` is idempotent: the change number is the version."""

    name: str
    in_process: bool
    """Whether readers do their work in threads of this process: then a whole question can be
    answered in one of them."""

    async def open(self) -> None:
        """Make ready: create what is missing, check the fingerprint."""

    async def reader(self) -> Reader: ...

    @property
    def render(self) -> Callable[[EngineDocument], Rendered]:
        """Gives a document the form of this engine: a function of a module, so that another process
        can be asked to do it."""

    @property
    def numbering(self) -> Numbering | None:
        """For documents made ahead of their numbers; ``None`` where that cannot be."""

    async def expect(self, until: int) -> int:
        """Be told up to which number changes are about to come, all those before being committed;
        tells after which they are wanted. What is written from now on is meant for the index of
        this moment: once another has its place, ``apply`` and ``commit`` raise ``IndexReplaced``.
        """

    async def apply(self, documents: Sequence[EngineDocument | Rendered]) -> Applied:
        """Write or delete entities; an older change never overwrites a newer one (fault F12)."""

    async def commit(self, position: int) -> None:
        """Make durable and searchable, together with the outbox position reached."""

    async def position(self) -> int:
        """The change number up to which the index is complete; 0 when empty."""

    @property
    def position_seen(self) -> Seen | None:
        """The position as the last reader found it; ``None`` where readers do not look at each
        question."""

    async def clear(self) -> None:
        """Empty the index."""

    async def restart_empty(self) -> None:
        """Put an empty index in the place of a damaged one."""

    async def beside(self) -> Any:
        """An empty index beside the one in use, to be filled and then swapped in."""

    async def discard(self) -> None:
        """Remove an index made by ``beside`` that will not be swapped in."""

    async def replace_with(self, other: Any) -> None:
        """Swap to the index made by ``beside`` and remove the former one."""

    def try_lock(self) -> bool:
        """Become a writer, if this engine allows another."""

    async def has_writer(self) -> bool:
        """Whether a process is there that writes, as far as can be seen."""

    async def release(self) -> None:
        """Let another process write."""

    async def size_bytes(self) -> int | None: ...

    async def close(self) -> None: ...
