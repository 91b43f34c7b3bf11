"""From a changed entity to what an engine indexes: terms, numbers and three fields of words.

Everything that can be filtered is a term in a raw field or a number (semantics 5.4, 9.4); texts
become *stems*, *words* and *wholes* (semantics 6.1). A Document carries what its Datasets say of
technique, sample and instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from catalogue import analysis, technique_scoring
from catalogue.access import FOREVER, deciding, spans_of
from catalogue.analysis import Line, line
from catalogue.completions import suggestions_of
from catalogue.engine_fields import CUT_WORDS, SPAN_NUMBERS
from catalogue.fields import Kind, elements, stored_value, strings
from catalogue.parameter_terms import parameter_terms
from catalogue.record_terms import (
    Again,
    PartsPlan,
    Shape,
    Terms,
    add_part_terms,
    add_pid_and_doi,
    add_value_terms,
    apart,
    class_plan,
    int_or_none,
    term,
)
from catalogue.records import Change, EntityClass, StoredEntity
from catalogue.shares import Share, lines_of, share_of, shares_of_members

MAX_YEARS = 200
"""An experiment that claims more years than this is indexed for facets under the first ones."""

MAX_CHILD_IDENTIFIERS = 500

CARRIED = ("techniques", "samples", "instrument")
"""Relations of a Dataset whose terms its Documents carry, under ``datasets.``, without limit."""

FACET_TERM_BYTES = 2_000


_TITLES = ("title", "name")
_OTHERS = ("summary", "keywords", "instrumentNames", "type", "proposal")


class TextLines(NamedTuple):
    """What of a record is searched as text: prose by line, and identifiers."""

    title: tuple[str, ...]
    others: tuple[str, ...]
    identifiers: tuple[str, ...]


@dataclass(slots=True)
class EngineDocument:
    """One entity as an engine indexes it. All terms are final: engines only split at spaces.

    ``text`` and ``title`` are lines of stems, ``title_words`` those of the title unstemmed;
    ``words`` is the set of unstemmed words; ``record`` is the entity itself, for engines that
    hydrate hits without a store at hand (semantics 10.4).
    """

    key: str
    entity_class: EntityClass
    ordinal: int
    change: int
    deleted: bool = False
    exact: Terms = field(default_factory=lambda: Terms({}, set()))
    params: set[str] = field(default_factory=set)
    all_params: set[str] = field(default_factory=set)
    panet: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    facets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    links: tuple[int, ...] = ()
    text: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    title_words: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    wholes: set[str] = field(default_factory=set)
    suggestions: set[str] = field(default_factory=set)
    record: Mapping[str, Any] = field(default_factory=dict)
    changed_at: datetime | None = None

    @property
    def terms(self) -> set[str]:
        """The exact terms of its fields and parts."""
        return self.exact.all()


def text_lines(change: Change) -> TextLines:
    """The texts of an entity and what it contains, in a fixed order, each line once."""
    record = change.entity.record
    of_document = change.entity.entity_class == "Document"
    title = strings(record, *_TITLES)
    others = strings(record, *_OTHERS)
    if "members" in record:
        others += lines_of("members", elements(record, "members"))
    for dataset in [child.record for child in change.children] if of_document else (record,):
        for relation in CARRIED:
            if relation in dataset:
                others += lines_of(relation, elements(dataset, relation))
    identifiers = _identifiers(record, change.children)
    return TextLines(_once(title), _once(others), _once(identifiers))


def engine_document(change: Change) -> EngineDocument:
    """What the engine indexes for one change; of a deleted entity only its key and number."""
    (document,) = engine_documents((change,))
    return document


def engine_documents(changes: Sequence[Change]) -> list[EngineDocument]:
    """As ``engine_document``, for many: step by step and class by class, because the code of a step
    fits into a processor's caches and that of all does not. One by one took an eighth more."""
    documents = [
        EngineDocument(
            *(one.key, one.entity_class, one.ordinal, one.change, one.deleted),
            changed_at=one.changed_at,
        )
        for one in (change.entity for change in changes)
    ]
    works = []
    for document, change in zip(documents, changes, strict=True):
        if not document.deleted:
            children = [child for child in change.children if not child.deleted]
            works.append(_Work(document, change.entity, change.children, children))
    works.sort(key=attrgetter("document.entity_class"))
    shares = [_shares(work.entity, work.children) for work in works]
    shapes = [class_plan(work.entity.entity_class).shape_of(work.entity.record) for work in works]
    again = [_again(work.entity.record, shape) for work, shape in zip(works, shapes, strict=True)]
    for work, shape, held in zip(works, shapes, again, strict=True):
        _add_terms(work.document, work.entity, shape, held)
    for work, shape in zip(works, shapes, strict=True):
        _add_numbers(work.document, work.entity.record, shape)
    for work, share in zip(works, shares, strict=True):
        _add_text(work.document, work.entity.record, work.contained, share)
    for work in works:
        _add_parameters(work.document, work.entity, work.children)
    for work, held, share in zip(works, again, shares, strict=True):
        _add_facets(work.document, work.entity.record, held, share)
    for work, share in zip(works, shares, strict=True):
        _add_shares(work.document, work.entity, work.children, share)
    return documents


