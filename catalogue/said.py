"""What one facility says of one thing, kept as compact as it came.

Of a thousand records that a facility names, a page shows twenty. So the record stays the bytes that
it was written as until somebody looks into it; what ranking and counting need of all of them stands
beside, as a few texts: the garbage collector finds nothing in them to look through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, NamedTuple, cast

import orjson

from catalogue import technique_scoring
from catalogue.analysis import identifier_wholes
from catalogue.documents import ReadLines, Texts, facet_values, read_lines
from catalogue.fields import elements
from catalogue.oracle import Entity, Thing, spaced_out
from catalogue.records import Change, EntityClass, StoredEntity
from catalogue.signs import identifiers_are_plain

FIRST_ORDINAL = 1 << 40
"""Ordinals of entities that are in no store begin here, behind all that a store gives."""

NEXT = "\n"
"""Between lines."""
_NOT_GIVEN = ("class", "key", "facility")


class Row(NamedTuple):
    """A part of a reading, ready to be sent from one process to another.

    ``derived``: a Dataset made of a flat record, which gives way to real ones (semantics 1.3).
    ``written``: the record as JSON. What it is found and counted by stands behind it where that was
    worked out already (``is_counted``): ``documents.Texts``, each term between two blanks of its
    own and each line at the end of one, but of ``wholes`` only those that are not of
    ``identifiers``, which stand beside in lower case, a line each: hardly a question asks for them;
    how many terms there are; tags; ``documents.facet_values`` as JSON.
    """

    key: str
    entity_class: str
    kind: str | None
    derived: bool
    written: bytes
    is_counted: bool = False
    title: str = ""
    text: str = ""
    words: str = ""
    wholes: str = ""
    identifiers: str = ""
    title_size: int = 0
    text_size: int = 0
    tags: str = ""
    facets: bytes = b"{}"

    def part(self) -> dict[str, Any]:
        """The record as the facility gave it."""
        found: dict[str, Any] = orjson.loads(self.written)
        return found


@dataclass(slots=True)
class Voice:
    """Whose word it is. ``provider``: base URL of the facility's Search API, where it is known."""

    source: str
    facility: str
    provider: str = ""


