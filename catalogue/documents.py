"""From a changed entity to what an engine indexes: terms, numbers and three fields of words.

Everything that can be filtered is a term in a raw field or a number (semantics 5.4, 9.4); texts
become *stems*, *words* and *wholes* (semantics 6.1). A Document carries what its Datasets say of
technique, sample and instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from catalogue import analysis, technique_scoring
from catalogue.access import FOREVER, STATES, access_spans
from catalogue.fields import FIELDS, RELATIONS, Kind, Value, elements, values_of
from catalogue.parameter_terms import parameter_terms
from catalogue.records import Change, EntityClass, StoredEntity

MAX_PARTS = 2_000
"""Parts of one kind (files, members …) whose terms are indexed; beyond it the record is marked
``many:files`` and looked at when asked (semantics 9.4, fault F06)."""

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

    ``patterned`` are the case-folded strings whose trigrams are indexed as ``grams``, those of the
    title again as ``title_grams``: few candidates for the conditions that people use most.
    ``text`` and ``title`` are lines of stems; ``words`` is the set of unstemmed words; ``record``
    is the entity itself, for engines that hydrate hits without a store at hand (semantics 10.4).
    """

    key: str
    entity_class: EntityClass
    ordinal: int
    change: int
    deleted: bool = False
    terms: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)
    all_params: set[str] = field(default_factory=set)
    patterned: list[str] = field(default_factory=list)
    patterned_title: list[str] = field(default_factory=list)
    panet: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    facets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    links: tuple[int, ...] = ()
    text: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    wholes: set[str] = field(default_factory=set)
    suggestions: set[str] = field(default_factory=set)
    record: Mapping[str, Any] = field(default_factory=dict)
    changed_at: str | None = None


MAX_PLAIN_TERM_BYTES = 72


def term(name: str, value: Value) -> str:
    """The raw term of a field's value. Long values become a digest of 128 bits: equality stays
    exact, no record is refused for a long term (fault F08), and the dictionary stays small."""
    if isinstance(value, float | int):
        text = str(int(value)) if value == int_or_none(value) else repr(float(value))
    else:
        text = value
    whole = f"{name}={text}"
    if len(whole) * 4 <= MAX_PLAIN_TERM_BYTES:
        return whole
    encoded = whole.encode(errors="replace")
    if len(encoded) <= MAX_PLAIN_TERM_BYTES:
        return whole
    return f"{name}=#{blake2b(encoded, digest_size=16).hexdigest()}"


def int_or_none(value: float) -> int | None:
    """The integer that a number is, if it is one."""
    try:
        whole = int(value)
    except (OverflowError, ValueError):
        return None
    return whole if whole == value else None


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
    _add_facets(document, entity, children)
    if entity.entity_class == "Document":
        document.links = tuple(sorted(child.ordinal for child in children))
    document.suggestions = _suggestions(entity, children)
    document.record = entity.record
    return document


_PATTERN_KINDS = frozenset({"text", "identifier", "any"})


def pattern_strings(record: Mapping[str, Any], class_name: str) -> list[str]:
    """Every string of a record that a substring condition may name."""
    found: list[str] = []
    fields = FIELDS[class_name]
    for name, value in record.items():
        if fields.get(name) in _PATTERN_KINDS:
            listed = value if isinstance(value, list | tuple) else [value]
            found.extend(one for one in listed if isinstance(one, str))
    for name, relation in RELATIONS.get(class_name, {}).items():
        if not relation.linked:
            for part in elements(record, name)[:MAX_PARTS]:
                found.extend(pattern_strings(part, relation.target))
    return found


def _add_terms(document: EngineDocument, entity: StoredEntity) -> None:
    record = entity.record
    document.terms |= part_terms(record, entity.entity_class, "")
    facilities = record.get("facilities") or [record.get("facility", "")]
    document.terms |= {term("at", str(name).casefold()) for name in facilities}
    strings = pattern_strings(record, entity.entity_class)
    document.patterned = [string.casefold() for string in dict.fromkeys(strings)]
    document.patterned_title = [s.casefold() for s in _strings(record, *TITLE_FIELDS)]


_TERM_KINDS = frozenset({"text", "identifier", "any", "boolean"})


def part_terms(
    record: Mapping[str, Any], class_name: str, prefix: str, most: int | None = MAX_PARTS
) -> set[str]:
    """Terms of a record's fields and parts: ``title=…``, ``has:title``, ``samples.name=…``."""
    found: set[str] = set()
    fields = FIELDS[class_name]
    for name, value in record.items():
        kind = fields.get(name)
        if kind is None or value is None:
            continue
        found.add(f"has:{prefix}{name}")
        if kind in _TERM_KINDS or (prefix and kind == "number"):
            found.update(
                _field_term(prefix + name, one, kind) for one in values_of(record, name, kind)
            )
    for name, relation in RELATIONS.get(class_name, {}).items():
        if relation.linked:
            continue
        parts = elements(record, name)
        if not parts:
            continue
        found.add(f"has:{prefix}{name}")
        if most is not None and len(parts) > most:
            found.add(f"many:{prefix}{name}")
            continue
        for part in parts:
            found |= part_terms(part, relation.target, f"{prefix}{name}.", most)
    return found