class _Work(NamedTuple):
    """A document that is being made; ``contained`` are children, deleted ones included."""

    document: EngineDocument
    entity: StoredEntity
    contained: Sequence[StoredEntity]
    children: Sequence[StoredEntity]


def _add_shares(
    document: EngineDocument,
    entity: StoredEntity,
    children: Sequence[StoredEntity],
    shares: _Shares,
) -> None:
    """What parts of the record, and its Datasets, add besides text and facets."""
    lines, spaced = document.exact
    added = [share.own for share in shares.members]
    if entity.entity_class == "Document":
        document.links = tuple(sorted([child.ordinal for child in children]))
        added += [share.carried for share in shares.of_datasets()]
        if children:
            lines["has:datasets"] = None
        document.suggestions = suggestions_of(entity.record, document.facets)
        document.suggestions.update(*[share.suggestions for share in shares.members])
    elif entity.entity_class == "Dataset":
        added += [share.own for share in shares.of_datasets()]
    for more, others in added:
        lines.update(more)
        if others:
            spaced.update(others)
    document.record = entity.record


class _Shares(NamedTuple):
    """What the parts of a record, and of its Datasets, add. ``in_order`` is that of the text."""

    members: list[Share]
    techniques: list[Share]
    samples: list[Share]
    instruments: list[Share]
    in_order: list[Share]

    def of_datasets(self) -> list[Share]:
        return [*self.techniques, *self.samples, *self.instruments]


def _shares(entity: StoredEntity, children: Sequence[StoredEntity]) -> _Shares:
    record = entity.record
    members = shares_of_members(record)
    shares = _Shares(members, [], [], [], members.copy())
    of_document = entity.entity_class == "Document"
    for dataset in [child.record for child in children] if of_document else (record,):
        for found, relation in ((shares.techniques, "techniques"), (shares.samples, "samples"),
                                (shares.instruments, "instrument")):  # fmt: skip
            value = dataset.get(relation)
            if value:
                share = share_of(relation, value)
                found.append(share)
                shares.in_order.append(share)
    return shares


class _Held(NamedTuple):
    """What those fields add of which the values come again and again: terms, and values under which
    an entity is counted."""

    line: str
    spaced: Sequence[str]
    instrument_key: tuple[str, ...]
    facility: tuple[str, ...]
    kind: tuple[str, ...]
    instruments: Sequence[str]


MAX_HELD, MAX_HELD_BYTES = 8_192, 1_000
"""Remembered, and how long their values may be."""
_held_before: dict[tuple[int, bytes], _Held] = {}


def _again(record: Mapping[str, Any], shape: Shape) -> _Held:
    again = shape.again
    if again is None or "facility" not in shape.names:
        return _made_again(record, again)
    try:
        written = orjson.dumps(again.pick(record))
    except TypeError:  # a record that never was in a store
        return _made_again(record, again)
    held = _held_before.get((again.number, written))
    if held is None:
        held = _made_again(record, again)
        if len(written) <= MAX_HELD_BYTES:
            if len(_held_before) >= MAX_HELD:
                _held_before.clear()
            _held_before[again.number, written] = held
    return held


def _made_again(record: Mapping[str, Any], again: Again | None) -> _Held:
    values = {_at(str(name)) for name in record.get("facilities") or (record.get("facility", ""),)}
    if again is not None:
        add_value_terms(record, again, values)
    key, kind = record.get("instrumentKey"), record.get("kind")
    return _Held(
        *apart(values),
        (_short(str(key)),) if key else (),
        _shortened([str(name) for name in _holding(record) if name]),
        (_short(str(kind)),) if kind else (),
        list(map(str, record.get("instrumentNames") or ())),
    )