class Said(Entity):
    """An entity of which only one facility has a word, for the oracle.

    Args:
        relatives: keys at the other end of Document–Dataset that are at hand.
        contained: of a Document, those of its Datasets that count.
    """

    def __init__(
        self, row: Row, voice: Voice, relatives: tuple[str, ...], contained: tuple[Said, ...] = ()
    ) -> None:
        self.row = row
        self.voice = voice
        self.relatives = relatives
        self.contained = contained
        self._stored: StoredEntity | None = None

    @property
    def key(self) -> str:
        return self.row.key

    @property
    def entity_class(self) -> EntityClass:
        return cast(EntityClass, self.row.entity_class)

    @property
    def kind(self) -> str | None:
        return self.row.kind

    @property
    def facilities(self) -> tuple[str, ...]:
        return (self.voice.facility,) if self.voice.facility else ()

    def part(self) -> dict[str, Any]:
        """The record as the facility gave it."""
        return self.row.part()

    def packed(self) -> dict[str, Any]:
        """The record as JSON that costs little to write, for ``unpacked``."""
        voice = self.voice
        return {
            "said": orjson.Fragment(self.row.written),
            "by": (voice.source, voice.facility, voice.provider),
            "related": self._related(),
        }

    def _related(self) -> Mapping[str, Sequence[str]]:
        if self.row.entity_class == "Dataset":
            return {"documents": list(self.relatives)}
        if self.row.entity_class == "Document":
            return {"datasets": [one.key for one in self.contained]}
        return {}

    @property
    def stored(self) -> StoredEntity:  # type: ignore[override]
        if self._stored is None:
            record = alone(self.part(), self.voice, self._related())
            self._stored = StoredEntity(
                self.key, self.entity_class, FIRST_ORDINAL, 0, False, record
            )
        return self._stored

    @property
    def change(self) -> Change:  # type: ignore[override]
        return Change(self.stored, tuple(one.stored for one in self.contained))

    @property
    def children(self) -> list[StoredEntity]:  # type: ignore[override]
        return [one.stored for one in self.contained]

    @property
    def thing(self) -> Thing:
        return Thing(self.row.entity_class, Glance(self), self)

    @property
    def texts(self) -> Texts:
        row = self.row
        if not row.is_counted:
            return super().texts
        return Texts(
            [line.split() for line in row.title.split(NEXT)],
            [line.split() for line in row.text.split(NEXT)],
            set(row.words.split()),
            set(self._wholes),
        )

    @property
    def bags(self) -> Mapping[str, Sequence[str]]:
        row = self.row
        if not row.is_counted:
            return super().bags
        return {"text": row.text.split(), "title": row.title.split(), "wholes": self._wholes}

    def occurrences(self, name: str, term: str) -> int:
        row = self.row
        if not row.is_counted:
            return super().occurrences(name, term)
        # Of all that scoring does this is done most: the field is looked up here.
        if name == "wholes":
            return self._wholes.count(term)
        field = row.text if name == "text" else row.title
        return field.count(f" {term} ")

    def size(self, name: str) -> int:
        row = self.row
        if not row.is_counted:
            return super().size(name)
        if name == "text":
            return row.text_size
        return row.title_size if name == "title" else len(self._wholes)

    def spaced(self, name: str) -> str:
        return self._field(name) if self.row.is_counted else super().spaced(name)

    def has_any(self, name: str, terms: frozenset[str]) -> bool:
        if not self.row.is_counted:
            return super().has_any(name, terms)
        field = self._field(name)
        return any(f" {term} " in field for term in terms)

    def has_phrase(self, name: str, words: Sequence[str]) -> bool:
        if not self.row.is_counted:
            return super().has_phrase(name, words)
        # Each line has an end of its own, so what stands side by side stands in one line.
        return f" {'  '.join(words)} " in self._field(name)

    def has_prefix(self, prefix: str) -> bool:
        if not self.row.is_counted:
            return super().has_prefix(prefix)
        return f" {prefix}" in f" {self.row.words}"

    def _field(self, name: str) -> str:
        if name == "text":
            return self.row.text
        return self.row.title if name == "title" else spaced_out(self._wholes)

    @property
    def signs(self) -> tuple[str, str]:
        row = self.row
        return (row.wholes, row.identifiers) if row.is_counted else super().signs

    @cached_property
    def _wholes(self) -> tuple[str, ...]:
        """All wholes, those of identifiers worked out when somebody asks for them."""
        found = set(self.row.wholes.split())
        found.update(*map(identifier_wholes, self.row.identifiers.split(NEXT)))
        return tuple(found)

    @property
    def facets(self) -> dict[str, tuple[str, ...]]:
        if not self.row.is_counted:
            return {**super().facets, "facility": self.facilities}
        return _facets(self.row.facets, self.facilities)

    @property
    def tags(self) -> frozenset[str]:
        return _tags(self.row.tags) if self.row.is_counted else super().tags


class Glance(Mapping[str, Any]):
    """A record as conditions see it: the kind, which nearly every question asks for, without
    reading all."""

    __slots__ = ("_said",)

    def __init__(self, said: Said) -> None:
        self._said = said

    def get(self, name: str, default: Any = None) -> Any:
        if name == "kind":
            kind = self._said.row.kind
            return default if kind is None else kind
        return self._said.stored.record.get(name, default)

    def __getitem__(self, name: str) -> Any:
        return self._said.stored.record[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._said.stored.record)

    def __len__(self) -> int:
        return len(self._said.stored.record)


