"""What a crosswalk collects from one raw record, and the entities made of it.

A flat record (``panosc`` XML, Dublin Core, DataCite, PublishedData) describes a Document and its
data at once. Its crosswalk fills a ``Draft``; ``entities`` makes the Document and, where the
record says what only a Dataset can hold, one Dataset marked ``derived`` (semantics 1.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mappings.context import Context, Entity, Header, Mapped, Problem, Unmapped
from mappings.dates import Moment, experiment, moment
from mappings.errors import MappingError
from mappings.identifiers import GLOBAL_SCHEMES, Identifier, entity_key, identify
from mappings.kinds import file_formats
from mappings.people import without_emails
from mappings.people import without_repeats as people_without_repeats
from mappings.rights import Evidence, decide, evidence
from mappings.schema import validated
from mappings.tags import Tag, keyword_tags
from mappings.tags import without_repeats as tags_without_repeats
from mappings.text import clip, split_keywords
from mappings.values import RawParameter, parameters

_tuple = tuple.__new__
"""Makes a named tuple of all its fields, without the call of a function in Python."""

MOST_NOTES = 1000
"""Notes kept of one record; the rest only repeats what these say."""


class Notes:
    """What was not used and what could not be read, while a record is being mapped.

    Operators read these: e-mail addresses of people are not kept in them (semantics 11.1).
    """

    __slots__ = ("problems", "unmapped")

    def __init__(self) -> None:
        self.unmapped: list[Unmapped] = []
        self.problems: list[Problem] = []

    def unused(self, path: str, value: object) -> None:
        """Keep as evidence something that no field takes."""
        if len(self.unmapped) < MOST_NOTES:
            self.unmapped.append(Unmapped(path, without_emails(clip(value))))

    def dropped(self, path: str, value: object, reason: str) -> None:
        """Note a value that could not be read; the record stays."""
        if len(self.problems) < MOST_NOTES:
            self.problems.append(Problem(path, without_emails(clip(value)), reason))

    def parameters(
        self, raw: Sequence[RawParameter], tags: Sequence[Tag], probes: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Parameters in JSON form; units that cannot be converted are noted."""
        made, refused = parameters(raw, tags, probes)
        for (name, value, unit), reason in refused:
            self.dropped(f"parameters/{name}", f"{value} {unit}", f"not comparable: {reason}")
        return made

    def mapped(self, entities: Sequence[Entity]) -> Mapped:
        """The result: entities checked against the schema, with these notes."""
        # Document and derived Dataset share one access block: it is looked at once.
        known = None
        for entity in entities:
            validated(entity, known)
            known = entity.get("access")
        return _tuple(Mapped, (tuple(entities), tuple(self.unmapped), tuple(self.problems)))