def _add_terms(document: EngineDocument, entity: StoredEntity, shape: Shape, held: _Held) -> None:
    record, values, exact = entity.record, set[str](), document.exact
    exact.lines[shape.has] = exact.lines[held.line] = None
    exact.spaced.update(held.spaced)
    add_value_terms(record, shape, values)
    for relation in _without_shares(entity.entity_class):
        if relation.name in shape.names:
            add_part_terms(record, (relation,), exact.lines, values)
    if shape.pid_and_doi:
        add_pid_and_doi(record, shape, values)
    exact.add(values)


@lru_cache(maxsize=1_024)
def _at(facility: str) -> str:
    return term("at", facility.casefold())


@cache
def _without_shares(class_name: str) -> tuple[PartsPlan, ...]:
    """Those relations of which values do not come again."""
    plan = class_plan(class_name)
    return tuple(one for one in plan.relations if one.name not in (*CARRIED, "members"))


def _add_numbers(document: EngineDocument, record: Mapping[str, Any], shape: Shape) -> None:
    numbers = document.numbers
    for name, in_engine, kind in shape.numbers:
        value = record[name]
        for one in value if isinstance(value, (list, tuple)) else (value,):
            whole = _instant(one) if type(one) is str and kind == "instant" else _whole(kind, one)
            if whole is not None:
                numbers[in_engine] = whole
    years = record.get("years")
    if years:
        numbers["first_year"] = int(years["first"])
        numbers["last_year"] = int(years["last"])
    if document.entity_class != "Instrument":
        numbers.update(_span_numbers(*deciding(record)))


@lru_cache(maxsize=16_384)
def _span_numbers(*decided_by: Any) -> dict[str, int]:
    """The ends of each state's span."""
    numbers: dict[str, int] = {}
    for name, (start, end) in spans_of(*decided_by).items():
        from_name, until_name = SPAN_NUMBERS[name]
        numbers[from_name] = start
        numbers[until_name] = end
    return numbers


def _whole(kind: Kind, value: object) -> int | None:
    number = stored_value(kind, value)
    whole = int_or_none(number) if isinstance(number, (int, float)) else None
    return whole if whole is not None and abs(whole) < FOREVER else None


@lru_cache(maxsize=4_096)
def _instant(text: str) -> int | None:
    return _whole("instant", text)


class Texts(NamedTuple):
    """What of a record is searched as text: stems by line, unstemmed words, wholes."""

    title: list[list[str]]
    text: list[list[str]]
    words: set[str]
    wholes: set[str]


class ReadLines(NamedTuple):
    """``TextLines`` with each line of prose read into words."""

    titles: list[Line]
    others: list[Line]
    identifiers: tuple[str, ...]


def texts_of(change: Change) -> Texts:
    """The texts of an entity and what it contains, as the engines index them."""
    ((titles, others, identifiers),) = read_lines((change,))
    text = [*titles, *others]
    return Texts(
        [one.stems.split() for one in titles],
        [one.stems.split() for one in text],
        set[str]().union(*[one.words for one in text]),
        set[str]().union(
            *map(analysis.identifier_wholes, identifiers), *[one.wholes for one in text]
        ),
    )


def read_lines(changes: Iterable[Change]) -> list[ReadLines]:
    """The lines of each, for whoever does not look at single stems; in steps, as
    ``engine_documents``."""
    listed = list(map(text_lines, changes))
    titles = [list(map(line_again, one.title)) for one in listed]
    others = [list(map(line_again, one.others)) for one in listed]
    identifiers = [one.identifiers for one in listed]
    return list(map(ReadLines, titles, others, identifiers))


def _add_text(
    document: EngineDocument,
    record: Mapping[str, Any],
    children: Sequence[StoredEntity],
    shares: _Shares,
) -> None:
    """Those of ``text_lines``, each once, with what was worked out of them before."""
    titles, others = (
        {
            text: _short_line(text) if len(text) <= SHORT else line(text)
            for text in strings(record, *names)
        }
        for names in (_TITLES, _OTHERS)
    )
    for share in shares.in_order:
        others.update(share.lines)
    lines = [*titles.values(), *others.values()]
    words, wholes = document.words, document.wholes
    if lines:
        stems, listed, found, cut = zip(*lines, strict=True)
        document.title += filter(None, stems[: len(titles)])
        document.title_words += [" ".join(some) for some in listed[: len(titles)] if some]
        document.text += filter(None, stems)
        words.update(*listed)
        wholes.update(*found)
        if True in cut:
            document.exact.lines[CUT_WORDS] = None
    for identifier in _identifiers(record, children):
        wholes.update(analysis.identifier_wholes(identifier))


