"""The PaNOSC data model as a table: classes, fields with their types, relations.

After the documents and model files of the reference implementation (panosc-eu/search-api), with
the fields other providers have besides (``doi`` of Datasets, ``ror`` of Affiliations). Everything
that reads or writes a field or a relation looks it up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FieldType = Literal["text", "texts", "number", "integer", "boolean", "instant", "scalar"]


@dataclass(frozen=True, slots=True)
class Relation:
    """A way from one class to another.

    ``many``: the answer is an array. ``through``: many-to-many over a join table, where the
    reference implementation ignores ``limit`` and ``skip`` of the scope (as recorded of it).
    ``stored_as``: name in the entity, where the wire knows several.
    """

    name: str
    target: str
    many: bool = True
    through: bool = False
    stored_as: str | None = None

    @property
    def attribute(self) -> str:
        return self.stored_as or self.name


@dataclass(frozen=True, slots=True)
class PanoscClass:
    """A class of the model.

    ``fields`` are those one can ask for and get; ``text_fields`` are where the operator ``text``
    looks; ``ours`` are fields that we add to list items.
    """

    name: str
    fields: Mapping[str, FieldType]
    relations: Mapping[str, Relation] = field(default_factory=dict)
    text_fields: tuple[str, ...] = ()
    ours: Mapping[str, FieldType] = field(default_factory=dict)

    @property
    def all_fields(self) -> Mapping[str, FieldType]:
        return {**self.fields, **self.ours}


def _relations(*relations: Relation) -> Mapping[str, Relation]:
    return {relation.name: relation for relation in relations}


_OURS: Mapping[str, FieldType] = {"facility": "text", "provider": "text"}

DOCUMENT = PanoscClass(
    "Document",
    {
        "pid": "text",
        "isPublic": "boolean",
        "type": "text",
        "title": "text",
        "summary": "text",
        "doi": "text",
        "startDate": "instant",
        "endDate": "instant",
        "releaseDate": "instant",
        "license": "text",
        "keywords": "texts",
    },
    _relations(
        Relation("datasets", "Dataset", through=True),
        Relation("members", "Member"),
        Relation("parameters", "Parameter"),
    ),
    ("title", "summary"),
    _OURS,
)
DATASET = PanoscClass(
    "Dataset",
    {
        "pid": "text",
        "title": "text",
        "isPublic": "boolean",
        "creationDate": "instant",
        "size": "integer",
        "doi": "text",
    },
    _relations(
        Relation("documents", "Document", through=True),
        Relation("document", "Document", many=False, stored_as="documents"),
        Relation("techniques", "Technique", through=True),
        Relation("instrument", "Instrument", many=False),
        Relation("files", "File"),
        Relation("parameters", "Parameter"),
        Relation("samples", "Sample", through=True),
    ),
    ("title",),
    _OURS,
)
INSTRUMENT = PanoscClass(
    "Instrument",
    {"pid": "text", "name": "text", "facility": "text"},
    _relations(Relation("datasets", "Dataset")),
    ("name", "facility"),
    {"provider": "text"},
)
FILE = PanoscClass(
    "File", {"id": "scalar", "name": "text", "path": "text", "size": "integer"}, {}, ("name",)
)
MEMBER = PanoscClass(
    "Member",
    {"id": "scalar", "role": "text"},
    _relations(
        Relation("person", "Person", many=False),
        Relation("affiliation", "Affiliation", many=False),
    ),
    ("role",),
)
PERSON = PanoscClass(
    "Person",
    {
        "id": "scalar",
        "fullName": "text",
        "orcid": "text",
        "researcherId": "text",
        "firstName": "text",
        "lastName": "text",
    },
    {},
    ("firstName", "lastName", "fullName"),
)
AFFILIATION = PanoscClass(
    "Affiliation",
    {
        "id": "scalar",
        "name": "text",
        "address": "text",
        "city": "text",
        "country": "text",
        "ror": "text",
    },
    {},
    ("name", "address", "city", "country"),
)
PARAMETER = PanoscClass(
    "Parameter", {"id": "text", "name": "text", "value": "scalar", "unit": "text"}, {}
)
SAMPLE = PanoscClass(
    "Sample",
    {"pid": "text", "name": "text", "description": "text"},
    {},
    ("name", "description"),
)
TECHNIQUE = PanoscClass(
    "Technique",
    {"pid": "text", "name": "text", "panetId": "text"},
    {},
    ("name",),
    {"synonym": "texts", "relatives": "texts", "children": "texts", "parents": "texts"},
)

MODEL: Mapping[str, PanoscClass] = {
    item.name: item
    for item in (
        DOCUMENT,
        DATASET,
        INSTRUMENT,
        FILE,
        MEMBER,
        PERSON,
        AFFILIATION,
        PARAMETER,
        SAMPLE,
        TECHNIQUE,
    )
}
