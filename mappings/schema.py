"""The PaNOSC schema as we write it: Document, Dataset, Instrument and what they contain.

Strict: nothing is converted on the way in, nothing unknown is taken. Crosswalks build plain
dictionaries in JSON form and ``validated`` checks them, so a store, an engine and a portal all
see the same names. Model: the PaNOSC data model (see ``docs/crosswalks.md``), plus ours: ``key``,
``kind``, ``access``, ``years``, ``derived`` and the normalised side of techniques and quantities.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import ValidationError

from mappings.checks import compiled
from mappings.context import Entity
from mappings.errors import MappingError
from mappings.text import clip

SCHEMA_VERSION = "1"

Text = Annotated[str, Field(min_length=1)]
DateText = Annotated[
    str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9:]{8}(\.[0-9]{3})?Z)?)?)?$")
]
InstantText = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{3})?Z$")]
Key = Annotated[str, Field(pattern=r"^(document|dataset|instrument):(doi|hdl|igsn|local):.+$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]
Number = Annotated[int, Field(gt=-(2**53), lt=2**53)]
Kind = Literal["data", "publication", "poster", "software", "collection", "other"]
DataLevel = Literal["raw", "reduced", "processed"]


class Strict(BaseModel):
    """Frozen, nothing unknown, nothing converted; camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=False,
        ser_json_inf_nan="null",
    )


class Person(Strict):
    """Somebody; the only path to people is a Member."""

    full_name: Text
    id: Text | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    orcid: Annotated[str, Field(pattern=r"^(\d{4}-){3}\d{3}[\dX]$")] | None = None
    researcher_id: Text | None = None


class Affiliation(Strict):
    """Where a member belongs; ``ror`` is the nine characters of the ROR id."""

    id: Text | None = None
    name: Text | None = None
    address: Text | None = None
    city: Text | None = None
    country: Text | None = None
    ror: Annotated[str, Field(pattern=r"^0[0-9a-z]{6}\d{2}$")] | None = None


class Member(Strict):
    """A person's part in a Document."""

    id: Text | None = None
    role: Text | None = None
    person: Person | None = None
    affiliation: Affiliation | None = None


class Interval(Strict):
    """A value in SI units; ``low`` equals ``high`` for a point (semantics 5.1).

    ``canonical`` is the portal's name of the parameter, e.g. ``incident_wavelength``.
    """

    dimension: Text
    low: Finite
    high: Finite
    canonical: Text | None = None


class Quantity(Interval):
    """An interval with its twin: photon energy as wavelength and the reverse (semantics 5.2)."""

    also: list[Interval] | None = None


class Parameter(Strict):
    """A named value as sent, with its quantity where it is one."""

    name: Text
    value: Number | Finite | str
    id: Text | None = None
    unit: Text | None = None
    quantity: Quantity | None = None


class Sample(Strict):
    """What was measured. Most facilities send only a name."""

    name: Text
    pid: Text | None = None
    description: Text | None = None


class Technique(Strict):
    """A technique as sent, and the PaNET term it was linked to, with how sure and by what rule."""

    name: Text
    pid: Text | None = None
    panet_id: Annotated[str, Field(pattern=r"^http://purl\.org/pan-science/PaNET/PaNET\d{5}$")] | (
        None
    ) = None
    panet: Annotated[str, Field(pattern=r"^PaNET\d{5}$")] | None = None
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    rule: Text | None = None
    evidence: Text | None = None


class File(Strict):
    """A file of a Dataset; ``size`` in bytes."""

    name: Text
    id: Text | None = None
    path: Text | None = None
    size: Bytes | None = None


class InstrumentRef(Strict):
    """The instrument inside a Dataset."""

    name: Text
    pid: Text | None = None
    facility: Text | None = None
    key: Key | None = None


class Related(Strict):
    """An identifier that a record names, with the relation as DataCite spells it."""

    relation: Text
    identifier: Text
    type: Text | None = None


