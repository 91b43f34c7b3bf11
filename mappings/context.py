"""What a crosswalk is told besides the payload, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Entity = dict[str, Any]
"""A normalised entity in JSON form: PaNOSC names (camelCase) plus ours; see ``schema.py``."""


@dataclass(frozen=True, slots=True)
class Context:
    """The facility and source that a raw record came from (semantics 1.1, 2.2, 4.3).

    ``facility`` is the short name (``ESS``); ``time_zone`` an IANA name, used for dates without
    offset; ``probes`` any of ``photon``, ``neutron``, ``muon``, ``electron``, ``ion``.
    ``lists_only_open``: what this source lists is open (European XFEL's OAI-PMH).
    ``releases_automatically``: a passed embargo date does open the data.
    ``document_type``: type of Documents when the format does not say (``proposal``).
    ``is_public_is_constant``: the source sends ``isPublic`` the same for all, so it proves nothing.
    ``options``: the source's own switches, e.g. ``keyword_separator``.
    """

    facility: str
    source: str = ""
    time_zone: str = "UTC"
    probes: tuple[str, ...] = ()
    lists_only_open: bool = False
    releases_automatically: bool = False
    document_type: str | None = None
    is_public_is_constant: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Header:
    """The protocol's envelope of a raw record.

    ``identifier`` is the OAI identifier or, over REST, ``{class}/{pid}``; ``datestamp`` is the
    server's text, never interpreted as a date of the data (fault D02).
    """

    identifier: str
    datestamp: str | None = None
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Something the facility sent that no field takes: shown to operators, never lost."""

    path: str
    value: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A field that could not be read and was dropped; the record stays."""

    path: str
    value: str
    reason: str


class Mapped(NamedTuple):
    """Entities made from one raw record, validated against the schema.

    ``entities`` are in JSON form, each with ``class`` and ``key``; parents before children.
    """

    entities: tuple[Entity, ...]
    unmapped: tuple[Unmapped, ...] = ()
    problems: tuple[Problem, ...] = ()