def _identifiers(record: Mapping[str, Any], children: Sequence[StoredEntity]) -> Iterable[str]:
    found = strings(record, "pid", "doi", "alternateIds", "proposal")
    for child in children[:MAX_CHILD_IDENTIFIERS]:
        found += strings(child.record, "pid", "doi")
    return dict.fromkeys(found)


def line_again(text: str) -> Line:
    """Keywords and kinds come again and again; prose does not."""
    return _short_line(text) if len(text) <= SHORT else line(text)


SHORT = 80
"""Letters of a text that may come again."""


_short_line = lru_cache(maxsize=8_192)(line)


def _add_parameters(
    document: EngineDocument, entity: StoredEntity, children: Sequence[StoredEntity]
) -> None:
    if "parameters" in entity.record:
        document.params = parameter_terms(elements(entity.record, "parameters"))
    if entity.entity_class == "Document":
        document.all_params = set(document.params)
        for child in children:
            if "parameters" in child.record:
                document.all_params |= parameter_terms(elements(child.record, "parameters"))


def facet_values(
    entity: StoredEntity, children: Sequence[StoredEntity]
) -> dict[str, tuple[str, ...]]:
    """The values under which an entity is counted, for the facets that do not depend on today."""
    record = entity.record
    instruments, samples = [], []
    for dataset in _datasets(entity, children):
        # Most have neither.
        if "instrument" in dataset:
            instruments += _names_of(dataset, "instrument")
        if "samples" in dataset:
            samples += _names_of(dataset, "samples")
    if record.get("instrumentNames"):
        instruments += map(str, record["instrumentNames"])
    return {
        "instrument_key": (str(record["instrumentKey"]),) if record.get("instrumentKey") else (),
        "facility": tuple(sorted({str(name) for name in _holding(record) if name})),
        "instrument": tuple(sorted(set(instruments))) if instruments else (),
        "year": _years(record),
        "kind": (str(record["kind"]),) if record.get("kind") else (),
        "sample": tuple(sorted(set(samples))) if samples else (),
    }


def _names_of(dataset: Mapping[str, Any], relation: str) -> list[str]:
    return [str(part["name"]) for part in elements(dataset, relation) if part.get("name")]


def _holding(record: Mapping[str, Any]) -> Sequence[Any]:
    held: Sequence[Any] = record.get("facilities") or [record.get("facility", "")]
    return held


def _add_facets(
    document: EngineDocument, record: Mapping[str, Any], held: _Held, shares: _Shares
) -> None:
    """Tags, and the values of ``facet_values`` with what was worked out before."""
    instruments = [name for share in shares.instruments for name in share.names]
    instruments += held.instruments
    if shares.techniques:
        tags = [share.tags for share in shares.techniques]
        document.tags = tags[0] if len(tags) == 1 else frozenset().union(*tags)
        document.panet = technique_scoring.with_ancestors(document.tags)
    document.facets = {
        "instrument_key": held.instrument_key,
        "facility": held.facility,
        "instrument": _shortened(instruments),
        "year": _years(record),
        "kind": held.kind,
        "sample": _shortened([name for share in shares.samples for name in share.names]),
    }


def _shortened(values: list[str]) -> tuple[str, ...]:
    if len(values) < 2:
        return (_short(values[0]),) if values else ()
    return tuple(dict.fromkeys(map(_short, sorted(values))))


def _years(record: Mapping[str, Any]) -> tuple[str, ...]:
    years = record.get("years")
    return _listed_years(int(years["first"]), int(years["last"])) if years else ()


@lru_cache(maxsize=1_024)
def _listed_years(first: int, last: int) -> tuple[str, ...]:
    return tuple(map(str, range(first, min(last, first + MAX_YEARS) + 1)))


def _short(value: str) -> str:
    if len(value) * 4 <= FACET_TERM_BYTES:
        return value
    encoded = value.encode(errors="replace")
    if len(encoded) <= FACET_TERM_BYTES:
        return value
    return encoded[:FACET_TERM_BYTES].decode(errors="ignore")


def _datasets(entity: StoredEntity, children: Sequence[StoredEntity]) -> list[Mapping[str, Any]]:
    if entity.entity_class == "Document":
        return [child.record for child in children]
    return [entity.record] if entity.entity_class == "Dataset" else []


def _once(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
