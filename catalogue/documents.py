"""From a changed entity to what an engine indexes: terms, numbers and three fields of words.

Everything that can be filtered is a term in a raw field or a number (semantics 5.4, 9.4); texts
become *stems*, *words* and *wholes* (semantics 6.1). A Document carries what its Datasets say of
technique, sample and instrument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

from catalogue import analysis, technique_scoring
from catalogue.access import FOREVER, STATES, access_spans
from catalogue.fields import FIELDS, Kind, elements, stored_value
from catalogue.parameter_terms import parameter_terms
from catalogue.record_terms import (
    PartsPlan,
    add_parts,
    add_terms,
    class_plan,
    int_or_none,
    term,
)
from catalogue.records import Change, EntityClass, StoredEntity

MAX_YEARS = 200
"""An experiment that claims more years than this is indexed for facets under the first ones."""

MAX_CHILD_IDENTIFIERS = 500

CARRIED = ("techniques", "instrument", "samples")
"""Relations of a Dataset whose terms its Documents carry, under ``datasets.``, without limit."""

ACCESS_NAMES = (*STATES, "public")
FACET_FIELDS = ("facility", "instrument", "instrument_key", "year", "kind", "sample")
FACET_TERM_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class TextLines:
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
    terms: set[str] = field(default_factory=set)
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
    changed_at: str | None = None


def number_name(name: str) -> str:
    """The engine's number field for a field of the class."""
    return f"n_{name}"


def text_lines(change: Change) -> TextLines:
    """The texts of an entity and what it contains, in a fixed order, each line once."""
    record = change.entity.record
    contained = [child.record for child in change.children]
    if change.entity.entity_class == "Document":
        datasets: Sequence[Mapping[str, Any]] = contained
    else:
        datasets = [record]
    title = _strings(record, "title", "name")
    others = _strings(record, "summary", "keywords", "instrumentNames", "type", "proposal")
    for member in elements(record, "members"):
        for person in elements(member, "person"):
            others += _strings(person, "fullName")
        for affiliation in elements(member, "affiliation"):
            others += _strings(affiliation, "name")
    for dataset in datasets:
        for technique in elements(dataset, "techniques"):
            others += _strings(technique, "name")
        for tag in sorted(technique_scoring.tags_of(elements(dataset, "techniques"))):
            others += technique_scoring.names(tag)
        for sample in elements(dataset, "samples"):
            others += _strings(sample, "name", "description")
        for instrument in elements(dataset, "instrument"):
            others += _strings(instrument, "name")
    identifiers = _strings(record, "pid", "doi", "alternateIds", "proposal")
    for child in contained[:MAX_CHILD_IDENTIFIERS]:
        identifiers += _strings(child, "pid", "doi")
    return TextLines(_once(title), _once(others), _once(identifiers))


def engine_document(change: Change) -> EngineDocument:
    """What the engine indexes for one change; of a deleted entity only its key and number."""
    entity = change.entity
    document = EngineDocument(
        entity.key, entity.entity_class, entity.ordinal, entity.change, entity.deleted
    )
    document.changed_at = entity.changed_at.isoformat() if entity.changed_at else None
    if entity.deleted:
        return document
    children = [child for child in change.children if not child.deleted]
    _add_terms(document, entity)
    _add_numbers(document, entity.record)
    _add_text(document, text_lines(change))
    _add_techniques_and_parameters(document, entity, children)
    facets = facet_values(entity, children)
    _add_facets(document, facets)
    if entity.entity_class == "Document":
        document.links = tuple(sorted(child.ordinal for child in children))
        document.suggestions = _suggestions(entity.record, facets)
    document.record = entity.record
    return document


def _add_terms(document: EngineDocument, entity: StoredEntity) -> None:
    record = entity.record
    add_terms(record, class_plan(entity.entity_class), document.terms)
    for name in record.get("facilities") or [record.get("facility", "")]:
        document.terms.add(term("at", str(name).casefold()))


