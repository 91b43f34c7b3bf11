"""The classes of the PaNOSC model as tables: ids, fields, relations (crosswalks 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Relation:
    """``many``: rows of ``model`` whose ``key`` names this one; ``through``: by a table of pairs
    (``key`` is our column, ``other`` theirs); ``one``: our ``key`` names a row of ``model``."""

    kind: Literal["many", "through", "one"]
    model: str
    key: str
    other: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A class: its id, the fields that are not text, what ``text`` looks at, relations."""

    name: str
    id: str
    fields: tuple[str, ...]
    booleans: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()
    text: tuple[str, ...] = ()
    relations: Mapping[str, Relation] = field(default_factory=dict)


def _through(model: str, table: str, key: str, other: str) -> Relation:
    return Relation("through", model, key, other, table)


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "Document",
            "pid",
            (
                "pid",
                "isPublic",
                "type",
                "title",
                "summary",
                "doi",
                "startDate",
                "endDate",
                "releaseDate",
                "license",
                "keywords",
            ),
            frozenset({"isPublic"}),
            frozenset({"startDate", "endDate", "releaseDate"}),
            ("title", "summary"),
            {
                "datasets": _through("Dataset", "DocumentDataset", "documentId", "datasetId"),
                "members": Relation("many", "Member", "documentId"),
                "parameters": Relation("many", "Parameter", "documentId"),
            },
        ),
        Model(
            "Dataset",
            "pid",
            ("pid", "title", "isPublic", "creationDate", "size", "instrumentId"),
            frozenset({"isPublic"}),
            frozenset({"creationDate"}),
            ("title",),
            {
                "documents": _through("Document", "DocumentDataset", "datasetId", "documentId"),
                "techniques": _through("Technique", "DatasetTechnique", "datasetId", "techniqueId"),
                "samples": _through("Sample", "DatasetSample", "datasetId", "sampleId"),
                "instrument": Relation("one", "Instrument", "instrumentId"),
                "files": Relation("many", "File", "datasetId"),
                "parameters": Relation("many", "Parameter", "datasetId"),
            },
        ),
        Model(
            "Instrument",
            "pid",
            ("pid", "name", "facility"),
            text=("name", "facility"),
            relations={"datasets": Relation("many", "Dataset", "instrumentId")},
        ),
        Model("File", "id", ("id", "name", "path", "size", "datasetId"), text=("name",)),
        Model("Technique", "pid", ("pid", "name", "panetId"), text=("name",)),
        Model("Sample", "pid", ("pid", "name", "description"), text=("name", "description")),
        Model("Parameter", "id", ("id", "name", "value", "unit", "datasetId", "documentId")),
        Model(
            "Member",
            "id",
            ("id", "role", "documentId", "affiliationId", "personId"),
            relations={
                "person": Relation("one", "Person", "personId"),
                "affiliation": Relation("one", "Affiliation", "affiliationId"),
            },
        ),
        Model(
            "Person",
            "id",
            ("id", "fullName", "orcid", "researcherId", "firstName", "lastName"),
            text=("fullName", "firstName", "lastName"),
        ),
        Model(
            "Affiliation",
            "id",
            ("id", "name", "address", "city", "country"),
            text=("name", "address", "city", "country"),
        ),
    )
}
PAIR_TABLES = ("DocumentDataset", "DatasetTechnique", "DatasetSample")