def _field_term(name: str, value: Value, kind: Kind) -> str:
    # A parameter's text "5 mm" and number 5 must not meet: numbers are marked.
    return term(f"{name}#" if kind == "any" and not isinstance(value, str) else name, value)


def equality_term(name: str, value: Value, kind: Kind) -> str:
    """The term that a record with this value has."""
    return _field_term(name, value, kind)


def _add_numbers(document: EngineDocument, record: Mapping[str, Any]) -> None:
    for name, kind in FIELDS[document.entity_class].items():
        if kind in ("instant", "number"):
            for value in values_of(record, name, kind):
                whole = int_or_none(value) if not isinstance(value, str) else None
                if whole is not None and abs(whole) < FOREVER:
                    document.numbers[number_name(name)] = whole
    years = record.get("years")
    if years:
        document.numbers["first_year"] = int(years["first"])
        document.numbers["last_year"] = int(years["last"])
    if document.entity_class != "Instrument":
        for name, (start, end) in access_spans(record).items():
            document.numbers[f"{name}_from"] = start
            document.numbers[f"{name}_until"] = end


def _add_text(document: EngineDocument, lines: TextLines) -> None:
    document.title = [analysed.stems for line in lines.title if (analysed := _analysed(line)).stems]
    for line in (*lines.title, *lines.others):
        analysed = _analysed(line)
        if analysed.stems:
            document.text.append(analysed.stems)
            document.words |= analysed.words
            document.wholes |= analysed.wholes
    for identifier in lines.identifiers:
        document.wholes |= analysis.identifier_wholes(identifier)


@dataclass(frozen=True, slots=True)
class _Analysed:
    stems: str
    words: frozenset[str]
    wholes: frozenset[str]


def _analysed(line: str) -> _Analysed:
    # People, instruments, samples and technique names come again and again; prose does not.
    return _analysed_again(line) if len(line) <= 200 else _analysed_once(line)


def _analysed_once(line: str) -> _Analysed:
    words = analysis.words(line)
    stems = " ".join(map(analysis.stem, words))
    return _Analysed(stems, frozenset(words), frozenset(analysis.wholes(line)))


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
        for child in children:
            carried = {name: child.record[name] for name in CARRIED if name in child.record}
            document.terms |= part_terms(carried, "Dataset", "datasets.", None)
        if children:
            document.terms.add("has:datasets")


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


def _add_facets(
    document: EngineDocument, entity: StoredEntity, children: Sequence[StoredEntity]
) -> None:
    document.facets = {
        name: tuple(dict.fromkeys(_short(value) for value in values))
        for name, values in facet_values(entity, children).items()
    }


def _short(value: str) -> str:
    encoded = value.encode(errors="replace")
    if len(encoded) <= FACET_TERM_BYTES:
        return value
    return encoded[:FACET_TERM_BYTES].decode(errors="ignore")


def _datasets(entity: StoredEntity, children: Sequence[StoredEntity]) -> list[Mapping[str, Any]]:
    if entity.entity_class == "Document":
        return [child.record for child in children]
    return [entity.record] if entity.entity_class == "Dataset" else []


def _suggestions(entity: StoredEntity, children: Sequence[StoredEntity]) -> set[str]:
    """``kind:folded␟original`` strings for prefix completion."""
    found: dict[str, Iterable[str]] = {"title": _strings(entity.record, "title")}
    values = facet_values(entity, children)
    found["sample"] = values["sample"]
    found["instrument"] = values["instrument"]
    found["person"] = [
        name
        for member in elements(entity.record, "members")
        for person in elements(member, "person")
        for name in _strings(person, "fullName")
    ]
    return {suggestion_term(kind, text) for kind, texts in found.items() for text in texts if text}


MAX_SUGGESTION = 60


def suggestion_term(kind: str, text: str) -> str:
    """The raw term by which a text is completed; the original follows a unit separator."""
    original = " ".join(text.split())[:MAX_SUGGESTION]
    return f"{kind}:{analysis.fold(original)}\x1f{original}"


def _strings(record: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        value = record.get(name)
        listed = value if isinstance(value, list | tuple) else [value]
        found.extend(str(one) for one in listed if one not in (None, ""))
    return tuple(found)


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


TITLE_FIELDS = ("title", "name")
"""Fields whose trigrams are indexed apart."""

RAW_FIELDS = (
    "terms",
    "params",
    "all_params",
    "grams",
    "title_grams",
    "tags",
    "words",
    "suggestions",
)
"""Fields of exact terms that are only looked up."""

COUNTED_FIELDS = ("panet", *(f"f_{name}" for name in FACET_FIELDS))
"""Fields of exact terms that are also counted for facets."""

TEXT_FIELDS = ("text", "title")
"""Fields of stems with positions. ``wholes`` is scored, too, but has no positions."""