@cache
def _numbers_of(class_name: str) -> tuple[tuple[str, Kind, str], ...]:
    """Field, kind and the engine's number field."""
    return tuple(
        (name, kind, number_name(name))
        for name, kind in FIELDS[class_name].items()
        if kind in ("instant", "number")
    )


def _add_numbers(document: EngineDocument, record: Mapping[str, Any]) -> None:
    for name, kind, engine_name in _numbers_of(document.entity_class):
        value = record.get(name)
        if value is None:
            continue
        for one in value if isinstance(value, (list, tuple)) else (value,):
            number = stored_value(kind, one)
            whole = int_or_none(number) if isinstance(number, (int, float)) else None
            if whole is not None and abs(whole) < FOREVER:
                document.numbers[engine_name] = whole
    years = record.get("years")
    if years:
        document.numbers["first_year"] = int(years["first"])
        document.numbers["last_year"] = int(years["last"])
    if document.entity_class != "Instrument":
        for name, (start, end) in access_spans(record).items():
            document.numbers[f"{name}_from"] = start
            document.numbers[f"{name}_until"] = end


def _add_text(document: EngineDocument, lines: TextLines) -> None:
    for line in lines.title:
        if (analysed := _analysed(line)).stems:
            document.title.append(analysed.stems)
            document.title_words.append(" ".join(analysis.words(line)))
    for line in (*lines.title, *lines.others):
        stems, words, wholes = _analysed(line)
        if stems:
            document.text.append(stems)
            document.words.update(words)
            document.wholes.update(wholes)
    if analysis.may_be_cut(document.words):
        document.terms.add(CUT_WORDS)
    for identifier in lines.identifiers:
        document.wholes.update(analysis.identifier_wholes(identifier))


class _Analysed(NamedTuple):
    stems: str
    words: frozenset[str]
    wholes: frozenset[str]


def _analysed(line: str) -> _Analysed:
    # People, instruments, samples and technique names come again and again; prose does not.
    return _analysed_again(line) if len(line) <= 200 else _analysed_once(line)


def _analysed_once(line: str) -> _Analysed:
    words = analysis.words(line)
    stems = " ".join(map(analysis.stem, words))
    return _Analysed(stems, frozenset(words), frozenset(analysis.wholes(line, words)))


_analysed_again = lru_cache(maxsize=50_000)(_analysed_once)


def _add_techniques_and_parameters(
    document: EngineDocument, entity: StoredEntity, children: Sequence[StoredEntity]
) -> None:
    datasets = _datasets(entity, children)
    document.tags = frozenset(
        tag
        for dataset in datasets
        for tag in technique_scoring.tags_of(elements(dataset, "techniques"))
    )
    document.panet = technique_scoring.with_ancestors(document.tags)
    document.params = parameter_terms(elements(entity.record, "parameters"))
    if entity.entity_class == "Document":
        document.all_params = set(document.params)
        for child in children:
            document.all_params |= parameter_terms(elements(child.record, "parameters"))
            add_parts(child.record, _carried(), document.terms, None)
        if children:
            document.terms.add("has:datasets")


@cache
def _carried() -> tuple[PartsPlan, ...]:
    plan = class_plan("Dataset", "datasets.")
    return tuple(relation for relation in plan.relations if relation.name in CARRIED)


def facet_values(
    entity: StoredEntity, children: Sequence[StoredEntity]
) -> dict[str, tuple[str, ...]]:
    """The values under which an entity is counted, for the facets that do not depend on today."""
    record = entity.record
    datasets = _datasets(entity, children)
    instruments = {
        str(instrument["name"])
        for dataset in datasets
        for instrument in elements(dataset, "instrument")
        if instrument.get("name")
    }
    instruments |= {str(name) for name in record.get("instrumentNames") or ()}
    samples = {
        str(sample["name"])
        for dataset in datasets
        for sample in elements(dataset, "samples")
        if sample.get("name")
    }
    years = record.get("years")
    listed = (
        range(int(years["first"]), min(int(years["last"]), int(years["first"]) + MAX_YEARS) + 1)
        if years
        else ()
    )
    facilities = record.get("facilities") or [record.get("facility", "")]
    return {
        "instrument_key": (str(record["instrumentKey"]),) if record.get("instrumentKey") else (),
        "facility": tuple(sorted({str(name) for name in facilities if name})),
        "instrument": tuple(sorted(instruments)),
        "year": tuple(str(year) for year in listed),
        "kind": (str(record["kind"]),) if record.get("kind") else (),
        "sample": tuple(sorted(samples)),
    }