class Link(Strict):
    """An http(s) address: landing page, download, metadata."""

    rel: Text
    url: Annotated[str, Field(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://")]


class Years(Strict):
    """Years of the experiment on the facility's calendar."""

    first: Number
    last: Number


class EvidencePiece(Strict):
    """One thing that bears on openness; see ``mappings.rights``."""

    says: Text
    path: str
    value: str
    at: InstantText | None = None
    until: InstantText | None = None


class Access(Strict):
    """Evidence for openness and what follows from it; nothing in it depends on today."""

    open_from: InstantText | None = None
    embargo_until: InstantText | None = None
    restriction: Literal["restricted", "metadata_only"] | None = None
    open_since: InstantText | None = None
    evidence: list[EvidencePiece] | None = None


class Record(Strict):
    """What every entity has."""

    key: Key
    pid: Text
    facility: Text


class Document(Record):
    """A proposal, experiment or publication with its Datasets."""

    class_: Annotated[Literal["Document"], Field(alias="class")]
    kind: Kind
    access: Access
    doi: Text | None = None
    type: Text | None = None
    title: Text | None = None
    summary: Text | None = None
    is_public: bool | None = None
    start_date: DateText | None = None
    end_date: DateText | None = None
    release_date: DateText | None = None
    years: Years | None = None
    start_seconds: Number | None = None
    end_seconds: Number | None = None
    license: Text | None = None
    keywords: list[Text] | None = None
    members: list[Member] | None = None
    parameters: list[Parameter] | None = None
    datasets: list[Key] | None = None
    derived: bool | None = None
    related: list[Related] | None = None
    links: list[Link] | None = None
    alternate_ids: list[Text] | None = None
    proposal: Text | None = None
    instrument_names: list[Text] | None = None


class Dataset(Record):
    """One run, or what a flat record says of its data (``derived``, semantics 1.3)."""

    class_: Annotated[Literal["Dataset"], Field(alias="class")]
    kind: Kind
    access: Access
    doi: Text | None = None
    title: Text | None = None
    is_public: bool | None = None
    creation_date: DateText | None = None
    size: Bytes | None = None
    techniques: list[Technique] | None = None
    instrument: InstrumentRef | None = None
    instrument_key: Key | None = None
    samples: list[Sample] | None = None
    parameters: list[Parameter] | None = None
    files: list[File] | None = None
    documents: list[Key] | None = None
    derived: bool | None = None
    data_level: DataLevel | None = None
    formats: list[Text] | None = None
    years: Years | None = None
    start_date: DateText | None = None
    end_date: DateText | None = None
    start_seconds: Number | None = None
    end_seconds: Number | None = None
    license: Text | None = None
    keywords: list[Text] | None = None
    proposal: Text | None = None
    related: list[Related] | None = None
    links: list[Link] | None = None
    alternate_ids: list[Text] | None = None


class Instrument(Record):
    """An instrument or beamline of a facility."""

    class_: Annotated[Literal["Instrument"], Field(alias="class")]
    name: Text
    links: list[Link] | None = None


MODELS: dict[str, type[Record]] = {
    "Document": Document,
    "Dataset": Dataset,
    "Instrument": Instrument,
}
_QUICK = {name: compiled(model) for name, model in MODELS.items()}


def validated(entity: Entity, known: object = None) -> Entity:
    """The same entity, if the schema takes it as it is.

    Args:
        entity: is not changed.
        known: the access block of another entity that was validated, where this one may share it.

    Raises:
        MappingError: naming path, value and what was expected.
    """
    try:
        name: str = entity["class"]
        quick = _QUICK[name]
    except (KeyError, TypeError) as error:
        named = clip(entity.get("class"))
        raise MappingError("class", named, "Document, Dataset or Instrument") from error
    if quick(entity, known):
        return entity
    try:
        MODELS[name].model_validate(entity)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise MappingError(f"{name}.{where}", clip(first["input"]), first["msg"]) from error
    return entity


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what we write: one definition a class, with our version."""
    definitions: dict[str, Any] = {}
    for name, model in MODELS.items():
        made = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        definitions.update(made.pop("$defs", {}))
        definitions[name] = made
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:pan-commons:schema:{SCHEMA_VERSION}",
        "title": "Entities of PaN Commons",
        "version": SCHEMA_VERSION,
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in MODELS],
        "$defs": dict(sorted(definitions.items())),
    }