class Draft:
    """A flat record on its way to entities. Lists are in the order of the record."""

    # Not a dataclass: making one with so many factories costs more than reading a title.
    __slots__ = (
        "alternate", "always_dataset", "context", "creation", "data_level", "datasets",
        "descriptions", "doi", "end", "evidence", "formats", "has_datasets", "header",
        "instruments", "is_public", "keywords", "kind", "license", "links", "members",
        "notes", "parameters", "pid", "proposal", "related", "release", "samples", "size",
        "start", "subjects", "summaries", "techniques", "title", "type", "types", "year",
    )  # fmt: skip

    def __init__(self, context: Context, header: Header, notes: Notes | None = None) -> None:
        self.context = context
        self.header = header
        self.notes = Notes() if notes is None else notes
        self.pid: str | None = None
        self.doi: str | None = None
        self.title: str | None = None
        self.type: str | None = None
        self.types: tuple[str, ...] = ()
        self.kind = "data"
        self.is_public: bool | None = None
        self.start: Moment | None = None
        self.end: Moment | None = None
        self.release: Moment | None = None
        self.year: Moment | None = None
        self.creation: Moment | None = None
        self.license: str | None = None
        self.proposal: str | None = None
        self.size: int | None = None
        self.data_level: str | None = None
        self.has_datasets = False
        self.always_dataset = False
        self.summaries: list[str] = []
        self.descriptions: list[str] = []
        self.members: list[dict[str, Any]] = []
        self.keywords: list[str] = []
        self.subjects: list[str] = []
        self.evidence: list[Evidence] = []
        self.links: list[dict[str, str]] = []
        self.related: list[dict[str, str]] = []
        self.alternate: list[str] = []
        self.techniques: list[Tag] = []
        self.samples: list[dict[str, str]] = []
        self.parameters: list[RawParameter] = []
        self.formats: list[str] = []
        self.instruments: list[dict[str, str]] = []
        self.datasets: list[str] = []

    def moment(self, path: str, text: str) -> Moment | None:
        """Read a date in the facility's zone; what is none is noted."""
        found = moment(text, self.context.time_zone)
        if found is None:
            self.notes.dropped(path, text, "no date")
        return found

    def certain(self, path: str, text: str) -> Moment | None:
        """Like ``moment``, for dates of which a guess is no good: experiment, embargo."""
        found = self.moment(path, text)
        if found is not None and not found.certain:
            self.notes.dropped(path, text, "a date in words is not certain enough here")
            return None
        return found

    def embargo(self, path: str, text: str, found: Moment) -> None:
        """Note an end of embargo as evidence (semantics 2.5: a bare date opens at its end)."""
        self.evidence.append(
            {"says": "embargo_until", "path": path, "value": text, "at": found.opens}
        )

    def file_formats(self, path: str, text: str) -> None:
        """Take the formats that a statement names; one that names none is kept as unused."""
        found = file_formats(text)
        self.formats += found
        if not found:
            self.notes.unused(path, text)

    def identifier(self, found: Identifier) -> None:
        """Take an identifier of the record: as pid, as DOI where it is one, else as alternate."""
        if found.scheme == "doi" and self.doi is None:
            if self.pid is not None:
                self.alternate.append(self.pid)
            self.doi = self.pid = found.display
        elif self.pid is None:
            self.pid = found.display
        elif found.display != self.pid:
            self.alternate.append(found.display)


def interval_fields(start: Moment | None, end: Moment | None) -> dict[str, Any]:
    """``years``, ``startSeconds`` and ``endSeconds`` of an experiment (semantics 3.1)."""
    when = experiment(start, end)
    if when is None:
        return {}
    return {
        "years": {"first": when.first_year, "last": when.last_year},
        "startSeconds": when.start_seconds,
        "endSeconds": when.end_seconds,
    }


def policies(context: Context) -> list[Evidence]:
    """The facility's configured policies as evidence (semantics 2.2)."""
    pieces = []
    if context.lists_only_open:
        pieces.append(evidence("lists_only_open", "configuration", context.source))
    if context.releases_automatically:
        pieces.append(evidence("releases_automatically", "configuration", context.facility))
    return pieces


def year_evidence(path: str, year: Moment, latest_experiment_year: int | None) -> Evidence:
    """A year of publication as evidence: later than the experiment, it is an embargo (ESRF)."""
    later = latest_experiment_year is not None and year.year > latest_experiment_year
    return _year_evidence("published_later" if later else "published", path, year)


@lru_cache(maxsize=4096)
def _year_evidence(says: str, path: str, year: Moment) -> Evidence:
    return evidence(says, path, year.text, year.begins, year.opens)


