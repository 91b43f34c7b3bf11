"""Facilities and their sources as configuration knows them (semantics 1.1).

The harvester reads them from TOML and puts them into the store; the search API reads them from
there, so that the two rooms need not know each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mappings.context import Context

Protocol = Literal["oai-pmh", "panosc", "scicat"]
Mode = Literal["indexed", "live", "both"]


@dataclass(frozen=True, slots=True)
class Service:
    """A link that a facility offers for its records; ``template`` knows ``{doi}``, ``{pid}``,
    ``{proposal}``, each percent-encoded when filled in."""

    name: str
    template: str
    login: bool = False


@dataclass(frozen=True, slots=True)
class Facility:
    """An organisation whose records we show.

    ``name`` is the short name (``ESS``); ``provider`` the PaNOSC Search API base URL exactly as
    configured, by which portals look facilities up; ``time_zone`` an IANA name. For the policy
    flags see ``mappings.context.Context``.
    """

    name: str
    title: str
    provider: str
    country: str | None = None
    ror: str | None = None
    home: str | None = None
    time_zone: str = "UTC"
    probes: tuple[str, ...] = ()
    lists_only_open: bool = False
    releases_automatically: bool = False
    document_type: str | None = None
    services: tuple[Service, ...] = ()
    demo: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """One way to a facility's records: endpoint + format + set.

    ``name`` is unique over all facilities (``xfel-oai``). ``url`` is the OAI-PMH base URL, or the
    Search API base URL. ``format`` is an OAI-PMH metadataPrefix, or ``panosc-json`` / ``scicat``.
    ``trust``: lower is believed first when sources disagree (semantics 1.2). ``internal``: private
    addresses are allowed. ``options`` holds protocol switches (``repair``, ``page_size`` …).
    """

    name: str
    facility: str
    protocol: Protocol
    url: str
    format: str
    set: str | None = None
    mode: Mode = "indexed"
    enabled: bool = True
    internal: bool = False
    demo: bool = False
    trust: int = 100
    schedule: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def read_as(source: Source) -> str:
    """The name of the crosswalk for a source's metadata."""
    return str(source.options.get("crosswalk", source.format))


def mapping_context(facility: Facility, source: Source) -> Context:
    """What the crosswalks are told about records of ``source``."""
    return Context(
        facility=facility.name,
        source=source.name,
        time_zone=facility.time_zone,
        probes=facility.probes,
        lists_only_open=facility.lists_only_open,
        releases_automatically=facility.releases_automatically,
        document_type=facility.document_type,
        is_public_is_constant=bool(source.options.get("is_public_is_constant", False)),
        options=source.options,
    )