def _add_facets(document: EngineDocument, facets: Mapping[str, tuple[str, ...]]) -> None:
    document.facets = {
        name: tuple(dict.fromkeys(map(_short, values))) for name, values in facets.items()
    }


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


def _suggestions(record: Mapping[str, Any], facets: Mapping[str, tuple[str, ...]]) -> set[str]:
    """``kind:folded␟original`` strings for prefix completion."""
    found = {suggestion_term("title", title) for title in _strings(record, "title")}
    for kind in ("sample", "instrument"):
        found.update(suggestion_term(kind, text) for text in facets[kind])
    for member in elements(record, "members"):
        for person in elements(member, "person"):
            found.update(suggestion_term("person", name) for name in _strings(person, "fullName"))
    return found


MAX_SUGGESTION = 60
_CAPITAL = re.compile("[A-Z]")


@lru_cache(maxsize=20_000)
def suggestion_term(kind: str, text: str) -> str:
    """The raw term by which a text is completed: its folded form, and after a unit separator what
    makes the original of it again: the places of its capitals, or itself."""
    original = " ".join(text.split())[:MAX_SUGGESTION]
    folded = analysis.fold(original)
    if folded == original:
        written = ""
    elif original.isascii():
        written = f"{sum(1 << capital.start() for capital in _CAPITAL.finditer(original)):x}"
    else:
        written = f"={original}"
    return f"{kind}:{folded}\x1f{written}"


def suggested_text(term: str) -> str:
    """The text as it was written, of a ``suggestion_term``."""
    head, _, written = term.partition("\x1f")
    if written.startswith("="):
        return written[1:]
    folded = head.partition(":")[2]
    capitals = int(written or "0", 16)
    return "".join(
        letter.upper() if capitals >> place & 1 else letter for place, letter in enumerate(folded)
    )


def _strings(record: Mapping[str, Any], *names: str) -> list[str]:
    found: list[str] = []
    for name in names:
        value = record.get(name)
        if type(value) is str:
            if value:
                found.append(value)
        elif value is not None:
            listed = value if isinstance(value, (list, tuple)) else (value,)
            found.extend(str(one) for one in listed if one not in (None, ""))
    return found


def _once(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


def number_fields(class_name: str) -> tuple[str, ...]:
    """All number fields that engine documents of a class may have, besides ``ordinal``."""
    own = [
        number_name(n) for n, kind in FIELDS[class_name].items() if kind in ("instant", "number")
    ]
    if class_name == "Instrument":
        return tuple(own)
    spans = [f"{name}_{end}" for name in ACCESS_NAMES for end in ("from", "until")]
    return (*own, "first_year", "last_year", *spans)


RAW_FIELDS = ("terms", "params", "all_params", "tags", "words", "suggestions")
"""Fields of exact terms that are only looked up."""

CUT_WORDS = "cut:words"
"""The term of a record with a word so long that it may have been cut (semantics 6.1)."""

COUNTED_FIELDS = ("panet", *(f"f_{name}" for name in FACET_FIELDS))
"""Fields of exact terms that are also counted for facets."""

TITLE_WORDS = "title_words"

TEXT_FIELDS: Mapping[str, Literal["freq", "position"]] = {
    "text": "position", "title": "freq", TITLE_WORDS: "position",
}  # fmt: skip
"""Fields that are one string of words to the line, and what they keep of each word. ``wholes`` is
scored, too, but has neither. Phrases are looked up in ``text``, a title's substrings of several
words in ``title_words``."""