def _settle_subjects(draft: Draft) -> None:
    """Subjects → keywords, and techniques where a keyword certainly names one (fault D06).

    One subject alone may be a whole list, cut at commas; among several each is one keyword, and
    "Physics, condensed matter" stays whole. Semicolons, and the source's own separator, always cut.
    """
    separator = draft.context.options.get("keyword_separator")
    separator = separator if isinstance(separator, str) and separator else None
    alone = len(draft.subjects) == 1
    words = []
    for text in draft.subjects:
        if separator is not None or ";" in text or (alone and "," in text):
            words += split_keywords(text, separator)
        else:
            words.append(text)
    probes = draft.context.probes
    for word in words:
        if len(word) >= 2:
            draft.keywords.append(word)
            tags = keyword_tags(word, probes)
            if tags:
                draft.techniques += tags


def entities(draft: Draft) -> Mapped:
    """The Document of a flat record, its derived Dataset and named Instruments, validated.

    Raises:
        MappingError: there is no identifier, neither in the record nor in its header.
    """
    context = draft.context
    if draft.subjects:
        _settle_subjects(draft)
    pid = draft.pid
    if pid is None:
        found = identify(draft.header.identifier)
        if not found.display:
            raise MappingError("identifier", None, "an identifier in the record or its header")
        pid = found.display
        if found.scheme == "doi":
            draft.doi = pid
    document: Entity = {
        "class": "Document",
        "key": _key_of("Document", pid, draft),
        "pid": pid,
        "kind": draft.kind,
        "facility": context.facility,
    }
    _describe(document, draft)
    pieces = draft.evidence
    if context.lists_only_open or context.releases_automatically:
        pieces = pieces + policies(context)
    document["access"] = decide(pieces)
    instruments = _instruments(draft) if draft.instruments else []
    dataset = _derived_dataset(draft, document, instruments)
    made = [document]
    children = draft.datasets + _parts(draft) if draft.related else draft.datasets.copy()
    if dataset is not None:
        made.append(dataset)
        children.insert(0, dataset["key"])
    if children:
        document["datasets"] = list(dict.fromkeys(children))
    if instruments:
        document["instrumentNames"] = _once([found["name"] for found in instruments])
        made += _instrument_entities(instruments, context)
    return draft.notes.mapped(made)


def _key_of(entity_class: str, pid: str, draft: Draft) -> str:
    if draft.doi is not None:
        return f"{entity_class.lower()}:doi:{draft.doi.lower()}"
    return entity_key(entity_class, pid, draft.context.facility)


def _describe(document: Entity, draft: Draft) -> None:
    """Fill in the fields that only a Document has."""
    if draft.doi is not None:
        document["doi"] = draft.doi
    if draft.type is not None:
        document["type"] = draft.type
    if draft.title is not None:
        document["title"] = draft.title
    if draft.summaries:
        document["summary"] = (
            draft.summaries[0]
            if len(draft.summaries) == 1
            else " ".join(dict.fromkeys(draft.summaries))
        )
    if draft.is_public is not None:
        document["isPublic"] = draft.is_public
    if draft.start is not None:
        document["startDate"] = draft.start.text
    if draft.end is not None:
        document["endDate"] = draft.end.text
    released = draft.release or draft.year
    if released is not None:
        document["releaseDate"] = released.text
    when = experiment(draft.start, draft.end)
    if when is not None:
        began, ended, first_year, last_year = when
        document["years"] = {"first": first_year, "last": last_year}
        document["startSeconds"] = began
        document["endSeconds"] = ended
    if draft.license is not None:
        document["license"] = draft.license
    if draft.keywords:
        document["keywords"] = _once(draft.keywords)
    if draft.members:
        document["members"] = people_without_repeats(draft.members)
    if draft.related:
        document["related"] = _each_once(draft.related)
    if draft.links:
        document["links"] = _each_once(draft.links)
    if draft.alternate:
        document["alternateIds"] = _once(draft.alternate)
    if draft.proposal is not None:
        document["proposal"] = draft.proposal