@lru_cache(maxsize=4_096)
def _tags(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


@lru_cache(maxsize=4_096)
def _facets(written: bytes, facilities: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Most records of a facility are counted under the same values as another one."""
    found = {name: tuple(values) for name, values in orjson.loads(written).items()}
    return {**found, "facility": facilities}


def _apart(lines: Sequence[str]) -> str:
    return f" {_BETWEEN.join(lines).replace(' ', '  ')} "


_BETWEEN = f" {NEXT} "


def unpacked(packed: Mapping[str, Any]) -> dict[str, Any]:
    """The record that ``Said.packed`` wrote."""
    return alone(packed["said"], Voice(*packed["by"]), packed["related"])


def alone(
    part: dict[str, Any], voice: Voice, related: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """A part as the record that it makes where nobody else has a word; changes ``part``."""
    part["provenance"] = {name: voice.source for name in part if name not in _NOT_GIVEN}
    part["facility"] = voice.facility
    part["facilities"] = [voice.facility]
    part["provider"] = voice.provider
    part.update(related)
    return part


def row_of(part: Mapping[str, Any]) -> Row:
    """A part as it is kept, not counted."""
    return _tuple(Row, (*_identity(part), _written(part), *_NOT_COUNTED))


def counted_rows(
    parts: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
) -> list[Row]:
    """Parts as they are kept, each with what it contains (of a Document, its Datasets); all in
    steps, because the code of a step fits into a processor's caches and that of all does not."""
    changes = [Change(_stored_of(part), tuple(map(_stored_of, inside))) for part, inside in parts]
    texts = list(map(_text_columns, read_lines(changes)))
    tags = [_tags_of(part, inside) for part, inside in parts]
    facets = [_counted(*facet_values(one.entity, one.children).items()) for one in changes]
    return [
        _tuple(Row, (*_identity(part), _written(part), True, *columns, tagged, counted))
        for (part, _), columns, tagged, counted in zip(parts, texts, tags, facets, strict=True)
    ]


_tuple = tuple.__new__
"""Makes a named tuple of all its fields, without the call of a function in Python."""
_NOT_COUNTED = tuple(Row._field_defaults.values())


def _identity(part: Mapping[str, Any]) -> tuple[str, str, str | None, bool]:
    kind = part.get("kind")
    known = kind if isinstance(kind, str) else None
    return part["key"], part["class"], known, bool(part.get("derived"))


def _text_columns(lines: ReadLines) -> tuple[str, str, str, str, str, int, int]:
    """From ``title`` to ``text_size`` of a ``Row``."""
    titles, others, identifiers = lines
    listed = NEXT.join(identifiers).lower()
    wholes: set[str] = set()
    if not identifiers_are_plain(listed, len(identifiers)):
        listed = ""
        wholes.update(*map(identifier_wholes, identifiers))
    text = [*titles, *others]
    if not text:
        return (_apart(()), _apart(()), "", spaced_out(wholes), listed, 0, 0)
    stems, words, of_lines, _ = zip(*text, strict=True)
    if any(of_lines):
        wholes.update(*of_lines)
    end = len(titles)
    return (
        _apart(stems[:end]),
        _apart(stems),
        " ".join(chain.from_iterable(words)),
        spaced_out(wholes),
        listed,
        sum(map(len, words[:end])),
        sum(map(len, words)),
    )


def _tags_of(part: Mapping[str, Any], contained: Sequence[Mapping[str, Any]]) -> str:
    datasets = (part,) if part["class"] == "Dataset" else contained
    techniques = [one for dataset in datasets for one in elements(dataset, "techniques")]
    return _listed(technique_scoring.tags_of(techniques))


@lru_cache(maxsize=4_096)
def _listed(tags: frozenset[str]) -> str:
    return " ".join(tags)


def _written(value: object) -> bytes:
    """The value as JSON, in a copy of its own: what orjson gives holds memory for several times as
    much (orjson 3.13: 8 kB for a record of 1), and thousands of these are kept."""
    return memoryview(orjson.dumps(value)).tobytes()


@lru_cache(maxsize=4_096)
def _counted(*facets: tuple[str, tuple[str, ...]]) -> bytes:
    """Most records of a facility are counted under the same values: one object for all of them."""
    return _written(dict(facets))


def _stored_of(part: Mapping[str, Any]) -> StoredEntity:
    return StoredEntity(part["key"], part["class"], FIRST_ORDINAL, 0, False, part)