def _derived_dataset(
    draft: Draft, document: Entity, instruments: list[dict[str, str]]
) -> Entity | None:
    """What a flat record says of its data, as one Dataset of the same identifier."""
    holds = (
        draft.techniques
        or draft.samples
        or draft.parameters
        or draft.size is not None
        or draft.formats
        or draft.data_level is not None
        or instruments
    )
    if not (draft.always_dataset or (holds and draft.kind == "data")) or draft.has_datasets:
        return None
    context = draft.context
    pid = document["pid"]
    dataset: Entity = {
        "class": "Dataset",
        "key": _key_of("Dataset", pid, draft),
        "pid": pid,
        "kind": draft.kind,
        "facility": context.facility,
        "derived": True,
        "documents": [document["key"], *_parents(draft)] if draft.related else [document["key"]],
        "access": document["access"],
    }
    for name in _SHARED:
        if name in document:
            dataset[name] = document[name]
    created = draft.creation or draft.start
    if created is not None:
        dataset["creationDate"] = created.text
    if draft.size is not None:
        dataset["size"] = draft.size
    if draft.techniques:
        dataset["techniques"] = tags_without_repeats(draft.techniques)
    if draft.samples:
        dataset["samples"] = draft.samples
    if draft.parameters:
        dataset["parameters"] = draft.notes.parameters(
            draft.parameters, draft.techniques, context.probes
        )
    if draft.formats:
        dataset["formats"] = _once(draft.formats)
    if draft.data_level is not None:
        dataset["dataLevel"] = draft.data_level
    if instruments:
        dataset["instrument"] = instruments[0]
        if "key" in instruments[0]:
            dataset["instrumentKey"] = instruments[0]["key"]
    return dataset


_SHARED = ("doi", "title", "isPublic", "years", "startSeconds", "endSeconds")
"""What a derived Dataset has as its Document has it."""
_HAS_PART = frozenset({"haspart", "hasversion", "collects", "hasmember"})
_IS_PART = frozenset({"ispartof", "isversionof", "iscollectedin", "ismemberof"})


def _parts(draft: Draft) -> list[str]:
    """Keys of the Datasets that a record calls its parts or versions (a collection's contents)."""
    return _tied(draft, _HAS_PART, "Dataset")


def _parents(draft: Draft) -> list[str]:
    """Keys of the Documents of which a record calls itself a part or version."""
    return _tied(draft, _IS_PART, "Document")


def _tied(draft: Draft, relations: frozenset[str], entity_class: str) -> list[str]:
    return [
        entity_key(entity_class, other["identifier"], draft.context.facility)
        for other in draft.related
        if other["relation"].lower() in relations
        and identify(other["identifier"]).scheme in GLOBAL_SCHEMES
    ]


def _instruments(draft: Draft) -> list[dict[str, str]]:
    """Instruments that a flat record names, each once; with a pid they are entities."""
    kept: dict[str, dict[str, str]] = {}
    for found in draft.instruments:
        whole = dict(found)
        whole.setdefault("facility", draft.context.facility)
        if "pid" in whole:
            whole["key"] = entity_key("Instrument", whole["pid"], draft.context.facility)
        name = whole["name"].casefold()
        if name not in kept or ("pid" in whole and "pid" not in kept[name]):
            kept[name] = whole
    return sorted(kept.values(), key=lambda found: "pid" not in found)


def _instrument_entities(instruments: list[dict[str, str]], context: Context) -> list[Entity]:
    return [
        {
            "class": "Instrument",
            "key": found["key"],
            "pid": found["pid"],
            "name": found["name"],
            "facility": found["facility"],
        }
        for found in instruments
        if "key" in found
    ]


def _each_once(items: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each object once, in order."""
    if len(items) < 2:
        return items
    return list({tuple(item.items()): item for item in items}.values())


def _once(words: list[str]) -> list[str]:
    """Each text once, in order; the first writing of those that differ in case stays."""
    if len(words) < 2 or len(set(map(str.casefold, words))) == len(words):
        return words
    kept: dict[str, str] = {}
    for word in words:
        kept.setdefault(word.casefold(), word)
    return list(kept.values())
